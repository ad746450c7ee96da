"""How a command begins and ends: from its first line to its last a signal is handled, and its exit code is one of ours.

A signal that comes before, while Python itself starts, ends the process as it ends any: to a shell with 130 or 143.
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import NoReturn

from scale_tune.search.stopping import SIGNALS, STOPPED, Stop, never_deaf
from scale_tune.shown import shown
from scale_tune.storage.full import what_is_full

CODES = (0, 2, STOPPED, 4)
"""That a command ends with by itself; 2 and 4 are those of :mod:`scale_tune.errors`."""


def tune() -> NoReturn:
    """The command ``tune.py``."""
    run(lambda: import_module("scale_tune.cli.tune").main())


def analyze() -> NoReturn:
    """The command ``analyze.py``."""
    run(lambda: import_module("scale_tune.cli.analyze").main())


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command; whatever it imports, it does so within, as that takes a while.

    Args:
        command: raises :class:`SystemExit` with its exit code.
    """
    atexit.register(_ignore)  # first, and so called last
    atexit.register(gc.freeze)  # at its end a process looks for no garbage, which takes half a second
    with Stop() as stop:
        never_deaf()
        code: object = 0
        try:
            command()
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            full = what_is_full(error)
            if stop.reason is None and full is None:  # a mistake of ours, with its traceback
                raise
            if full is not None:
                print(shown(f"stopped, as there is no space left {full}; the same command goes on"), file=sys.stderr)
            elif not isinstance(error, KeyboardInterrupt):  # perhaps what a library makes of one, perhaps a mistake
                print(shown(f"stopped, as {stop.reason}; on the way: {error!r:.500}"), file=sys.stderr)
            code = STOPPED
        if stop.reason is not None and code not in CODES:  # as it was interrupted where nobody expected it
            code = STOPPED
        _nothing_is_left_to_do(code if isinstance(code, int) else 1)
    sys.exit(code)  # type: ignore[arg-type]


def _nothing_is_left_to_do(code: int) -> None:
    """From now on a signal only spares the rest of the process."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()

    def end(number: int, frame: FrameType | None) -> None:
        os._exit(code)

    for number in SIGNALS:
        signal.signal(number, end)


def _ignore() -> None:
    """Python would let signals kill the process while it takes itself apart."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":  # as a job: python -m scale_tune.cli.entry tune …
    name = sys.argv.pop(1)
    sys.argv[0] = f"{name}.py"
    {"tune": tune, "analyze": analyze}[name]()
