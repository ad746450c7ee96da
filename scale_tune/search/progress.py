"""What a search shows while it runs: a live table on a terminal, plain lines in a log file."""

import time
from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, LedgerTrial, best_trials_first
from scale_tune.spec.space import RunSpec

ENDED = (LedgerState.COMPLETE, LedgerState.PRUNED, LedgerState.FAILED)
TERMINAL_SECONDS = 1.0
LOG_SECONDS = 30.0


class Progress:
    """Shows the ledger's state; call :meth:`show` as often as you like.

    On a terminal the table is redrawn every second. Elsewhere a line is printed when a trial has ended, and every
    30 seconds.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.shown = float("-inf")
        self.ended_at_start: int | None = None
        self.ended_shown = 0
        self.ledger: Ledger | None = None
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.ledger is not None:
            self._show(self.ledger, last=True)
        if self.live:
            self.live.stop()

    def show(self, ledger: Ledger) -> None:
        """Show the state now, if it is time to."""
        self.ledger = ledger
        if time.monotonic() - self.shown >= TERMINAL_SECONDS:
            self._show(ledger, last=False)

    def say(self, text: str) -> None:
        """Print a line that a user should know of; on a terminal, above the table."""
        self.console.print(text, soft_wrap=True)

    def _show(self, ledger: Ledger, *, last: bool) -> None:
        now = time.monotonic()
        trials = ledger.trials()
        ended = sum(trial.state.ended for trial in trials)
        if self.ended_at_start is None:
            self.ended_at_start = self.ended_shown = ended
        pace = self._pace(ended, ledger)
        if self.live:
            best = best_lines(trials, ledger.spec)
            self.live.update(Group(progress_table(trials, ledger.spec), *best, pace), refresh=True)
        elif ended > self.ended_shown or (not last and now - self.shown >= LOG_SECONDS):
            self.console.print(f"{progress_line(trials, ledger)} | {pace}", soft_wrap=True)
        else:
            return
        self.shown, self.ended_shown = now, ended

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def _pace(self, ended: int, ledger: Ledger) -> str:
        elapsed = self.elapsed
        text = f"{duration(elapsed)} elapsed"
        ended_now = ended - (self.ended_at_start or 0)
        if ended_now:
            total = ledger.spec.total_samples
            left = elapsed / ended_now * max(0, total - ended)
            text += f", {60 * ended_now / elapsed:.1f} trials/min, about {duration(left)} left"
        return text


def progress_line(trials: list[LedgerTrial], ledger: Ledger) -> str:
    """Counts and each method's best, in one line."""
    counts = Counter(trial.state for trial in trials)
    total = ledger.spec.total_samples
    parts = [f"{sum(counts[state] for state in ENDED)}/{total} trials ended"]
    parts += [f"{counts[state]} {state}" for state in (*ENDED, LedgerState.RUNNING)]
    best = [best_trial(trials, method) for method in ledger.spec.methods]
    parts += [f"best {trial.name} {trial.objective:.3f}" for trial in best if trial]
    return ", ".join(parts)


def progress_table(trials: list[LedgerTrial], spec: RunSpec) -> Table:
    """A row per method: counts, and the best objective so far."""
    table = Table()
    for column in ("method", *ENDED, "running", "of", "best"):
        table.add_column(str(column), justify="left" if column == "method" else "right", no_wrap=True)
    for method in spec.methods:
        counts = Counter(trial.state for trial in trials if trial.method == method)
        best = best_trial(trials, method)
        table.add_row(
            method,
            *(str(counts[state]) for state in (*ENDED, LedgerState.RUNNING)),
            str(spec.method_samples(method)),
            f"{best.objective:.3f}" if best else "",
        )
    return table


def best_lines(trials: list[LedgerTrial], spec: RunSpec) -> list[str]:
    """Each method's best trial with its config."""
    best = [best_trial(trials, method) for method in spec.methods]
    return [f"best {trial.name} {describe(trial.params)}" for trial in best if trial]


def best_trial(trials: list[LedgerTrial], method: str) -> LedgerTrial | None:
    """The trial of a method with the highest objective so far, ended or not; None before the first epoch."""
    eligible = (trial for trial in trials if trial.method == method and trial.state is not LedgerState.FAILED)
    return next(iter(best_trials_first(eligible)), None)


def describe(params: dict[str, object]) -> str:
    """As ``lr=0.0123 batch_size=16``."""
    return " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items())


def duration(seconds: float) -> str:
    """As ``1h05m``, ``2m10s`` or ``9s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
