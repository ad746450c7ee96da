"""How sure a mean over seeds is: 95 % intervals of accuracies, and of differences between methods.

What is estimated is the accuracy that a method's networks have on average over the seeds that they might be trained
from and the images that they might be judged on. An interval has a part for each.

*Seeds.* The mean of n seeds is off by t s / sqrt(n), where s is their sample standard deviation and t a quantile of
Student's distribution with n - 1 degrees of freedom: for 3 seeds 4.3, not 1.96.

*Images.* All seeds are judged on the same images, so what these happen to be does not average out over seeds
(Bouthillier et al., 2021, *Accounting for variance in machine learning benchmarks*). An accuracy on N of them is off
by what Wilson's score interval says (1927). Splits of each seed's own are made of the same pictures (the test sets of
CelebA and Waterbirds are fixed, that of Dominoes is paired anew), so their images count as the same ones as well.

*Together.* An error is the sum of both, and the interval's length on either side is the root of the sum of squares of
the parts' lengths. That holds the truth no less often than each part does (Banerjee, 1960, *Approximate confidence
interval for linear functions of means of k populations when the population variances are not equal*, Sankhya 22):
let part i be normal, its share of the variance w_i, and r_i its estimated length over its true deviation. Then the
interval holds the truth with probability F(sum of w_i r_i^2), where F is the distribution function of chi-squared with
1 degree of freedom. F is concave, so that is at least the sum of w_i F(r_i^2), whose expectation is that of one part
alone. Sides of different lengths are combined likewise (Zou and Donner, 2008, *Construction of confidence limits about
effect measures: a general approach*, Statistics in Medicine 27).

*The worst group.* It may mean each network's own, of which the mean over seeds is the mean, or the one group that is
worst on average, which is never below that. The interval is of both: its lower side begins at the first, its upper side
at the second, with the larger of both standard deviations. The lowest of noisy accuracies is too low in every seed
and also on average, hence the images' upper ends of G groups are each at 1 - 2.5 % / G (Bonferroni), and the lowest
of them is the end; the lower ends need no correction (Berger, 1982, *Multiparameter hypothesis testing and acceptance
sampling*, Technometrics 24). The worst class likewise.

*What is left open.* How many images were right is known, but not which. The images' part is that of seeds that agree
on all images and of methods that agree no more than by chance, so it is rather too long. Images that were made from
the same picture, as in digits, count as different ones, so it is rather too short for them. Seeds of which most are
alike and few fail have no normal distribution, and three of them don't show it. Two seeds have no interval: t is 12.7,
and theirs would be 3.3 times as long on average as that of three. The mean of a single seed has one of its images
alone, which is said; a difference between methods that were trained from one seed has none: the seed may have made it.

``benchmarks/coverage.py`` simulates how often intervals hold the truth, and how long they are.
"""

import math
from dataclasses import dataclass

import numpy as np

from scale_tune.accuracies import Floats, Parts
from scale_tune.analysis.measured import Measured, mean_shares

MISSES = 0.05
"""How often an interval may miss: half of it on either side."""
FEWEST_SEEDS = 3
"""That an interval is made of, unless there is one alone."""

SEEDS_AND_IMAGES, IMAGES = "seeds and images", "images"
TOO_FEW = "no interval: two seeds tell too little of how much seeds differ"
ONE_SEED = "no interval: one seed tells nothing of how much seeds differ"
"""What the tables say of an interval; the last of a difference alone."""
NO_SEED = -1
"""Stands for the seed of a network that was not trained; no other has it."""
SEEDS, SPLITS = "seeds", "seeds and their splits"
"""What the tables say that a difference is paired over."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of the means of two methods over the seeds that both have."""

    seeds: int
    difference: Floats
    """Like its ends of shape (…): a number, unless the counts are of several outcomes."""
    low: Floats | None
    high: Floats | None
    interval: str
    """What it accounts for, or why there is none."""
    paired_over: str
    """What both methods share in each pair."""


@dataclass(frozen=True, kw_only=True)
class DifferenceParts:
    """What the interval of a difference is made of; each of shape (…)."""

    lower: Floats
    """Where its lower side begins: the difference, or below it for the lowest of several groups."""
    upper: Floats
    spread: Floats
    """Standard deviation over seeds of the difference; 0 of a single one."""
    below: Floats
    """How far off the images may be on either side."""
    above: Floats

    def lengths(self, seeds: int) -> tuple[Floats, Floats]:
        """How long either side is, if so many seeds have differed by this spread."""
        of_seeds = _length(self.spread, seeds)
        return np.hypot(of_seeds, self.below), np.hypot(of_seeds, self.above)

    def ends(self, seeds: int) -> tuple[Floats, Floats]:
        """The interval."""
        below, above = self.lengths(seeds)
        return np.clip(self.lower - below, -1, 1), np.clip(self.upper + above, -1, 1)


@dataclass(frozen=True, kw_only=True)
class _Estimate:
    """An accuracy over seeds, of shape (…), and what its intervals are made of."""

    values: Floats
    """Of each seed, of shape (…, seeds)."""
    of_worst: Floats
    """Those of the pool that is lowest on average; of an accuracy that is no lowest one the same as ``values``."""
    mean: Floats
    centre: Floats
    """The accuracy of the means of the pools, which is above the mean if seeds differ in their lowest."""
    below: Floats
    above: Floats
    """How far off the images may be on either side."""


def kind_of_interval(seeds: int) -> str:
    """What the interval of so many seeds accounts for, or why there is none, as the tables call it."""
    if seeds == 1:
        return IMAGES
    return SEEDS_AND_IMAGES if seeds >= FEWEST_SEEDS else TOO_FEW


