"""How many seeds, and how many test images, would tell two methods apart; and how small a difference a run can see.

The 95 % interval of a difference (:mod:`scale_tune.analysis.intervals`) is the difference on either side of which stand
the parts of seeds and images, added in squares. Its formulas are asked what they would give with other numbers of seeds
and images, and searched for the smallest that do. With these as they are, a run that is repeated would not find the
same again: its difference is normal about the true one, with the variance of a mean over so many seeds and of a share
of so many images, and its spread over seeds follows chi-squared. What is *enough* is therefore what leaves 0 out of the
interval, on the right side, in :data:`WANTED` of the repetitions.

The true difference and the true spread over seeds are taken to be those that were seen. Of three seeds the latter is
hardly known: the true one lies between half and six times of it, which :attr:`Power.spread_ends` tells. And the
difference of the two methods that did best is rather too large, since they were chosen by it on other images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scale_tune.analysis.intervals import (
    FEWEST_SEEDS,
    MISSES,
    ONE_SEED,
    TOO_FEW,
    DifferenceParts,
    difference_parts,
    paired_seeds,
)
from scale_tune.analysis.measured import Measured

WANTED = 0.8
"""Of the runs like this one are to tell the methods apart."""
MOST_SEEDS = 1_000
"""That a search may have."""
MOST_IMAGES = 10**6
"""So many times the images of test are looked at."""
FURTHER_SEEDS = (5, 10, 20)
"""For which it is told how many images would do."""
_SHARES = (np.arange(200) + 0.5) / 200
"""Whose quantiles of a distribution stand for all of it."""


@dataclass(frozen=True, kw_only=True)
class Power:
    """What it takes to tell two methods apart on test, by one accuracy."""

    accuracy: str
    difference: float
    """Of the first method's mean over seeds and the second's."""
    low: float
    """The 95 % interval of it."""
    high: float
    seeds: int
    """That both have."""
    images: int
    """In the smallest evaluation group of test, the mean over seeds' splits."""
    spread: float
    """Standard deviation over seeds of the difference."""
    spread_ends: tuple[float, float]
    """The 95 % interval of it."""
    chance: float
    """How often a run like this one would tell the two apart."""
    seeds_needed: int | None
    """With these images; None if the most that a search may have are too few."""
    images_needed: dict[int, int | None]
    """Images in the smallest group, with all others multiplied likewise, by number of seeds: those of this run, and
    further ones. None where no number of images would do."""
    detectable: float | None
    """The smallest true difference that a run with these seeds, images and spread would see; None if there is none."""

    @property
    def told_apart(self) -> bool:
        """Whether the interval holds no 0."""
        return not self.low <= 0 <= self.high


def no_power(first: Measured, second: Measured, accuracy: str) -> str | None:
    """Why nothing can be said; None if something can."""
    seeds = len(paired_seeds(first, second))
    if seeds == 0:
        return "the two methods have no seed in common"
    if seeds < FEWEST_SEEDS:
        return ONE_SEED if seeds == 1 else TOO_FEW
    lacking = [name for name in (accuracy, "worst_group") if name not in first.parts or name not in second.parts]
    return f"test has no image that {lacking[0]} is of" if lacking else None


def power(first: Measured, second: Measured, accuracy: str) -> Power:
    """What it takes to tell two methods apart.

    Args:
        first: what the seeds of a method got right on test.
        second: likewise of the other.
        accuracy: by which they are compared.

    Raises:
        ValueError: nothing can be said, as :func:`no_power` tells.
    """
    if (why := no_power(first, second, accuracy)) is not None:
        raise ValueError(why)
    seeds = paired_seeds(first, second)
    first, second = first.of_seeds(seeds), second.of_seeds(seeds)
    images = round(float(first.parts["worst_group"].n.mean(axis=0).min()))
    apart = float(first.accuracies[accuracy].mean() - second.accuracies[accuracy].mean())

    now = difference_parts(first, second, accuracy)
    low, high = now.ends(len(seeds))

    def with_seeds(of: int) -> bool:
        return _chance(apart, apart, now, of) >= WANTED

    def with_images(of_seeds: int) -> int | None:
        def enough(wanted: int) -> bool:
            parts = difference_parts(first, second, accuracy, wanted / images)
            return _chance(apart, apart, parts, of_seeds) >= WANTED

        return _fewest(enough, 1, images * MOST_IMAGES)

    def seen(millionths: int) -> bool:
        return _chance(math.copysign(millionths / 10**6, apart), apart, now, len(seeds)) >= WANTED

    detectable = _fewest(seen, 1, 10**6)
    numbers = [len(seeds), *(of for of in FURTHER_SEEDS if of > len(seeds))]
    return Power(
        accuracy=accuracy,
        difference=apart,
        low=float(low),
        high=float(high),
        seeds=len(seeds),
        images=images,
        spread=float(now.spread),
        spread_ends=_ends_of_spread(float(now.spread), len(seeds)),
        chance=_chance(apart, apart, now, len(seeds)),
        seeds_needed=_fewest(with_seeds, FEWEST_SEEDS, MOST_SEEDS),
        images_needed={of: with_images(of) for of in numbers},
        detectable=None if detectable is None else detectable / 10**6,
    )


