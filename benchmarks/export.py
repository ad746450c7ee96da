"""How long analyze.py takes on a long run, and how much less when it is repeated: python benchmarks/export.py

Makes a run of 1,000 trials of 50 epochs and 3 seeds with the real ledger and writers, without training, then analyses
and exports it three times: without an earlier export, again, and after one record has changed. The time of the
processor is the one to compare on a machine that does other things as well.
"""

import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.storage.rundir import RECORD_FILE
from tests.support.commands import Cost, measured
from tests.support.runs import BIG, make_run

REPEATS = 3
MIB = 2**20


def report(what: str, costs: list[Cost]) -> float:
    """Print the medians of the repeats, and return that of the processor's time."""
    wall, cpu = median(cost.seconds for cost in costs), median(cost.cpu_seconds for cost in costs)
    peak = max(cost.peak_bytes for cost in costs)
    print(f"{what:<24} {wall:6.1f} s, {cpu:.1f} s of the processor, peak memory {peak / MIB:,.0f} MiB")
    return cpu


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        run = make_run(Path(scratch), BIG, made_up=True)
        size = sum(path.stat().st_size for path in run.trials.local.rglob(RECORD_FILE))
        print(f"machine                  {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}")
        print(f"made the run in          {time.perf_counter() - started:6.1f} s, {size / MIB:,.0f} MiB of records")

        cold, again, changed = [], [], []
        for repeat in range(REPEATS):
            shutil.rmtree(run.results.local, ignore_errors=True)
            cold.append(measured("analyze", run.path, "--export", Path(scratch, "tables")))
            again.append(measured("analyze", run.path, "--export", Path(scratch, "tables")))
            (run.trial(f"erm-{repeat:05d}").local / RECORD_FILE).touch()
            changed.append(measured("analyze", run.path, "--export", Path(scratch, "tables")))
        first = report("analyse and export", cold)
        second = report("again", again)
        report("after one record changed", changed)
        print(f"ratio                    {first / second:6.1f} (of the processor's time)")


if __name__ == "__main__":
    main()
