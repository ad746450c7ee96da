"""The process beside a search that brings its trackers up: ``python -m scale_tune.tracking.follower RUN_DIR``.

It ends with the search: its standard input is a pipe that the driver holds, on which a line says that the search is
done, so that the last round is due. What a user should know of is a line of its standard output; what trackers print
goes where its standard error does.
"""

import os
import signal
import sys
import threading
import time
import traceback

from scale_tune.errors import UserError
from scale_tune.spec.config import TrackerName
from scale_tune.storage.rundir import RunDir
from scale_tune.tracking.bringing_up import BringingUp

LOOK_SECONDS = 5.0
"""From one round to the next."""
AFTER_FAILURE_SECONDS = 60.0
SHARE = 0.05
"""Of the time, at most, that rounds may take: reading a large ledger is work."""


def main() -> None:
    """Rounds, until the search is done or gone."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.nice(10)
    done = threading.Event()
    threading.Thread(target=_listen, args=(done,), daemon=True).start()
    run = RunDir(sys.argv[1])
    warned: set[TrackerName] = set()
    with BringingUp(run, run.read_spec().track) as trackers:
        while True:
            last, began = done.is_set(), time.monotonic()
            try:
                trackers.bring_up()
            except (UserError, OSError):  # a damaged record, an unreachable storage: the search says it better
                traceback.print_exc()
            for name, error in trackers.failures.items():
                traceback.print_exception(error)
                if name not in warned:
                    print(f"warning: {name} lags behind: {' '.join(str(error).split())[:300]}", file=lines)
            warned |= set(trackers.failures)
            if last:
                break
            pause = max(LOOK_SECONDS, (time.monotonic() - began) / SHARE)
            done.wait(max(pause, AFTER_FAILURE_SECONDS) if trackers.failures else pause)
        for name, how in trackers.how_to_look().items():
            if name not in trackers.failures:
                print(f"{name} has it all: {how}", file=lines)
    sys.exit(1 if trackers.failures else 0)


def _listen(done: threading.Event) -> None:
    if sys.stdin.readline():
        done.set()
        sys.stdin.read()
    # The driver is gone, and with it goes what this process has started.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
