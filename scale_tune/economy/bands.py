"""How sure it is what a search of n trials finds: 95 % intervals of :mod:`scale_tune.economy.budgets`' means.

What is estimated is the mean over the configs that a random search of this space might draw, the seeds and the images.
An interval has a part for each, and their lengths are added in squares, as :mod:`scale_tune.analysis.intervals` has it.

*Configs.* Let Q be the quantile function of a config's value. The best of n has the mean of Q(u) over u with the
density n u^(n-1), and the i-th lowest of N values is Q(U_i), where U_1 < … < U_N are N ordered uniform numbers,
whatever Q is. So Q(u) lies between the values on either side of u. With one draw of the U_i the mean is at least that
of the lower of both, and at most that of the upper; over many draws, the 2.5 % quantile of the former and the 97.5 %
quantile of the latter are the ends. For n = 1 this is Gaffke's bound of a mean (2005, *Three test statistics for a
nonparametric one-sided hypothesis on the mean of a nonnegative variable*, Mathematical Methods of Statistics 14; Phan,
Thomas and Learned-Miller, 2021, *Towards practical mean bounds for small samples*, ICML). The bootstrap and the
jackknife know of no config above the best that was seen, and hold the less often the nearer n is to N (Lourie, Cho and
He, 2024, *Show your work with confidence*, NAACL).

*Above the best value* nothing was seen. If Q might jump to 1 there every interval would be useless, so that is the one
assumption: Q goes on at most twice as steep as over the highest values. (It goes straight on at a peak of two
hyperparameters that matter, and gets steeper with more of them, and with noise: Lourie, He and Cho, 2025,
*Hyperparameter loss surfaces are simple near their optima*, arXiv:2510.02721.) Where one config in twenty is far better
than all others, a search that never drew one can't know of it, nor does its interval.

*Beyond half of the trials* there is no interval: a third of the mean would be of what lies above the best value.

*Test* is that of what val selects. It need not rise with val, so an end takes the test values on that side of u which
gives the longer interval; above the best value on val it may rise by as much as val.

*Seeds.* The same weights give each seed a curve of its own, and the seeds' part is that of their spread. *Images* are
those of the smallest evaluation group, with as many groups as may be the lowest.

``benchmarks/budget_coverage.py`` simulates how often the intervals hold.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scale_tune.accuracies import Floats
from scale_tune.analysis.intervals import FEWEST_SEEDS, MISSES, ONE_SEED, TOO_FEW, score_interval, seeds_part
from scale_tune.economy.budgets import Drawn, Images

FEWEST_TRIALS = 16
"""Of which there is an interval. Where one config in five is any good, of 8 trials none is in every sixth search."""
STEEPER = 2
"""How much steeper than over the highest values quantiles may rise beyond the best of them."""
HIGHEST = 4
"""Spacings of values that tell how steep they are at the end."""
DRAWS = 2_000
"""Of ordered uniform numbers."""

ALL_PARTS, NOT_SEEDS = "configs, seeds and images", "configs and images"
"""What an interval accounts for; the latter of a single seed."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """The interval of a mean."""

    low: float | None
    """Like ``high`` None if there is no interval."""
    high: float | None
    interval: str
    """What it accounts for, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """How far off a mean may be on either side."""

    below: float
    above: float


def no_band(drawn: Drawn, n: int) -> str | None:
    """Why there is no interval of the best of n; None if there is one."""
    if drawn.trials < FEWEST_TRIALS:
        return f"no interval: {drawn.trials} random trials tell too little of others; {FEWEST_TRIALS} are needed"
    if 2 * n > drawn.trials:
        return f"no interval: {n} trials are more than half of the {drawn.trials} that were drawn"
    return TOO_FEW if 1 < drawn.val.shape[1] < FEWEST_SEEDS else None


def band(drawn: Drawn, n: int, split: str) -> Band:
    """The interval of what a search of n trials finds on average on val or test.

    Raises:
        ValueError: n is not from 1 to the number of configs.
    """
    chances = drawn.chances(n)
    if (why := no_band(drawn, n)) is not None:
        return Band(low=None, high=None, interval=why)
    of_seeds = chances @ drawn.ordered[split]
    mean = float(of_seeds.mean())
    seeds = float(seeds_part(of_seeds))
    parts = [configs_part(drawn, n, split, mean), _Part(below=seeds, above=seeds), images_part(drawn, split, mean)]
    low, high = mean - np.hypot.reduce([p.below for p in parts]), mean + np.hypot.reduce([p.above for p in parts])
    named = ALL_PARTS if len(of_seeds) > 1 else NOT_SEEDS
    return Band(low=max(0.0, float(low)), high=min(1.0, float(high)), interval=named)


