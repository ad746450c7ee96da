"""Which policies are tried, what each would have cost and found, and which one is recommended."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml

from scale_tune.accuracies import Floats
from scale_tune.economy.lookup import Curves
from scale_tune.economy.policy import Policy
from scale_tune.economy.replay import Replayed, random_orders, replay
from scale_tune.spec.scheduler import SchedulerSpec
from scale_tune.spec.space import RunSpec

SURE = 0.9
"""Of the orders, in which a recommended policy ends within a standard error of the winner at least."""
LOSES = 0.005
"""Of test accuracy, which a recommended policy loses at most on average."""
ORDERS = 1000
RANGE = (2.5, 97.5)
"""Percentiles of the orders, between which 95 % of them lie."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A number that differs from order to order."""

    mean: float
    low: float
    high: float
    """95 % of the orders lie between these."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a policy costs and finds, of one method on one kind of data."""

    policy: Policy
    curves: Curves
    orders: int
    share: Spread
    """Of the whole search's epochs of single seeds."""
    time: float
    """Mean share of the whole search's time with as many workers."""
    found: float
    """Share of the orders in which the winner of the whole search is selected."""
    near: float | None
    """Share in which what is selected is within a standard error of the winner; None of one seed."""
    val_loss: Spread
    test_loss: Spread

    @property
    def is_good(self) -> bool:
        """Whether a search would have lost next to nothing by it."""
        sure = self.found if self.near is None else self.near
        return sure >= SURE and self.test_loss.mean <= LOSES


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """The outcomes of a run's policies: those of one policy have its number in each lookup's list."""

    spec: RunSpec
    workers: int
    policies: list[Policy]
    outcomes: list[list[Outcome]]
    """Of each lookup, one of each policy."""

    @cached_property
    def recommended(self) -> int:
        """Number of the cheapest policy of all seeds that is good for every method on all data; 0 if none is.

        A search has one scheduler and one number of trials for all its methods. With fewer seeds it would not be known
        how sure its result is.
        """
        return self.cheapest(lambda policy: policy.seeds == len(self.spec.seeds)) or 0

    def cheapest(self, which: Callable[[Policy], bool]) -> int | None:
        """Number of the cheapest of these policies that is good for every method on all data; None if none is."""
        numbers = [i for i, policy in enumerate(self.policies) if which(policy)]
        good = [i for i in numbers if all(of[i].is_good for of in self.outcomes)]
        return min(good, key=self.share, default=None)

    def share(self, number: int) -> float:
        """The mean share of the epochs that a policy spends, over methods and data."""
        return float(np.mean([of[number].share.mean for of in self.outcomes]))

    @cached_property
    def fronts(self) -> list[set[int]]:
        """Of each lookup, the numbers of the policies of which no other costs less and loses no more on val."""
        return [
            front([outcome.share.mean for outcome in of], [outcome.val_loss.mean for outcome in of])
            for of in self.outcomes
        ]

    @property
    def sentence(self) -> str:
        """The recommendation in words."""
        number = self.recommended
        if not number:
            return (
                "no policy that was tried is cheaper and as sure for every method (within a standard error of the "
                f"winner in {SURE:.0%} of the orders, a mean loss on test of at most {LOSES}): train every trial to "
                "its end"
            )
        return f"{self._named(number)} would have spent {self._told(number)}"

    @property
    def asides(self) -> Iterator[str]:
        """What fewer seeds would have cost, in words."""
        fewer = self.cheapest(lambda policy: policy.seeds < len(self.spec.seeds))
        if fewer is not None and self.share(fewer) < self.share(self.recommended):
            yield (
                f"to find a config alone fewer seeds will do: {self._named(fewer)} would have spent "
                f"{self._told(fewer)}; but how sure its result is would not be known before analyze.py --confirm"
            )

    @property
    def recommendation(self) -> str:
        """The recommendation as keys of a search space, in YAML."""
        best = self.policies[self.recommended]
        shown = {"none": {"name"}, "median": {"name", "grace_period"}}.get(best.scheduler.name)
        keys: dict[str, Any] = {"scheduler": best.scheduler.model_dump(include=shown, exclude_none=True)}
        if best.part < 1 and self.spec.sampler in ("random", "qmc"):
            keys["num_samples"] = best.trials(self.spec.num_samples)
        return "".join(yaml.safe_dump({k: v}, default_flow_style=None, sort_keys=False) for k, v in keys.items())

    def _named(self, number: int) -> str:
        policy = self.policies[number]
        counts = sorted({policy.trials(len(of[0].curves.trials)) for of in self.outcomes})
        return (
            f"{policy.name}, {' or '.join(map(str, counts))} trials of {policy.seeds} seed{'s' * (policy.seeds != 1)}"
        )

    def _told(self, number: int) -> str:
        of, several = [outcomes[number] for outcomes in self.outcomes], len(self.outcomes) > 1
        sure = min(outcome.found if outcome.near is None else outcome.near for outcome in of)
        loss = max(outcome.test_loss.mean for outcome in of)
        what = "with the same winner" if of[0].near is None else "within a standard error of the winner"
        return (
            f"{self.share(number):.2f} of the epochs, ending {what} in {sure:.0%} of the orders"
            f"{' at least' * several}, with a mean loss on test of {max(loss, 0.0):.3f}{' at most' * several}"
        )


