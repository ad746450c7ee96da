"""The commands: real processes in a group of their own, as a user starts them, or what these run, called here."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from scale_tune.cli.analyze import main as analyze
from scale_tune.cli.tune import main as tune
from scale_tune.search.stopping import SIGNALS
from tests.conftest import REPOSITORY

MAIN: dict[str, Callable[[], object]] = {"tune": tune, "analyze": analyze}
HANDLED = (*SIGNALS, signal.SIGALRM)
"""Signals whose handlers the commands set."""


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(REPOSITORY / f"{script}.py"), *map(str, arguments)]


def run(script: str, *arguments: object, cwd: Path | None = None, timeout: float = 240) -> subprocess.CompletedProcess:
    return subprocess.run(command(script, *arguments), capture_output=True, text=True, timeout=timeout, cwd=cwd)


class Terminal(io.StringIO):
    """What is printed here is as on a terminal, of ``$COLUMNS`` columns."""

    def isatty(self) -> bool:
        return True


def call(
    script: str, *arguments: object, cwd: Path | None = None, terminal: bool = False
) -> subprocess.CompletedProcess:
    """As ``run``, but in the test's own process, which saves the two seconds of a start.

    Where ``run`` would have a traceback in its ``stderr``, the error is raised here.
    """
    words = [f"{script}.py", *map(str, arguments)]
    out, err = Terminal() if terminal else io.StringIO(), io.StringIO()
    code: object = 0
    with (
        chdir(cwd or "."),
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", words),
        patch.object(sys, "excepthook"),  # typer sets one
        handlers_kept(),
    ):
        try:
            MAIN[script]()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@contextmanager
def handlers_kept() -> Iterator[None]:
    """What a command sets as handlers of signals is undone."""
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def measured(script: str, *arguments: object) -> Cost:
    """Run a command to its end, which must be a good one.

    A small process starts it, since to Linux the peak of a new process is at least what its parent had.
    """
    started = time.monotonic()
    small = [sys.executable, "-S", "-c", MEASURE, *command(script, *arguments)]
    printed = subprocess.run(small, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return Cost(
        seconds=time.monotonic() - started,
        cpu_seconds=float(printed[0]),
        peak_bytes=int(printed[1]) * 1024,  # Linux counts in KiB
    )


def altered_checkout(directory: Path, module: str, old: str, new: str) -> Path:
    """A ``tune.py`` whose workers run another version of a module. Its current directory must not be this checkout."""
    copy = directory / "checkout"
    shutil.copytree(REPOSITORY / "scale_tune", copy / "scale_tune")
    shutil.copy(REPOSITORY / "tune.py", copy)
    path = copy / "scale_tune" / module
    source = path.read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    return copy / "tune.py"


def start(script: str, *arguments: object, log: Path) -> subprocess.Popen:
    """A command in the background, with its output in a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command(script, *arguments), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def kill_group(process: subprocess.Popen) -> None:
    """kill -9 of the driver and of all that is in its process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def wait_until(
    condition: Callable[[], object], process: subprocess.Popen, log: Path, limit: float = 120, interval: float = 0.05
) -> None:
    """Wait for a condition while a process runs; a process that ends first, or the limit, is a failure."""
    deadline = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"nothing after {limit} s:\n{log.read_text()}"
        time.sleep(interval)
