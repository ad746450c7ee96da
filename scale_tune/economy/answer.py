"""All that can be told of a run: what it cost, what smaller searches would have found, and what can't be said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.grouped import Note, grouped
from scale_tune.economy.curves import Curves, Refused, curves_of
from scale_tune.economy.panel import ORDERS, Panel, judged


@dataclass(frozen=True, kw_only=True)
class Economy:
    """What was found of a run."""

    run: str
    panel: Panel | None
    """Of the methods that can be replayed; None if none can."""
    notes: list[str]
    """What can't be told, and why."""


def economy_of(tables: RunTables, *, orders: int = ORDERS, workers: int = 1, races: bool = True) -> Economy:
    """What can be told of a run.

    Args:
        tables: its own.
        orders: random orders in which each policy is replayed.
        workers: trials at once.
        races: whether races of seeds are replayed, too.
    """
    found = list(curves_of(tables))
    sound = [each for each in found if isinstance(each, Curves) and each.no_replay is None]
    panel = judged(tables.spec, sound, orders=orders, workers=workers, races=races) if sound else None
    return Economy(run=tables.name, panel=panel, notes=_notes(found))


def _notes(found: Sequence[Curves | Refused]) -> list[str]:
    datasets = len({each.dataset for each in found})
    notes = [
        Note(subject=each.method, dataset=each.dataset if datasets > 1 else "", text=text)
        for each in found
        for text in _of(each)
    ]
    return grouped(notes, datasets)


def _of(found: Curves | Refused) -> Iterator[str]:
    if isinstance(found, Refused):
        yield found.reason
    elif found.no_replay is not None:
        yield f"not replayed, since {found.no_replay}"
    elif found.left_out:
        yield f"not among what was replayed: {', '.join(found.left_out)}"
