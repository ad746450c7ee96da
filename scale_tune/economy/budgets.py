"""What a random search of fewer trials would have been expected to find.

Of N configs that were drawn at random and trained to their end, every n are a search of n trials that might have been.
The mean over all of them of the best value on val is the estimate of what a search of n trials finds on average:

    sum over i of v_(i) C(i-1, n-1) / C(N, n)

with v_(i) the i-th lowest value, since so many of the C(N, n) subsets have it as their best. It is a U-statistic and
has no bias (Tang et al., 2020, *Showing your work doesn't always work*, ACL). Drawn with replacement (Dodge et al.,
2019, *Show your work*, EMNLP: v_(i) weighted by (i/N)^n - ((i-1)/N)^n), the same config may fill several of the n
places, so that the estimate is too low, the more so the nearer n is to N.

What is handed over at the end is the network that val selects, so the same weights average the *test* accuracy of each
config that would have been selected. Of equal values on val each is selected as often as the others: which was drawn
first is a matter of chance.

A config's value is the mean over its seeds. A config that can't be selected, as a seed of it diverged, takes its trial
and counts as 0: a search that finds nothing else has nothing to hand over.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scale_tune.accuracies import Flags, Floats, Integers
from scale_tune.economy.lookup import Curves


@dataclass(frozen=True, kw_only=True)
class Images:
    """What an accuracy is judged on."""

    smallest: float
    """Images of the smallest evaluation group, if the accuracy is the lowest of the groups'; or all images."""
    groups: int
    """How many groups the accuracy is the lowest of; 1 of one that is no lowest."""

    def __post_init__(self) -> None:
        if not (self.smallest > 0 and self.groups > 0):
            raise ValueError(f"images and groups are numbers above 0, got {self.smallest} and {self.groups}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Configs of a method that were drawn at random and trained to their end; c of them with s seeds each.

    Raises:
        ValueError: there is none, or shapes or values are wrong.
    """

    val: Floats
    """Of shape (c, s): the best of each replica on val, a fraction."""
    test: Floats
    """Of shape (c, s): the accuracy on test of the same epoch. Not a number where there was no such epoch."""
    selectable: Flags
    """Of shape (c,): whether all seeds have a result, none of them diverged."""
    epochs: int
    """That a trial takes, each of its seeds."""
    val_images: Images
    test_images: Images

    def __post_init__(self) -> None:
        if self.val.ndim != 2 or 0 in self.val.shape:
            raise ValueError(f"there is no config to draw: val has the shape {self.val.shape}")
        if self.test.shape != self.val.shape or self.selectable.shape != self.val.shape[:1]:
            shapes = f"{self.val.shape}, {self.test.shape} and {self.selectable.shape}"
            raise ValueError(f"val, test and selectable are of the same configs and seeds, got {shapes}")
        if self.epochs < 1:
            raise ValueError(f"a trial has an epoch or more, got {self.epochs}")
        known = np.stack([self.val, self.test])[:, self.selectable]
        if not ((known >= 0) & (known <= 1)).all():
            raise ValueError("an accuracy of a selectable config is no number from 0 to 1")

    @property
    def trials(self) -> int:
        """How many configs there are."""
        return int(self.val.shape[0])

    @cached_property
    def order(self) -> Integers:
        """The configs, that of the lowest mean on val first."""
        found: Integers = np.argsort(self._counted(self.val).mean(axis=1), kind="stable")
        return found

    @cached_property
    def ordered(self) -> dict[str, Floats]:
        """Of val and test, the values in that order, of shape (c, s). What can't be selected has 0."""
        return {name: self._counted(values)[self.order] for name, values in self._splits.items()}

    @property
    def _splits(self) -> dict[str, Floats]:
        return {"val": self.val, "test": self.test}

    def _counted(self, values: Floats) -> Floats:
        return np.where(self.selectable[:, None], values, 0.0)

    def chances(self, n: int) -> Floats:
        """How likely each config, in :attr:`order`, is the selected one of n that are drawn; of shape (c,).

        Raises:
            ValueError: n is not from 1 to the number of configs.
        """
        by_rank = best_of_drawn(self.trials, n)
        _, group = np.unique(self.ordered["val"].mean(axis=1), return_inverse=True)
        shared: Floats = (np.bincount(group, by_rank) / np.bincount(group))[group]
        return shared


def drawn_of(curves: Curves) -> Drawn:
    """The random draws among the configs of a lookup; those that were to be tried first are none.

    Args:
        curves: one whose :attr:`~scale_tune.economy.lookup.Curves.no_budgets` is None.

    Raises:
        ValueError: no config was drawn.
    """
    images = {split: Images(smallest=curves.images[split], groups=curves.groups[split]) for split in ("val", "test")}
    return Drawn(
        val=curves.val[curves.drawn, :, -1],
        test=curves.test[curves.drawn],
        selectable=curves.selectable[curves.drawn],
        epochs=curves.epochs,
        val_images=images["val"],
        test_images=images["test"],
    )


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What searches of some number of trials find: means over all that might have been, and how much they differ."""

    trials: int
    val: float
    test: float
    """Of what val selects."""
    val_over_searches: float
    """Standard deviation of the best value over the searches that might have been: the luck of the draw."""
    test_over_searches: float
    """Likewise of the selected config's test accuracy."""
    val_over_seeds: float | None
    """Standard deviation over seeds of the selected config, the root of its mean square; None of one seed."""
    test_over_seeds: float | None


def best_of_drawn(trials: int, n: int) -> Floats:
    """The chance that the i-th lowest of the trials is the best of n that are drawn without replacement.

    Args:
        trials: how many there are.
        n: how many are drawn.

    Returns:
        Of shape (trials,), of sum 1.

    Raises:
        ValueError: n is not from 1 to the number of trials.
    """
    if not 1 <= n <= trials:
        raise ValueError(f"of {trials} trials 1 to {trials} can be drawn, got {n}")
    subsets = math.comb(trials, n)
    return np.array([math.comb(i, n - 1) / subsets for i in range(trials)])


def expected(drawn: Drawn, n: int) -> Expected:
    """What a search of n of these trials finds on average.

    Raises:
        ValueError: n is not from 1 to the number of configs.
    """
    chances = drawn.chances(n)
    found: dict[str, float | None] = {}
    for split, values in drawn.ordered.items():
        means = values.mean(axis=1)
        average = float(chances @ means)
        found[split] = average
        found[f"{split}_over_searches"] = math.sqrt(max(0.0, float(chances @ (means - average) ** 2)))
        several = values.shape[1] > 1
        found[f"{split}_over_seeds"] = math.sqrt(float(chances @ values.var(axis=1, ddof=1))) if several else None
    return Expected(trials=n, **found)  # type: ignore[arg-type]


def affordable(drawn: Drawn, budget: int) -> int:
    """How many whole trials so many epochs pay for, at most as many as there are."""
    return min(drawn.trials, budget // drawn.epochs)


def spread_out(most: int, n: int) -> list[int]:
    """All numbers of trials up to the largest; of more than n, n or fewer of them, which lie the closer the smaller."""
    return list(range(1, most + 1)) if most <= n else np.unique(np.geomspace(1, most, n).round().astype(int)).tolist()
