"""Signals at random moments, from a command's first line to its last.

``SCALE_TUNE_SIGNALS=200 pytest -s tests/drills/test_signals.py`` sends any number.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.commands import command
from tests.support.runs import fast_spec, make_run
from tests.support.searches import descendants, is_alive, ledger_of, wait_for, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.timeout(60 * 60)]

COUNT = int(os.environ.get("SCALE_TUNE_SIGNALS", "8"))
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]
WRONG = ("Traceback", "Exception ignored", "Aborted", "*** SIG", "Fatal", "core dumped")
"""What nobody wants to read; *** is how Ray's own code begins its trace."""
BEFORE = -1.0
SECONDS = 20.0
"""So long it may take a command to end; kill-hard schedulers wait longer."""


PHASES = {
    "tune": ("", "loading Ray", "starting Ray", "trying a step|checking the workers", "\nrun ", "ending Ray"),
    "analyze": ("", "refitting", "comparing", "writing the report", "wrote "),
}
"""What a command has printed before a signal comes; at first nothing."""
LATEST = 1.5
"""Seconds after that."""


def launched_or_resumed(directory: Path, space: Path, num_samples: int) -> list[str]:
    where = ["--resume", directory] if directory.exists() else [space, "--name", "demo", "--storage", directory.parent]
    words = [Path(__file__).with_name("near_empty.py"), *where, "--num-samples", num_samples]
    return [sys.executable, *map(str, words)]


def test_a_signal_at_any_moment_stops_a_command_with_3_and_without_a_trace(space, tmp_path):
    """A search that is launched and then resumed again and again, and now and then an analysis that refits."""
    drawn, ended, started = random.Random(15), Counter(), {}
    directory = tmp_path / "runs" / "demo"
    analysed = make_run(tmp_path, fast_spec(methods=["erm"], num_samples=2), name="analysed").path.local
    for count in range(COUNT):
        if count % 4 == 3:
            kind, words = "analyze", command("analyze", analysed, "--dfr", "scale")
            for table in (analysed / "results").glob("*"):
                table.unlink()
        else:
            kind, words = "tune", launched_or_resumed(directory, space, 10 * (count + 1))
        number, phase = drawn.choice(NUMBERS), drawn.choice(PHASES[kind])
        code, said, seconds, below = signalled(words, number, phase, drawn.uniform(0, LATEST), tmp_path / "log")
        started = below | {pid: command for pid, command in started.items() if is_alive(pid)}  # as numbers come again
        last = repr(said.strip().rpartition("\n")[2])
        what = f"{number.name} to {kind} at {phase!r}: {code or 'done'} after {seconds:.1f} s, {last}"
        print(what)
        if seconds == BEFORE:  # Python itself had not come to the first line
            ended[f"{kind}, while Python started"] += 1
            continue
        assert code == 3 or (code == 0 and ("done in" in said or "wrote " in said)), f"{what}\n{said}"
        assert not [word for word in WRONG if word in said], f"{what}\n{said}"
        assert seconds < SECONDS, f"{what}\n{said}"
        ended[f"{kind}, {phase.strip() or 'from the start'}: {code}"] += 1
    for what, times in sorted(ended.items()):
        print(f"{what:45} {times}")
    wait_for_end(started, limit=180, but=())
    assert subprocess.run(launched_or_resumed(directory, space, 10 * COUNT), check=False).returncode == 0
    trials = ledger_of(directory)
    assert Counter(trial.method for trial in trials) == {"erm_target": 10 * COUNT, "scale": 10 * COUNT}
    for trial in trials:
        curve = random.Random(trial.name)
        assert trial.objectives == sorted(curve.random() for _ in range(3))[: len(trial.objectives)]


ENDING = """
import os, signal
from ray._private import worker
from scale_tune.search.cluster import cluster
from scale_tune.search.stopping import Stop

with Stop() as stop, cluster(None, stop):
    node = worker._global_node
    end = node.kill_all_processes
    node.kill_all_processes = lambda **options: (os.kill(os.getpid(), signal.SIGTERM), end(**options))
"""


def test_a_signal_while_ray_ends_its_processes_is_handled():
    """By then Ray's own code has let go of it, so that it would end the process with its number."""
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1:]) == (
        3, ["stopped, as SIGTERM was received; start it again by the same command"]
    )  # fmt: skip


def signalled(
    words: list[str], number: int, phase: str, later: float, log: Path
) -> tuple[int, str, float, dict[int, str]]:
    """Start a command, and send it a signal.

    Returns:
        Its exit code, what it printed, seconds that it still took, :data:`BEFORE` if it did not handle signals yet, and
        the processes that it had then.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
    wait_for(lambda: re.search(phase, log.read_text()) or process.poll() is not None, 120, log.read_text)
    with suppress(subprocess.TimeoutExpired):
        process.wait(later)
    handled = process.poll() is not None or handles(process.pid)
    below = descendants(process.pid)
    process.send_signal(number)
    sent = time.monotonic()
    process.wait(60)
    seconds = time.monotonic() - sent
    return process.returncode, log.read_text(), seconds if handled else BEFORE, below


def handles(pid: int) -> bool:
    """Whether a process handles, or ignores, the last of the signals that it takes."""
    with suppress(OSError):  # it has just ended
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return bool((int(status["SigCgt"], 16) | int(status["SigIgn"], 16)) & 1 << signal.SIGHUP - 1)
    return True
