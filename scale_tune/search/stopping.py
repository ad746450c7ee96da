"""Stopping a command in good time: by a signal, when its time is up, or because the machine can't go on.

Nothing that a later start needs is only in memory, so a command may end wherever it is, and by default a signal ends it
at once: an exception out of nowhere would be lost, or end in a traceback, in much of what is called here. While trials
train, a wish to stop is only noted, and the search ends between two of its steps; an analysis is interrupted, to write
what it has. A second signal ends these at once as well.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import ClassVar, Self

from scale_tune.errors import UserError

STOPPED = 3
"""Exit code: stopped, and can be resumed."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Ctrl-C; what schedulers send before they kill; what Slurm is told to send ahead of that; a terminal that is gone."""
DEAF_SECONDS = 5.0
"""So long Python may take to handle a signal, which it does between two instructions, and not while it waits in Ray."""

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MOST_SECONDS = 3650 * _UNITS["d"]
"""Of a time budget; clocks count farther, but not without end."""


class SearchStopped(BaseException):
    """Ends a search from within what Ray calls; Ray handles every :class:`Exception` itself."""


class Stop:
    """Whether the command is to stop, and why; within a ``with``, it has the signals.

    Args:
        budget: seconds from then on after which it is to; None: never.
        interrupts: whether a first signal raises a :class:`KeyboardInterrupt` and does not end the process at once.
    """

    current: "ClassVar[Stop | None]" = None
    """The one that has the signals."""
    handled = 0
    """How many signals it and those before it have had."""

    def __init__(self, budget: float | None = None, *, interrupts: bool = False) -> None:
        self.reason: str | None = None
        """Why it is to stop; None while it isn't."""
        self.how_to_go_on = "start it again by the same command"
        """What is said to the user at the end."""
        self._budget = budget
        self._interrupts = interrupts
        self._searching = False

    def __enter__(self) -> Self:
        self._outer, Stop.current = Stop.current, self
        self.install()
        signal.setitimer(signal.ITIMER_REAL, self._budget or 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        Stop.current = self._outer
        if self._outer is not None:
            self._outer.reason = self._outer.reason or self.reason
            self._outer.install()

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

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """While something waits that may be left out: a first signal raises a :class:`KeyboardInterrupt`."""
        before, self._interrupts = self._interrupts, True
        try:
            yield
        finally:
            self._interrupts = before

    def install(self) -> None:
        """Take the signals; again, if somebody else took them meanwhile, as Ray does."""
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._on_signal)
        signal.signal(signal.SIGALRM, self._on_time_up)

    def end_at_once(self) -> None:
        """End this process, whatever it waits for."""
        show_cursor = "\x1b[?25h" if os.isatty(2) else ""  # which the live table or the spinner had hidden
        with suppress(OSError):  # of a terminal that is gone
            os.write(2, f"{show_cursor}\nstopped, as {self.reason}; {self.how_to_go_on}\n".encode())
        os._exit(STOPPED)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        Stop.handled += 1
        name = signal.Signals(number).name
        if number == signal.SIGHUP:
            _do_without_terminal()
        again = self.reason is not None
        self.wish(f"{name} was received")
        if again or not (self._searching or self._interrupts):
            self.end_at_once()
        if not self._searching:
            raise KeyboardInterrupt
        said = f"{name}: stopping; once more to end at once"
        # A live table is redrawn from its last line upwards: in that line's place nothing is moved.
        on_table = os.isatty(1) and os.isatty(2)
        os.write(2, f"\r\x1b[2K{said}".encode() if on_table else f"\n{said}\n".encode())

    def _on_time_up(self, number: int, frame: FrameType | None) -> None:
        Stop.handled += 1
        if self.reason is None:
            self.wish("its time is up")
            if not self._searching:
                self.end_at_once()


def _do_without_terminal() -> None:
    """What is printed from now on goes nowhere if the terminal that it went to is gone: it would be an error."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def never_deaf() -> None:
    """Have this process end at once if a signal comes and Python can't handle it, as where Ray waits for a cluster."""
    told, tells = os.pipe()
    os.set_blocking(tells, False)
    signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # a child's signals are its own

    def listen() -> None:
        received = 0
        while number := os.read(told, 1):
            received += 1
            time.sleep(DEAF_SECONDS)
            if Stop.handled < received and (stop := Stop.current) is not None:
                stop.wish(f"{signal.Signals(number[0]).name} was received")
                stop.end_at_once()

    threading.Thread(target=listen, daemon=True).start()


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