def difference(one: Drawn, trials_of_one: int, other: Drawn, trials_of_other: int, split: str) -> Band:
    """The interval of how much better a search of the first method is on average than one of the second.

    Both have the same seeds, in the same order, so the seeds' part is that of the differences within seeds.

    Raises:
        ValueError: they have not, or numbers of trials are impossible.
    """
    if one.val.shape[1] != other.val.shape[1]:
        raise ValueError(f"seeds are paired, but there are {one.val.shape[1]} of one and {other.val.shape[1]} of other")
    sides = ((one, trials_of_one), (other, trials_of_other))
    curves = [drawn.chances(n) @ drawn.ordered[split] for drawn, n in sides]
    if len(curves[0]) == 1:
        return Band(low=None, high=None, interval=ONE_SEED)
    if (why := next(filter(None, (no_band(drawn, n) for drawn, n in sides)), None)) is not None:
        return Band(low=None, high=None, interval=why)
    seeds = float(seeds_part(curves[0] - curves[1]))
    of_one, of_other = (
        (configs_part(drawn, n, split, mean), images_part(drawn, split, mean))
        for (drawn, n), mean in zip(sides, (float(curve.mean()) for curve in curves), strict=True)
    )
    found = float(curves[0].mean() - curves[1].mean())
    low = found - np.hypot.reduce([seeds, *(p.below for p in of_one), *(p.above for p in of_other)])
    high = found + np.hypot.reduce([seeds, *(p.above for p in of_one), *(p.below for p in of_other)])
    return Band(low=max(-1.0, float(low)), high=min(1.0, float(high)), interval=ALL_PARTS)


def configs_part(drawn: Drawn, n: int, split: str, mean: float) -> _Part:
    """How far off the mean over searches may be, as other configs might have been drawn; of enough trials."""
    chances = _cells(drawn.trials, n)
    val = drawn.ordered["val"].mean(axis=1)
    values = val if split == "val" else _shared_by_equals(val, drawn.ordered[split].mean(axis=1))
    best = values[-1]
    beyond = np.minimum(_beyond(val, n), (1 - best) * chances[:, -1])
    downwards, upwards = chances @ np.append(0.0, values), chances @ np.append(values, best)
    low, high = np.minimum(downwards, upwards), np.maximum(downwards, upwards) + beyond
    ends = np.quantile(low, MISSES / 2), np.quantile(high, 1 - MISSES / 2)
    return _Part(below=max(0.0, mean - float(ends[0])), above=max(0.0, float(ends[1]) - mean))


def images_part(drawn: Drawn, split: str, mean: float) -> _Part:
    """How far off an accuracy may be, as other images might have been judged."""
    images: Images = drawn.val_images if split == "val" else drawn.test_images
    share, n = np.array(mean), np.array(images.smallest)
    low, _ = score_interval(share, n, MISSES / 2)
    _, high = score_interval(share, n, MISSES / 2 / images.groups)
    return _Part(below=mean - float(low), above=float(high) - mean)


def _shared_by_equals(val: Floats, values: Floats) -> Floats:
    """Of configs that are equal on val the mean of their values: any of them may be selected."""
    _, group = np.unique(val, return_inverse=True)
    shared: Floats = (np.bincount(group, values) / np.bincount(group))[group]
    return shared


@lru_cache(maxsize=8)
def _uniform(trials: int) -> Floats:
    """Draws of so many ordered uniform numbers, of shape (draws, trials); the same ones whenever they are asked for."""
    gaps = np.random.default_rng(0).exponential(size=(DRAWS, trials + 1))
    found: Floats = np.cumsum(gaps, axis=1)[:, :-1] / gaps.sum(axis=1, keepdims=True)
    return found


@lru_cache(maxsize=8)
def _cells(trials: int, n: int) -> Floats:
    """By draw, how likely the best of n lies between which two values, of shape (draws, trials + 1)."""
    ends = np.ones((DRAWS, 1))
    found: Floats = np.diff(np.hstack([0 * ends, _uniform(trials) ** n, ends]), axis=1)
    return found


def _beyond(val: Floats, n: int) -> Floats:
    """By draw, by how much the mean of the best of n may be higher, as values above the best may be drawn."""
    at = _uniform(len(val))
    steepness = (val[-1] - val[-1 - HIGHEST]) / (at[:, -1] - at[:, -1 - HIGHEST])
    highest = at[:, -1]
    above = n / (n + 1) * (1 - highest ** (n + 1)) - highest * (1 - highest**n)  # of u - U_N, with its density
    found: Floats = STEEPER * steepness * above
    return found
