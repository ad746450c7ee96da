"""All that can be told of a run: what it cost, what smaller searches would have found, and what can't be said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from scale_tune.analysis.comparison import dataset_names
from scale_tune.analysis.entries import RunTables, entries
from scale_tune.analysis.grouped import Note, grouped
from scale_tune.economy import leads, power
from scale_tune.economy.budgets import Drawn, drawn_of
from scale_tune.economy.fidelity import Fidelity, fidelity, warning
from scale_tune.economy.lookup import Curves, Refused, curves_of
from scale_tune.economy.panel import ORDERS, Panel, judged
from scale_tune.economy.power import Power
from scale_tune.economy.replay import Replayed, random_orders
from scale_tune.economy.warm_starts import warm_starts


@dataclass(frozen=True, kw_only=True)
class Apart:
    """What it takes to tell the two best methods on some data apart."""

    dataset: str
    first: str
    second: str
    found: Power

    @property
    def said(self) -> list[str]:
        """In sentences."""
        return power.said(self.first, self.second, self.found)


@dataclass(frozen=True, kw_only=True)
class Economy:
    """What was found of a run."""

    run: str
    panel: Panel | None
    """Of the methods that can be replayed; None if none can."""
    ranks: list[tuple[Curves, Fidelity]]
    """How well epochs foretell the end."""
    draws: list[tuple[Curves, Drawn]]
    """Of methods of which it can be said what fewer random draws would have reached."""
    apart: list[Apart]
    notes: list[str]
    """What can't be told, and why."""
    starts: list[dict[str, Replayed]] = field(default_factory=list)
    """Of each lookup of the panel: half of the recommended policy's trials, by what comes first."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be told."""
        return not (self.panel or self.ranks or self.draws or self.apart)

    @property
    def warnings(self) -> list[str]:
        """Where early ranks mislead."""
        datasets = len({curves.dataset for curves, _ in self.ranks})
        named = [(f"{c.method} on {c.dataset}" if datasets > 1 else c.method, found) for c, found in self.ranks]
        return [text for name, found in named if (text := warning(found, name)) is not None]

    @property
    def leading(self) -> Iterator[str]:
        """Who leads at which budget: the method that ends first on val against each other one."""
        for dataset, of_data in groupby(self.draws, lambda each: each[0].dataset):
            found = sorted(of_data, key=lambda each: -max(each[0].final[each[0].selectable]))
            several = len({curves.dataset for curves, _ in self.draws}) > 1
            for curves, drawn in found[1:]:
                best, of_best = found[0]
                said = leads.said(best.method, curves.method, leads.leads(of_best, drawn, "val"))
                yield from (f"on {dataset}: {line}" if several else line for line in said)


def economy_of(
    tables: RunTables,
    *,
    orders: int = ORDERS,
    workers: int = 1,
    brief: bool = False,
    replayed: bool = True,
    others: Sequence[RunTables] = (),
) -> Economy:
    """What can be told of a run.

    Args:
        tables: its own.
        orders: random orders in which each policy is replayed.
        workers: trials at once.
        brief: whether fewer policies are replayed, see :func:`scale_tune.economy.panel.tried`.
        replayed: whether anything is replayed, which of thousands of trials takes minutes.
        others: runs whose best configs are tried first in replays, if both have drawn the same.
    """
    found = list(curves_of(tables))
    known = [each for each in found if isinstance(each, Curves)]
    sound = [curves for curves in known if curves.no_replay is None]
    panel = judged(tables.spec, sound, orders=orders, workers=workers, brief=brief) if sound and replayed else None
    apart = list(_apart(tables))
    return Economy(
        run=tables.name,
        panel=panel,
        ranks=[(c, fidelity(c.val, c.selectable)) for c in known if c.no_fidelity is None],
        draws=[(c, drawn_of(c)) for c in known if c.no_budgets is None],
        apart=[each for each in apart if isinstance(each, Apart)],
        notes=_notes(found, [each for each in apart if isinstance(each, Note)]),
        starts=list(_starts(panel, orders, others)) if panel else [],
    )


def _starts(panel: Panel, orders: int, others: Sequence[RunTables]) -> Iterator[dict[str, Replayed]]:
    """Half of the recommended policy's trials, of each lookup."""
    whole = panel.policies[panel.recommended]
    policy = replace(whole, part=whole.part / 2)
    lookups = [curves for other in others for curves in curves_of(other) if isinstance(curves, Curves)]
    for outcomes in panel.outcomes:
        curves = outcomes[0].curves
        priors = [other for other in lookups if other.method == curves.method and other.winner is not None]
        yield warm_starts(curves, policy, random_orders(curves, orders), panel.workers, priors)


def _apart(tables: RunTables) -> Iterator[Apart | Note]:
    """What it takes to tell the two best on val apart on test, or why that is not known, for each kind of data."""
    found = [entry for entry in entries([tables]) if "test" in entry.measured]
    names, accuracy = dataset_names(found), tables.spec.objective.value
    for data, of_data in groupby(found, lambda entry: entry.data):
        best, *others = of_data
        if not others:
            yield Note(dataset=names[data], text=f"there is one method, {best.method}, and none to tell it from")
            continue
        first, second = best.measured["test"], others[0].measured["test"]
        if (why := power.no_power(first, second, accuracy)) is not None:
            text = f"it can't be said what would tell {best.method} from {others[0].method}: {why}"
            yield Note(dataset=names[data], text=text)
            continue
        apart = power.power(first, second, accuracy)
        yield Apart(dataset=names[data], first=best.method, second=others[0].method, found=apart)


def _notes(found: Sequence[Curves | Refused], others: Sequence[Note]) -> list[str]:
    datasets = len({each.dataset for each in found})
    notes = [Note(subject=each.method, dataset=each.dataset, text=text) for each in found for text in _of(each)]
    told = [*notes, *others]
    return grouped(told if datasets > 1 else [replace(note, dataset="") for note in told], datasets)


def _of(found: Curves | Refused) -> Iterator[str]:
    if isinstance(found, Refused):
        yield found.reason
        return
    if found.no_replay is not None:
        yield f"what a smaller search would have found is not known: {found.no_replay}"
    elif found.no_budgets is not None:
        yield f"no budget curve: {found.no_budgets}"
    if found.left_out and not found.pruned:
        yield f"left out: {', '.join(found.left_out)}"
