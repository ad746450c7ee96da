"""What a trial costs when thousands went before it: python benchmarks/growth.py [TRIALS]

A search of 10,000 trials that train nothing (``tests/drills/near_empty.py``), through Ray: what its driver takes of the
processor, the clock and memory for each thousand of them; how long it takes to go on with as many. The same ledger
without Ray, with random draws and with TPE's, so that TPE's own cost is seen. And how long an analysis takes of as many
trials, made up. The time of the processor is the one to compare on a machine that does other things as well.
"""

import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.ledger.ledger import Ledger
from scale_tune.spec.space import RunSpec
from tests.conftest import REPOSITORY
from tests.support.commands import measured
from tests.support.runs import BIG, make_run

MIB = 2**20
STEP = 1000
SPACE = """
dataset: {name: digits}
model: {name: small_cnn}
methods: [erm_target, scale]
space:
  lr: {type: float, low: 0.0001, high: 0.1, log: true}
  momentum: {type: float, low: 0.0, high: 0.99}
  batch_size: {type: choice, values: [16, 32, 64]}
seeds: [0]
epochs: 3
sampler: random
scheduler: {name: asha, grace_period: 1, reduction_factor: 2}
"""
ENDED, ISSUED = b'"op_code":6,', b'"op_code":4,'
"""In the text of a ledger: Optuna's codes, since reading it takes its time."""
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"machine      {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}, {platform.system()}")
    with tempfile.TemporaryDirectory() as scratch:
        searched(Path(scratch), trials)
        for sampler in ("random", "tpe"):
            ledger_alone(Path(scratch), sampler, trials)
        analysed(Path(scratch), trials)


def searched(scratch: Path, trials: int) -> None:
    """Through Ray, and gone on with."""
    space = scratch / "space.yaml"
    space.write_text(SPACE)
    run = scratch / "runs" / "growth"
    new = [space, "--name", run.name, "--storage", run.parent, "--num-samples", trials // 2]
    with near_empty(*new) as driver:
        before = None
        for ended in counts(driver, run / "ledger.log", ENDED):
            if ended == 1 or ended % STEP == 0:
                now = (ended, time.monotonic(), processor(driver.pid))
                if before is not None:
                    n, wall, own = (b - a for a, b in zip(before, now, strict=True))
                    print(f"to {ended:>6,}    {1000 * wall / n:5.1f} ms a trial, ", end="")
                    print(f"{1000 * own / n:4.1f} of the driver's processor, ", end="")
                print(f"{resident(driver.pid) / MIB:,.0f} MiB after {ended:,}", flush=True)
                before = now
    issued_before = (run / "ledger.log").read_bytes().count(ISSUED)
    started = time.monotonic()
    with near_empty("--resume", run, "--num-samples", trials // 2 + 5) as driver:
        for issued in counts(driver, run / "ledger.log", ISSUED):
            if issued == issued_before + 1:
                print(f"resumed      {time.monotonic() - started:5.1f} s to the next trial", flush=True)


def near_empty(*arguments: object) -> "subprocess.Popen[bytes]":
    script = REPOSITORY / "tests" / "drills" / "near_empty.py"
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})


def counts(driver: "subprocess.Popen[bytes]", ledger: Path, what: bytes) -> Iterator[int]:
    """Every number of lines of a kind, one after another, as they come to be in the ledger, until the driver ends."""
    seen = offset = 0
    while driver.poll() is None:
        if ledger.exists():
            with ledger.open("rb") as file:
                file.seek(offset)
                new = file.read()
            new = new[: new.rfind(b"\n") + 1]
            offset += len(new)
            for _ in range(new.count(what)):
                seen += 1
                yield seen
        time.sleep(0.05)


def processor(pid: int) -> float:
    """Seconds that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def ledger_alone(scratch: Path, sampler: str, trials: int) -> None:
    """What drawing a trial and noting its epochs takes, without Ray and without waiting for a disk."""
    import yaml

    spec = RunSpec.model_validate(yaml.safe_load(SPACE) | {"num_samples": trials // 2, "sampler": sampler})
    path = scratch / f"{sampler}.log"
    path.touch()
    found = []
    with patch("os.fsync"):
        ledger, started = Ledger(path, spec), time.process_time()
        for number in range(1, trials + 1):
            trial = ledger.next_trial()
            curve = sorted(random.Random(trial.name).random() for _ in range(spec.epochs))
            for epoch in range(1, spec.epochs + 1):
                if ledger.report(trial.name, curve[:epoch], finished=epoch == spec.epochs):
                    break
            else:
                ledger.complete(trial.name)
            if number % STEP == 0:
                found.append(time.process_time() - started)
                started = time.process_time()
    print(f"ledger alone, {sampler}: ms a trial, by thousands: {', '.join(f'{s:.1f}' for s in found)}", flush=True)


def analysed(scratch: Path, trials: int) -> None:
    fields = BIG.model_dump() | {"num_samples": trials // 2, "epochs": 3, "seeds": [0]}
    run = make_run(scratch, RunSpec.model_validate(fields), made_up=True, name="analysed")
    for what in ("analysed", "again"):
        cost = measured("analyze", run.path, "--dfr", "none", "--export", scratch / "tables")
        print(f"{what:<12} {cost.seconds:5.1f} s, {cost.cpu_seconds:.1f} of the processor, ", end="")
        print(f"{cost.peak_bytes / MIB:,.0f} MiB at most", flush=True)


if __name__ == "__main__":
    main()
