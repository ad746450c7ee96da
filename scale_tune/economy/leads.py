"""Which of two methods would have won a search of which budget, and where their curves cross.

Methods whose trials differ in length are compared at equal epochs, each with as many whole trials as these pay for.
The winner at a budget is the one that is expected to be higher on val. The interval of their difference at one budget
holds the truth as often as it says; that of a crossing is all budgets around it at which the interval of the difference
holds 0 (as Fieller's is of a ratio, 1954), so it holds the budget of a single true crossing as often.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scale_tune.economy.bands import Band, difference
from scale_tune.economy.budgets import Drawn, affordable, expected, spread_out


@dataclass(frozen=True, kw_only=True)
class Lead:
    """How much better one method is expected to be than another after a budget."""

    budget: int
    """In epochs, each of as many replicas as a trial has seeds."""
    trials: tuple[int, int]
    """That the budget pays for, of either method."""
    difference: float
    band: Band

    @property
    def sure(self) -> bool:
        """Whether the difference has an interval, and it holds no 0."""
        return self.band.low is not None and self.band.high is not None and not self.band.low <= 0 <= self.band.high


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where the method that leads changes."""

    after: int
    """The last budget at which the former leader leads."""
    at: int
    """The next one, at which it no longer does."""
    earliest: int | None
    """The crossing may be as early; None if already from the smallest budget on."""
    latest: int | None
    """Or as late; None if the budgets that were compared don't tell."""
    first_leads: bool
    """Whether it is the first method that leads from here on."""


MOST = 60
"""Budgets at which methods are compared; of large searches these are some of all."""


def budgets(methods: Iterable[Drawn]) -> list[int]:
    """The epochs at which one of the methods has another trial, as long as all have one and none is spent."""
    each = list(methods)
    if not each:
        return []
    least, most = max(drawn.epochs for drawn in each), min(drawn.epochs * drawn.trials for drawn in each)
    ends = {drawn.epochs * n for drawn in each for n in range(1, drawn.trials + 1)}
    found = sorted(budget for budget in ends if least <= budget <= most)
    return [found[n - 1] for n in spread_out(len(found), MOST)]


def leads(one: Drawn, other: Drawn, split: str) -> list[Lead]:
    """How much better the first method is expected to be than the second, at each budget.

    Args:
        one: a method.
        other: a method with the same seeds.
        split: ``val``, or ``test``: of what val selects.

    Raises:
        ValueError: they have not the same number of seeds.
    """
    found = []
    for budget in budgets((one, other)):
        first, second = affordable(one, budget), affordable(other, budget)
        apart = getattr(expected(one, first), split) - getattr(expected(other, second), split)
        band = difference(one, first, other, second, split)
        found.append(Lead(budget=budget, trials=(first, second), difference=apart, band=band))
    return found


def crossings(found: Sequence[Lead]) -> list[Crossing]:
    """Where the curves cross, and how sure that place is; equal values are no lead."""
    ahead = [lead for lead in found if lead.difference != 0]
    crossed = []
    for before, after in pairwise(ahead):
        if (before.difference > 0) == (after.difference > 0):
            continue
        earlier = [lead.budget for lead in found if lead.budget <= before.budget and lead.sure]
        later = [lead.budget for lead in found if lead.budget >= after.budget and lead.sure]
        crossed.append(
            Crossing(
                after=before.budget,
                at=after.budget,
                earliest=max(earlier, default=None),
                latest=min(later, default=None),
                first_leads=after.difference > 0,
            )
        )
    return crossed


def said(first: str, second: str, found: Sequence[Lead]) -> list[str]:
    """Who leads at which budget, and how sure that is, in sentences.

    Args:
        first: the name of the first method.
        second: that of the second.
        found: as :func:`leads` has it, of val.
    """
    if not found:
        return [f"{first} and {second} have no budget in common: a trial of one takes more than all of the other's"]
    crossed = crossings(found)
    if not crossed:
        sides = {lead.difference > 0 for lead in found if lead.difference != 0}
        if not sides:
            return [f"{first} and {second} are expected to reach the same at every budget"]
        ahead, behind = (first, second) if sides.pop() else (second, first)
        return [f"{ahead} is expected to reach more on val than {behind} at every budget{_sure_from(found)}"]
    lines = []
    for crossing in crossed:
        ahead, behind = (first, second) if crossing.first_leads else (second, first)
        start = "the first trial" if crossing.earliest is None else f"{crossing.earliest} epochs"
        end = "more than was searched" if crossing.latest is None else f"{crossing.latest} epochs"
        lead = f"{behind} leads up to {crossing.after} epochs, {ahead} from {crossing.at} on"
        lines.append(f"{lead}; the crossing may lie anywhere between {start} and {end}")
    return lines


def _sure_from(found: Sequence[Lead]) -> str:
    sure = [lead.budget for lead in found if lead.sure]
    if not sure:
        return ", but no interval of the difference is free of 0"
    return f"; at {sure[0]} to {sure[-1]} epochs the interval of the difference holds no 0"
