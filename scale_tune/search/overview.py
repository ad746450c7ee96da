"""The trials of a search in a few lines: how many have ended and how, what runs, what is best so far."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scale_tune.ledger.studies import LedgerState, LedgerTrial, best_trials_first
from scale_tune.spec.space import RunSpec

ENDED = (LedgerState.COMPLETE, LedgerState.PRUNED, LedgerState.FAILED)
GAP = 2
"""Blanks between two columns."""
LONGEST_NAME = 26
"""A longer name of a method is folded."""

Preparing = Mapping[str, tuple[int, int]]
"""Of trials that train epochs without an objective, as those that prepare: how many they have trained, of how many."""


def counts(trials: Sequence[LedgerTrial], spec: RunSpec, unended: str = "running") -> str:
    """How many trials have ended, and how; what has begun and has not ended is called ``unended``."""
    of = Counter(trial.state for trial in trials)
    ended = sum(of[state] for state in ENDED)
    how = ", ".join(f"{of[state]} {state}" for state in ENDED)
    return f"{ended} of {spec.total_samples} trials ended: {how}; {of[LedgerState.RUNNING]} {unended}"


def share_done(trials: Iterable[LedgerTrial], spec: RunSpec) -> float:
    """From 0 to 1: trials that have ended count as 1, others as the share of their epochs that they have trained."""
    done = sum(1.0 if t.state.ended else len(t.objectives) / spec.method_epochs(t.method) for t in trials)
    return min(1.0, done / max(1, spec.total_samples))


def methods_table(trials: Iterable[LedgerTrial], spec: RunSpec, unended: str = "running") -> Table:
    """A row per method: how many of its trials ended and how, and the best objective so far."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    table.add_column("method", max_width=LONGEST_NAME, overflow="fold")
    for column in (*map(str, ENDED), unended, "of", "best"):
        table.add_column(column, justify="right", no_wrap=True)
    for method, own in _by_method(trials, spec).items():
        of = Counter(trial.state for trial in own)
        numbers = [str(of[state]) for state in (*ENDED, LedgerState.RUNNING)]
        table.add_row(method, *numbers, str(spec.method_samples(method)), _objective(best_trial(own, spec)))
    return table


def methods_overview(
    trials: Sequence[LedgerTrial], spec: RunSpec, width: int, unended: str = "running"
) -> Table | Text:
    """A row per method if there is room for its columns, else several methods in a line."""
    table = methods_table(trials, spec, unended)
    needed = Console(width=10 * LONGEST_NAME).measure(table).maximum
    return table if needed <= width else brief_methods(trials, spec, width)


def brief_methods(trials: Iterable[LedgerTrial], spec: RunSpec, width: int) -> Text:
    """As :func:`methods_table`, several methods in a line: how many of its trials ended, and the best objective."""
    cells = []
    for method, own in _by_method(trials, spec).items():
        ended = sum(trial.state.ended for trial in own)
        cells.append(f"{method} {ended}/{spec.method_samples(method)} {_objective(best_trial(own, spec))}".rstrip())
    return _in_lines(cells, width)


def running_trials(trials: Iterable[LedgerTrial], spec: RunSpec, preparing: Preparing, width: int) -> Text:
    """How far each of some trials is, several in a line."""
    return _in_lines([how_far(trial, spec, preparing) for trial in trials], width)


def how_far(trial: LedgerTrial, spec: RunSpec, preparing: Preparing) -> str:
    """As ``scale-00017 3/8``: the epochs it has trained, of how many."""
    if trial.name in preparing:
        trained, of = preparing[trial.name]
        return f"{trial.name} {'catches up' if trial.objectives else 'prepares'} {trained}/{of}"
    return f"{trial.name} {len(trial.objectives)}/{spec.method_epochs(trial.method)}"


def best_lines(trials: Iterable[LedgerTrial], spec: RunSpec) -> list[str]:
    """Each method's best trial, with its config."""
    return [
        best_line(trial) for own in _by_method(trials, spec).values() if (trial := best_trial(own, spec)) is not None
    ]


def best_line(trial: LedgerTrial) -> str:
    """As ``best scale-00005 0.705: lr=0.0123 batch_size=16``."""
    return f"best {trial.name} {_objective(trial)}: {describe(trial.params)}".rstrip(": ")


def best_trial(trials: Iterable[LedgerTrial], spec: RunSpec) -> LedgerTrial | None:
    """The trial with the highest objective so far, ended or not; None before the first epoch.

    In a race, one whose objective is of all seeds, if there is any.
    """
    known = [trial for trial in trials if trial.state is not LedgerState.FAILED]
    whole = [trial for trial in known if spec.seeds_in(trial.method, len(trial.objectives)) == len(spec.seeds)]
    return next(iter(best_trials_first(whole) or best_trials_first(known)), None)


def describe(params: Mapping[str, object]) -> str:
    """As ``lr=0.0123 batch_size=16``."""
    return " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items())


def duration(seconds: float) -> str:
    """As ``1h05m``, ``2m10s`` or ``9s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _in_lines(cells: Sequence[str], width: int) -> Text:
    """As many in a line as have room, below each other where none is much longer than the others."""
    longest = max(map(len, cells), default=0)
    padding = longest if 2 * longest + GAP <= width else 0
    lines = [""]
    for cell in cells:
        if lines[-1] and len(lines[-1]) + GAP + len(cell) > width:
            lines.append("")
        lines[-1] += " " * GAP * bool(lines[-1]) + cell.ljust(padding)
        if padding and len(lines[-1]) + GAP + padding > width:
            lines.append("")
    return Text("\n".join(line.rstrip() for line in lines if line), overflow="fold")


def _by_method(trials: Iterable[LedgerTrial], spec: RunSpec) -> dict[str, list[LedgerTrial]]:
    found: dict[str, list[LedgerTrial]] = {method: [] for method in spec.methods}
    for trial in trials:
        found.setdefault(trial.method, []).append(trial)
    return found


def _objective(trial: LedgerTrial | None) -> str:
    return "" if trial is None else f"{trial.objective:.3f}"