def _chance(true: float, seen: float, parts: DifferenceParts, seeds: int) -> float:
    """How often the interval of so many seeds would hold no 0 and lie on the side of the true difference.

    Args:
        true: the difference of the means.
        seen: the one that the parts are of.
        parts: what the interval is made of.
        seeds: how many.
    """
    from scipy.special import gammaincinv, ndtr, ndtri

    free = seeds - 1
    spreads = parts.spread * np.sqrt(2 * gammaincinv(free / 2, _SHARES) / free)
    below, above = replace(parts, spread=spreads).lengths(seeds)
    side, begins, of_images = (
        (below, seen - parts.lower, parts.below) if true >= 0 else (above, parts.upper - seen, parts.above)
    )
    deviation = np.hypot(parts.spread / math.sqrt(seeds), of_images / -ndtri(MISSES / 2))
    return float(ndtr((abs(true) - begins - side) / deviation).mean())


def _ends_of_spread(spread: float, seeds: int) -> tuple[float, float]:
    """The 95 % interval of a standard deviation over so many seeds, from chi-squared."""
    from scipy.special import gammaincinv

    low, high = (
        spread * math.sqrt((seeds - 1) / (2 * float(gammaincinv((seeds - 1) / 2, share))))
        for share in (1 - MISSES / 2, MISSES / 2)
    )
    return low, high


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """The smallest number that is enough, where all above it are too; None if the largest is not."""
    if not enough(most):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle + 1, most)
    return least


def said(first: str, second: str, found: Power) -> list[str]:
    """What it takes to tell two methods apart, in sentences.

    Args:
        first: the name of the first method.
        second: that of the second.
        found: what was found of them.
    """
    named = found.accuracy.replace("_", "-")
    had = f"{found.seeds} seeds and {found.images:,} images of the smallest group of test"
    interval = f"{found.difference:+.3f} [{found.low:.3f}, {found.high:.3f}]"
    lines = [
        f"On test {named} {first} − {second} is {interval}, of {had}",
        f"A run like this one tells the two apart in {_percent(found.chance)} of all cases, if they differ by so much",
    ]
    if found.chance < WANTED:
        lines.append(f"To tell them apart in {_percent(WANTED)} takes {_alternatives(found)}")
    if found.detectable is None:
        lines.append(f"No difference is large enough for {had} to see it")
    else:
        seen = f"{had} see a true difference of {found.detectable:.3f} or more in {_percent(WANTED)} of all runs"
        lines.append(f"{seen}; a smaller one may well be missed")
    low, high = found.spread_ends
    if found.spread > 0:
        known = f"seeds differ by {found.spread:.3f} (standard deviation of the difference)"
        lines.append(f"This is as far as {known}, which {found.seeds} seeds know to lie from {low:.3f} to {high:.3f}")
    return lines


def _alternatives(found: Power) -> str:
    """As ``9 seeds, or 2,000 images of the smallest group``."""
    ways = []
    if found.seeds_needed is not None:
        ways.append(f"{found.seeds_needed} seeds with these images")
    ways += [
        f"{images:,} images in the smallest group with {seeds} seeds"
        for seeds, images in found.images_needed.items()
        if images is not None and images > found.images
    ]
    return ", or ".join(ways) if ways else f"more than {MOST_SEEDS:,} seeds, and no number of images would do instead"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
