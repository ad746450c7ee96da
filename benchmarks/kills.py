"""Kills a small search again and again: python benchmarks/kills.py [KILLS [SEED]]

The driver, all of its Ray, both, or a worker, by kill -9 at random moments of launches, searches and resumptions, until
there were 100. Two searches take turns, begun anew once they are done. One draws at random and stops no trial early: in
the end its ledger and the records of its trials are those of a search that nobody killed, number for number. The other
draws by TPE and stops early by ASHA, which go by what has ended before, so by what ran side by side: no two searches
are equal then, killed or not. But there are as many trials as were asked for, and each is what the same config trained
in one go is, number for number. In both, one of the methods has two stages.
"""

import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from scale_tune.ledger.studies import LedgerTrial
from scale_tune.storage.rundir import RunDir
from scale_tune.training.trialdir import read_record
from tests.conftest import REPOSITORY
from tests.support.commands import command
from tests.support.killing import drawn_kill
from tests.support.searches import assert_search_is_whole, epochs_in_ledger, ledger_of, timeless

SPACE = """\
methods:
  erm_target: {{epochs: 5}}
  scale:
    epochs: 2
    space:
      group_size: {{type: choice, values: [4, 64]}}
  jtt:
    epochs: 2
    space:
      first_epochs: {{type: choice, values: [1, 2]}}
space:
  lr: {{type: float, low: 1e-3, high: 1e-1, log: true}}
  batch_size: 64
num_samples: {samples}
seeds: [0]
sampler: {sampler}
scheduler: {scheduler}
"""
METHODS = ("erm_target", "scale", "jtt")
ASHA = "{name: asha, grace_period: 1, reduction_factor: 2}"
SAMPLES = {"random": 4, "tpe": 12}
"""Of each method; TPE draws ten at random before it goes by any."""
LATEST_SECONDS = 20.0
"""After a start or the kill before."""
RAYS_OWN = "Failed to register worker to Raylet"
"""What Ray's code says when it ends a driver, with 1, whose Ray is killed in the moment in which it connects."""


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    drawn = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"machine      {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}, {platform.system()}")
    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    torch.set_num_threads(1)  # as the workers, with whose results those of this process are compared
    began, done, ended, codes = time.monotonic(), Counter(), Counter(), Counter()
    spaces = {
        "random": SPACE.format(samples=SAMPLES["random"], sampler="random", scheduler="{name: none}"),
        "tpe": SPACE.format(samples=SAMPLES["tpe"], sampler="tpe", scheduler=ASHA),
    }
    for name, text in spaces.items():
        (scratch / f"{name}.yaml").write_text(text)
    never_killed = scratch / "never-killed"
    assert started(never_killed, scratch / "random.yaml").wait() == 0
    number = 0
    while done.total() < kills:
        name = list(spaces)[number % 2]
        directory = scratch / f"{name}-{number}"
        number += 1
        while (driver := survived(directory, scratch / f"{name}.yaml", kills, drawn, done, codes)) is None:
            pass
        codes[driver] += 1
        trials = ledger_of(directory)
        if name == "random":
            assert list(map(timeless_in_ledger, trials)) == list(map(timeless_in_ledger, ledger_of(never_killed)))
            for trial in trials:
                both = [timeless(read_record(RunDir(run).trial(trial.name))) for run in (directory, never_killed)]
                assert both[0] == both[1], trial.name
        samples = dict.fromkeys(METHODS, SAMPLES[name])
        assert_search_is_whole(directory, samples, scratch / "check" / directory.name)
        ended[name] += len(trials)
        print(f"{directory.name:12} {done.total():4} kills so far, {len(trials)} trials as if there had been none")
    for what, count in done.items():
        print(f"{what:42} {count}")
    print(f"a driver ended by itself with              {dict(codes)}")
    print(f"trials that were compared                  {dict(ended)}, 0 of them differ")
    print(f"in {time.monotonic() - began:.0f} s; {scratch} may be deleted")


def timeless_in_ledger(trial: LedgerTrial) -> LedgerTrial:
    return replace(trial, started=None, ended=None)


def started(directory: Path, space: Path) -> "subprocess.Popen[bytes]":
    """Launch a run, or resume it where there is one."""
    words = ["--resume", directory] if directory.exists() else [space, "--name", directory.name]
    words += [] if directory.exists() else ["--storage", directory.parent]
    with (directory.parent / f"{directory.name}.log").open("ab") as log:
        return subprocess.Popen(
            command("tune", *words), stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=REPOSITORY
        )


def survived(
    directory: Path, space: Path, kills: int, drawn: random.Random, done: "Counter[str]", codes: "Counter[int]"
) -> int | None:
    """Start a driver, and kill it or what is below it until it has ended; 0 if the search is done, None if not."""
    driver = started(directory, space)
    while done.total() < kills:
        try:
            driver.wait(drawn.uniform(0, LATEST_SECONDS))
            break
        except subprocess.TimeoutExpired:
            kill = drawn_kill(drawn)
            when = "before there was a run" if not directory.exists() else "after its first epoch"
            if directory.exists() and not epochs_in_ledger(directory):
                when = "before its first epoch"
            if kill(driver):
                done[f"{kill.__name__.replace('_', ' ')}, {when}"] += 1
    code = driver.wait()
    if code == -9:
        return None
    if code != 0:
        codes[code] += 1
        said = (directory.parent / f"{directory.name}.log").read_text()
        assert code == 3 or (code == 1 and RAYS_OWN in said[-1000:]), f"{code}\n{said}"
        return None
    return 0


if __name__ == "__main__":
    main()