def intervals(measured: Measured) -> dict[str, tuple[Floats, Floats]]:
    """The 95 % interval of each accuracy, with ends of shape (…); empty where the seeds are too few."""
    if kind_of_interval(len(measured.seeds)) == TOO_FEW:
        return {}
    found = {}
    for accuracy, parts in measured.parts.items():
        of = _estimate(parts)
        seeds = seeds_part(of.values, of.of_worst)
        low, high = of.mean - np.hypot(seeds, of.below), of.centre + np.hypot(seeds, of.above)
        found[accuracy] = (np.clip(low, 0, 1), np.clip(high, 0, 1))
    return found


def paired_differences(first: Measured, second: Measured) -> dict[str, Difference]:
    """How two methods differ, by accuracy, over the seeds that both have; empty if there are none.

    A seed fixes the initial weights and the order of the data for both methods, and its splits, so the seeds' part is
    that of the differences within seeds. An interval is of the difference between the two accuracies that
    :func:`intervals` has intervals of.
    """
    seeds = paired_seeds(first, second)
    if not seeds:
        return {}
    first, second = first.of_seeds(seeds), second.of_seeds(seeds)
    interval = ONE_SEED if len(seeds) == 1 and seeds != (NO_SEED,) else kind_of_interval(len(seeds))
    supported = interval in (SEEDS_AND_IMAGES, IMAGES)
    found = {}
    for accuracy in (name for name in first.parts if name in second.parts):
        low, high = difference_parts(first, second, accuracy).ends(len(seeds))
        found[accuracy] = Difference(
            seeds=len(seeds),
            difference=first.accuracies[accuracy].mean(axis=-1) - second.accuracies[accuracy].mean(axis=-1),
            low=low if supported else None,
            high=high if supported else None,
            interval=interval,
            paired_over=SEEDS if len(set(first.fingerprints)) == 1 else SPLITS,
        )
    return found


def paired_seeds(first: Measured, second: Measured) -> tuple[int, ...]:
    """The seeds that both have, judged on the same splits."""
    splits = dict(zip(second.seeds, second.fingerprints, strict=True))
    return tuple(
        seed
        for seed, fingerprint in zip(first.seeds, first.fingerprints, strict=True)
        if splits.get(seed) == fingerprint
    )


def difference_parts(first: Measured, second: Measured, accuracy: str, images: float = 1) -> DifferenceParts:
    """What the interval of a difference is made of, over the same seeds of both.

    Args:
        first: what a method got right.
        second: what the other did with the same seeds.
        accuracy: which one.
        images: so many times as many, of which the same share is right.
    """
    one, other = _estimate(first.parts[accuracy], images), _estimate(second.parts[accuracy], images)
    return DifferenceParts(
        lower=one.mean - other.centre,
        upper=one.centre - other.mean,
        spread=_spread(one.values - other.values, one.of_worst - other.of_worst),
        below=np.hypot(one.below, other.above),
        above=np.hypot(one.above, other.below),
    )


def seeds_part(*values: Floats) -> Floats:
    """The seeds' part of an interval of means of values of shape (…, seeds): the largest, and 0 for a single seed."""
    return _length(_spread(*values), values[0].shape[-1])


def _spread(*values: Floats) -> Floats:
    if values[0].shape[-1] == 1:
        return np.zeros(values[0].shape[:-1])
    spread: Floats = np.fmax.reduce([each.std(axis=-1, ddof=1) for each in values])  # a split may lack a group
    return spread


def _length(spread: Floats, seeds: int) -> Floats:
    from scipy.special import stdtrit  # takes a quarter of a second, which a command's first word need not wait for

    if seeds == 1:
        return 0 * spread
    length: Floats = stdtrit(seeds - 1, 1 - MISSES / 2) * spread / math.sqrt(seeds)
    return length


def _estimate(parts: Parts, images: float = 1) -> _Estimate:
    values = parts.value
    mean = values.mean(axis=-1)
    shares, n = mean_shares(parts), np.broadcast_to(parts.n, parts.shares.shape).mean(axis=-2) * images
    low, _ = score_interval(shares, n, MISSES / 2)
    if parts.weights is not None:
        _, high = score_interval(shares, n, MISSES / 2)
        weights = np.broadcast_to(parts.weights, parts.shares.shape).mean(axis=-2)
        below, above = (_root_of_squares(weights * off) for off in (shares - low, high - shares))
        return _Estimate(values=values, of_worst=values, mean=mean, centre=mean, below=below, above=above)
    _, high = score_interval(shares, n, MISSES / 2 / np.isfinite(shares).sum(axis=-1, keepdims=True))
    centre = np.maximum(mean, np.nanmin(shares, axis=-1))  # below the mean only where a seed's split lacks a group
    worst = np.nanargmin(shares, axis=-1)
    of_worst = np.take_along_axis(parts.shares, worst[..., None, None], axis=-1)[..., 0]
    below, above = centre - np.nanmin(low, axis=-1), np.nanmin(high, axis=-1) - centre
    return _Estimate(values=values, of_worst=of_worst, mean=mean, centre=centre, below=below, above=above)


def score_interval(share: Floats, n: Floats, misses: "float | Floats") -> tuple[Floats, Floats]:
    """Wilson's ends of a proportion of n, each of which it may miss so often."""
    from scipy.special import ndtri

    z = -ndtri(misses)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def _root_of_squares(values: Floats) -> Floats:
    found: Floats = np.sqrt(np.nansum(values**2, axis=-1))
    return found
