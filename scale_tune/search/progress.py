"""What a search shows while it runs: a bar and tables on a terminal, plain lines in a log file."""

import math
import time
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerTrial
from scale_tune.search.overview import (
    best_line,
    best_lines,
    best_trial,
    brief_methods,
    counts,
    duration,
    how_far,
    methods_overview,
    running_trials,
    share_done,
)
from scale_tune.search.timeleft import TimeLeft
from scale_tune.spec.space import RunSpec

LOOK_SECONDS, LOOK_SHARE = 1.0, 0.02
"""Between two looks at the ledger, and of the time at most; a terminal is redrawn after each."""
LINE_SECONDS, LINE_SHARE, MOST_LINE_SECONDS = 4.0, 1 / 720, 60.0
"""Between two lines of a log file: five seconds in the first hour, later this share of the time that has passed."""
NEARLY = 10.0
"""Fewer seconds left are no number: the last trials are tested and closed, which nobody has measured."""
LINE_WIDTH = 80
"""Of a log file's line on how far the search is: running trials that have no room in it are left out."""


class Progress:
    """Shows the ledger's state; call :meth:`show` as often as you like.

    On a terminal the display is redrawn every second, or less often where it has thousands of trials. Elsewhere a line
    is printed for each trial that has ended, and every few seconds one on how far the search is.

    Args:
        console: where.
        spec: what is searched.
    """

    def __init__(self, console: Console, spec: RunSpec) -> None:
        self.console = console
        self.started = time.monotonic()
        self.time = TimeLeft(spec, self.started)
        """To be told what workers do."""
        self._next_look = self._said = float("-inf")
        self._known_to_have_ended: set[str] | None = None
        self._best: str | None = None
        self._ledger: Ledger | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()
        if self._ledger is not None:
            trials = self._ledger.trials()
            if not self._live:
                self._say_ended(trials, self._ledger.spec)
            for line in (counts(trials, self._ledger.spec), *best_lines(trials, self._ledger.spec)):
                self.say(line)

    def show(self, ledger: Ledger) -> None:
        """Show the state now, if it is time to."""
        self._ledger = ledger
        now = time.monotonic()
        if now < self._next_look:
            return
        self._look(ledger, now)
        self._next_look = now + max(LOOK_SECONDS, (time.monotonic() - now) / LOOK_SHARE)

    def _look(self, ledger: Ledger, now: float) -> None:
        trials = ledger.trials()
        left = self.time.left(trials, now)
        if self._live:
            self._live.update(self._display(trials, ledger.spec, left), refresh=True)
            return
        self._say_ended(trials, ledger.spec)
        if not ledger.done and now - self._said >= min(MOST_LINE_SECONDS, max(LINE_SECONDS, LINE_SHARE * self.elapsed)):
            self.say(self._line(trials, ledger.spec, left))

    def say(self, text: str) -> None:
        """Print a line that a user should know of; on a terminal, above the display."""
        self._said = time.monotonic()
        self.console.print(text, soft_wrap=True)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def _say_ended(self, trials: Sequence[LedgerTrial], spec: RunSpec) -> None:
        """A line for each trial that has ended since the last look, and one where another config is the best."""
        ended = {trial.name for trial in trials if trial.state.ended}
        known = self._known_to_have_ended
        self._known_to_have_ended = ended
        best = best_trial(trials, spec)
        if known is None:  # an earlier start of the driver has said it
            self._best = best.name if best is not None and best.state.ended else None
            return
        new = ended - known
        for trial in trials:
            if trial.name in new and trial.error is None:  # a failure is said at once
                self.say(f"{trial.name} {trial.state}, {how_long(trial)}")
        if best is not None and best.state.ended and best.name != self._best:
            self._best = best.name
            self.say(best_line(best))

    def _display(self, trials: Sequence[LedgerTrial], spec: RunSpec, left: float | None) -> RenderableType:
        """As much as the terminal has room for; what is cut would be the end, which is the newest."""
        room = self.console.height - 1
        for parts in self._displays(trials, spec, left):
            display = Group(*parts)
            if len(self.console.render_lines(display, pad=False)) <= room:
                break
        return display

    def _displays(
        self, trials: Sequence[LedgerTrial], spec: RunSpec, left: float | None
    ) -> Iterator[list[RenderableType]]:
        """From the fullest to the briefest."""
        at_work, width = self._at_work(trials), self.console.width
        bar = self._bar(trials, spec, left)
        running: list[RenderableType] = ["waiting for a worker …"]
        if at_work:
            running = ["running (epochs trained)", running_trials(at_work, spec, self._preparing(), width)]
        best = best_trial(trials, spec)
        ends: list[RenderableType] = [] if best is None else [best_line(best)]
        yield [bar, methods_overview(trials, spec, width), *running, *ends]
        yield [bar, brief_methods(trials, spec, width), *running, *ends]
        yield [bar, *running, *ends]
        yield [bar, *ends]
        yield [bar]

    def _bar(self, trials: Sequence[LedgerTrial], spec: RunSpec, left: float | None) -> RenderableType:
        share = share_done(trials, spec)
        text = f"{_percent(share):>4}  {_ended(trials, spec)}  {self._times(left)}"
        bar = ProgressBar(total=1, completed=share, width=max(4, min(40, self.console.width - len(text) - 2)))
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(bar, text)
        return row

    def _line(self, trials: Sequence[LedgerTrial], spec: RunSpec, left: float | None) -> str:
        line = f"{_percent(share_done(trials, spec))}, {_ended(trials, spec)}, {self._times(left)}"
        at_work = [how_far(trial, spec, self._preparing()) for trial in self._at_work(trials)]
        for shown in range(len(at_work), 0, -1):
            more = f" and {len(at_work) - shown} more" * (shown < len(at_work))
            running = f"; running {', '.join(at_work[:shown])}{more}"
            if shown == 1 or len(line + running) <= LINE_WIDTH:
                return line + running
        return f"{line}; waiting for a worker"

    def _times(self, left: float | None) -> str:
        if left is None:
            return duration(self.elapsed)
        return f"{duration(self.elapsed)}, " + ("nearly done" if left < NEARLY else f"about {duration(left)} left")

    def _at_work(self, trials: Sequence[LedgerTrial]) -> list[LedgerTrial]:
        return [trial for trial in trials if trial.name in self.time.work and not trial.state.ended]

    def _preparing(self) -> dict[str, tuple[int, int]]:
        return {name: (work.prepared, work.of) for name, work in self.time.work.items() if work.of}


def how_long(trial: LedgerTrial) -> str:
    """As ``8 epochs, 0.705``."""
    epochs = len(trial.objectives)
    return f"{epochs} epoch{'s' * (epochs != 1)}" + ("" if trial.objective is None else f", {trial.objective:.3f}")


def _percent(share: float) -> str:
    """Rounded down: all of it is done when the last trial has ended, not before."""
    return f"{math.floor(100 * share + 1e-9)}%"


def _ended(trials: Sequence[LedgerTrial], spec: RunSpec) -> str:
    return f"{sum(trial.state.ended for trial in trials)}/{spec.total_samples} trials ended"
