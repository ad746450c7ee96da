"""How soon commands answer and trials train: python benchmarks/startup.py [commands] [launch] [warm]

``commands``: from the start of each command to its first line, and from its last line to its end. ``launch``: from the
start of ``tune.py`` to the first step that a worker trains (a trial notes when it is about to). ``warm``: in a
process that has trained a trial, how long the next ones take from being handed over to their first step; 200 of them
in one process, with its memory, threads and open files, and whether they end as in a process of their own.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.storage.rundir import RunDir
from tests.conftest import REPOSITORY
from tests.support.commands import command
from tests.support.runs import fast_spec, make_run

REPEATS = 3
MIB = 2**20
TRIALS = 200
SPACE = REPOSITORY / "search_spaces" / "digits.yaml"


@dataclass(frozen=True, kw_only=True)
class Times:
    """Of a command, in seconds from its start."""

    first: float
    last: float
    end: float
    processor: float


def main() -> None:
    print(f"machine      {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}, {platform.system()}")
    parts = {"commands": commands, "launch": launch, "warm": warm}
    with tempfile.TemporaryDirectory() as scratch:
        for name in sys.argv[1:] or parts:
            parts[name](Path(scratch))


def commands(scratch: Path) -> None:
    run = make_run(scratch, fast_spec(), made_up=True).path
    for words in (
        ["tune", "--help"],
        ["tune", "init", "--dataset", "digits", "--methods", "erm,scale", "{new}"],
        ["tune", SPACE, "--dry-run"],
        ["tune", SPACE, "--prepare"],
        ["tune", "--status", run],
        ["tune", "--resume", run, "--dry-run"],
        ["analyze", "--help"],
        ["analyze", run, "--dfr", "none"],
    ):
        found = []
        for repeat in range(REPEATS):
            given = [scratch / f"{repeat}.yaml" if word == "{new}" else word for word in words]
            found.append(timed(*given))
        first, rest, end, cpu = (
            median(of.first for of in found),
            median(of.end - of.last for of in found),
            median(of.end for of in found),
            median(of.processor for of in found),
        )
        shown = " ".join(str(word).replace(str(scratch), "").replace(str(REPOSITORY), "") for word in words)
        print(f"{shown:<50} first line {first:.2f} s, end {rest:.2f} s after the last, {end:.1f} s in all, ", end="")
        print(f"{cpu:.1f} s of the processor", flush=True)


def timed(*words: object) -> Times:
    started = time.monotonic()
    process = subprocess.Popen(command(*map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    told = []
    while os.read(process.stdout.fileno(), 65536):
        told.append(time.monotonic() - started)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words} ended with {status}")
    end = time.monotonic() - started
    return Times(first=told[0], last=told[-1], end=end, processor=usage.ru_utime + usage.ru_stime)


def launch(scratch: Path) -> None:
    """The first time also prepares the data."""
    for repeat in range(REPEATS):
        options = ["--methods", "erm,scale", "--num-samples", 1, "--epochs", 1, "--set", "scheduler.name=none"]
        words = ["tune", SPACE, "--name", f"launch-{repeat}", "--storage", scratch, *options]
        started = time.time()
        subprocess.run(command(*map(str, words)), check=True, stdout=subprocess.DEVNULL)
        ended = time.time()
        run = RunDir(scratch / f"launch-{repeat}")
        first = [first_step(path) for path in run.trials.local.iterdir()]
        print(
            f"launch       first step after {min(first) - started:.1f} s, ended after {ended - started:.1f} s",
            flush=True,
        )


def first_step(trial: Path) -> float:
    """When a trial was about to take it."""
    from scale_tune.storage.location import Location
    from scale_tune.training.trialdir import read_final_record

    record = read_final_record(Location.of(trial))
    return record.started.timestamp()


def warm(scratch: Path) -> None:
    fresh = {number: trained(scratch / "fresh", [number])[number] for number in (0, 77, TRIALS - 1)}
    reused = trained(scratch / "reused", list(range(TRIALS)))
    begun = [of["begun"] for number, of in reused.items() if number]
    print(f"warm         {median(begun):.3f} s to the first step, at most {max(begun):.3f} s")
    for number in (TRIALS // 10, TRIALS - 1):
        of = reused[number]
        print(
            f"after {number + 1:>3}    {of['memory'] / MIB:,.0f} MiB, {of['threads']} threads, {of['files']} open files"
        )
    equal = [reused[number]["objectives"] == of["objectives"] for number, of in fresh.items()]
    print(f"equal        {sum(equal)} of {len(equal)} that were trained in fresh processes too")


def trained(directory: Path, numbers: list[int]) -> dict[int, dict]:
    asked = json.dumps([str(directory), numbers])
    answer = subprocess.run([sys.executable, __file__, "worker", asked], check=True, stdout=subprocess.PIPE).stdout
    return {int(number): of for number, of in json.loads(answer.splitlines()[-1]).items()}


def worker(directory: Path, numbers: list[int]) -> dict[int, dict]:
    """Trials of three methods in turn, one epoch each, in this process as Ray's worker trains them."""
    from scale_tune.methods.erm import Erm
    from scale_tune.methods.two_gradients import TwoGradients
    from scale_tune.search.messages import decode
    from scale_tune.search.worker import TuneTrial

    stepped: list[float] = []
    for method in (Erm, TwoGradients):  # whose step the others inherit
        method.step = noting(method.step, stepped)
    spec = fast_spec(methods=["erm", "erm_target", "scale"], epochs=1, scheduler={"name": "none"})
    found, trial = {}, None
    for number in numbers:
        method = list(spec.methods)[number % 3]
        config = spec.trial_config(method, {"lr": 0.01 + number / 10_000, "batch_size": 64})
        given = {"trial": f"{method}-{number:05d}", "config": config.model_dump_json(), "sources": {}, "prepared": None}
        given |= {"directory": str(directory / f"{method}-{number:05d}"), "threads": 1, "gpus": 0}
        started = time.monotonic()
        stepped.clear()
        if trial is None:
            trial = TuneTrial(given)
        else:
            trial.reset(given)
        objectives = decode(trial.train()).outcome.objectives
        found[number] = {
            "begun": stepped[0] - started,
            "objectives": objectives,
            "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            "threads": len(list(Path("/proc/self/task").iterdir())),
            "files": len(list(Path("/proc/self/fd").iterdir())),
        }
    return found


def noting(step, when: list[float]):  # noqa: ANN001, ANN201
    def noted(*arguments: object):  # noqa: ANN202
        when.append(time.monotonic())
        return step(*arguments)

    return noted


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        where, asked = json.loads(sys.argv[2])
        print(json.dumps(worker(Path(where), asked)))
    else:
        main()
