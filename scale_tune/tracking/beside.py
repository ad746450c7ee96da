"""Trackers beside a search, in a process of their own: what hangs, crashes or waits there is no concern of its."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from scale_tune.spec.config import TrackerName
from scale_tune.storage.rundir import RunDir

LAST_ROUND_SECONDS = 120.0
"""How long an ended search waits for its trackers."""
SAY_SECONDS = 5.0
LOG = "tracking.log"
"""In the run's directory: what trackers print, and the tracebacks of what went wrong."""


class Beside:
    """Brings the trackers of a run up while it is searched.

    Args:
        run: the run.
        names: of its trackers; none is nothing to do.
        say: called from another thread with each line that a user should know of.
    """

    def __init__(self, run: RunDir, names: tuple[TrackerName, ...], say: Callable[[str], None]) -> None:
        self.run = run
        self.names = names
        self.say = say
        self._process: subprocess.Popen[str] | None = None
        self._expected = False
        """Whether the process is to end."""

    def __enter__(self) -> Self:
        if not self.names:
            return self
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        log = os.devnull if self.run.path.local is None else self.run.path.local / LOG
        try:
            with Path(log).open("a") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "scale_tune.tracking.follower", str(self.run.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env=os.environ | {"PYTHONPATH": path},
                    start_new_session=True,
                )
        except OSError as error:  # no room for a log or a process: the search says it better
            self.say(f"warning: trackers are not brought up: {error}; {self._how_to_catch_up()}")
            return self
        self._lines = threading.Thread(target=self._pass_on, args=(self._process,), daemon=True)
        self._lines.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._expected = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._lines.join(SAY_SECONDS)
            if self._process.stdin is not None:
                self._process.stdin.close()

    def finish(self) -> None:
        """Wait for what is left to be written once the search has ended; Ctrl-C ends that, and so does time."""
        if self._process is None or self._process.stdin is None or self._process.poll() is not None:
            return
        self._expected = True
        began = time.monotonic()
        try:
            self._process.stdin.write("done\n")
            self._process.stdin.flush()
            while time.monotonic() - began < LAST_ROUND_SECONDS:
                with suppress(subprocess.TimeoutExpired):
                    if self._process.wait(SAY_SECONDS) != 0:
                        break
                    return
                self.say(f"the last trials are on their way to {', '.join(self.names)}")
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        self.say(f"not everything has reached {', '.join(self.names)}; {self._how_to_catch_up()}")

    def _how_to_catch_up(self) -> str:
        path = shlex.quote(str(self.run.path))
        return f"make up for it by\n  python analyze.py {path} --track {','.join(self.names)}"

    def _pass_on(self, process: "subprocess.Popen[str]") -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self.say(line.rstrip())
        if process.wait() != 0 and not self._expected:
            log = "" if self.run.path.local is None else f", see {self.run.path.local / LOG}"
            self.say(f"warning: trackers are no longer brought up{log}; {self._how_to_catch_up()}")