def judged(
    spec: RunSpec, found: Sequence[Curves], *, orders: int = ORDERS, workers: int = 1, brief: bool = False
) -> Panel:
    """Replay every policy of the panel on these lookups of a run.

    Args:
        spec: of the run.
        found: at least one; those that can be replayed.
        orders: in how many orders.
        workers: trials at once.
        brief: as :func:`tried` takes it.
    """
    policies = list(tried(min(curves.epochs for curves in found), len(spec.seeds), brief=brief))
    outcomes = []
    for curves in found:
        drawn = random_orders(curves, orders)
        whole = replay(curves, policies[0], drawn, workers)
        outcomes.append([_outcome(replay(curves, policy, drawn, workers), whole) for policy in policies])
    return Panel(spec=spec, workers=workers, policies=policies, outcomes=outcomes)


def tried(epochs: int, seeds: int, *, brief: bool = False) -> Iterator[Policy]:
    """The policies of the panel, the whole search first.

    Args:
        epochs: of the methods' shortest trials.
        seeds: of each trial.
        brief: whether races of seeds, and early stopping with fewer trials or seeds, are left out.
    """
    yield Policy(seeds=seeds)
    for part in (0.5, 0.25):
        yield Policy(part=part, seeds=seeds)
    if seeds > 1:
        yield Policy(seeds=1)
    graces = sorted({grace for grace in (1, 2, 3, epochs // 3, epochs // 2, 2 * epochs // 3) if 0 < grace < epochs})
    for grace in graces:
        yield Policy(scheduler=SchedulerSpec(name="median", grace_period=grace), seeds=seeds)
        for factor in (2, 3, 4):
            asha = SchedulerSpec(name="asha", grace_period=grace, reduction_factor=factor)
            yield Policy(scheduler=asha, seeds=seeds)
            if grace == graces[0]:
                yield Policy(scheduler=asha.model_copy(update={"name": "hyperband"}), seeds=seeds)
            if brief:
                continue
            yield Policy(scheduler=asha, seeds=seeds, part=0.5)
            if seeds > 1:
                yield Policy(scheduler=asha, seeds=1)
                yield Policy(scheduler=asha.model_copy(update={"first_seeds": 1}), seeds=seeds)


def front(costs: Sequence[float], losses: Sequence[float]) -> set[int]:
    """The positions of which no other has a lower cost and no higher loss, or a lower loss and no higher cost."""
    found, least = set(), np.inf
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], losses[i])):
        if losses[i] < least:
            found.add(i)
            least = losses[i]
    return found


def _outcome(replayed: Replayed, whole: Replayed) -> Outcome:
    n = len(replayed.spent)
    return Outcome(
        policy=replayed.policy,
        curves=replayed.curves,
        orders=n,
        share=_spread(replayed.spent / whole.spent[:n]),
        time=float((replayed.time / whole.time[:n]).mean()),
        found=float(replayed.found.mean()),
        near=None if replayed.near is None else float(replayed.near.mean()),
        val_loss=_spread(replayed.val_loss),
        test_loss=_spread(replayed.test_loss),
    )


def _spread(values: Floats) -> Spread:
    low, high = np.percentile(values, RANGE)
    return Spread(mean=float(values.mean()), low=float(low), high=float(high))
