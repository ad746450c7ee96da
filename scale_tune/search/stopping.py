"""Stopping a search in good time: by a signal, when its time is up, or because the machine can't go on.

While trials train, a wish to stop is only noted, and the search ends between two of its steps. Everything else is
interrupted as Ctrl-C interrupts any Python program. A second signal ends the process at once: nothing that a resumed
run needs is only in memory.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from scale_tune.errors import UserError

STOPPED = 3
"""Exit code: stopped, and can be resumed."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; what schedulers send before they kill; what Slurm is told to send ahead of that."""

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MOST_SECONDS = 3650 * _UNITS["d"]
"""Of a time budget; clocks count farther, but not without end."""


class SearchStopped(BaseException):
    """Ends a search from within what Ray calls; Ray handles every :class:`Exception` itself."""


class Stop:
    """Whether the search is to stop, and why.

    Args:
        budget: seconds from now after which it is to; None: never.
    """

    def __init__(self, budget: float | None = None) -> None:
        self.reason: str | None = None
        """Why it is to stop; None while it isn't."""
        self.how_to_go_on = "start it again by the same command"
        """What is said to the user at the end."""
        self._searching = False
        self.install()
        signal.signal(signal.SIGALRM, self._on_time_up)
        signal.setitimer(signal.ITIMER_REAL, budget or 0)

    def wish(self, reason: str) -> None:
        """Have the search stop after its current step."""
        self.reason = self.reason or reason

    @contextmanager
    def noted(self) -> Iterator[None]:
        """While trials train: whoever drives them looks at :attr:`reason`."""
        self._searching = True
        try:
            yield
        finally:
            self._searching = False

    def install(self) -> None:
        """Take the signals; again, if somebody else took them meanwhile, as Ray does."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def end_at_once(self) -> None:
        """End this process, whatever it waits for."""
        show_cursor = "\x1b[?25h" if os.isatty(2) else ""  # which the live table had hidden
        os.write(2, f"{show_cursor}\nended at once, as {self.reason}; {self.how_to_go_on}\n".encode())
        os._exit(STOPPED)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.reason is not None:
            self.end_at_once()
        self.wish(f"{name} was received")
        if not self._searching:
            raise KeyboardInterrupt
        said = f"{name}: stopping; once more to end at once"
        # A live table is redrawn from its last line upwards: in that line's place nothing is moved.
        on_table = os.isatty(1) and os.isatty(2)
        os.write(2, f"\r\x1b[2K{said}".encode() if on_table else f"\n{said}\n".encode())

    def _on_time_up(self, number: int, frame: FrameType | None) -> None:
        if self.reason is None:
            self.wish("its time is up")
            if not self._searching:
                raise KeyboardInterrupt


def parse_budget(text: str) -> float:
    """Seconds in ``90s``, ``30m``, ``2h``, ``1h30m`` or ``1d``.

    Raises:
        UserError: it is nothing of the kind.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text.strip())
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text.strip() or seconds == 0:
        raise UserError(f"--time-budget: must be a time, as 90s, 30m, 2h or 1h30m, got {text!r}")
    if seconds > MOST_SECONDS:
        raise UserError(
            f"--time-budget: must be at most {MOST_SECONDS // 86400}d, got {text!r}; leave it out for no end"
        )
    return seconds
