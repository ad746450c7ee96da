"""Seeds whose true accuracies are known, to see how often intervals hold them.

A network gets an image right if ``level + effect + difficulty + noise > 0``: the level is the group's, the effect the
seed's (on all groups alike or on each anew), the difficulty the image's, whoever judges it, and the noise belongs to
the one judgement. All but the level are normal; difficulty and noise have a variance of 1 together. The difficulty's
share of it is the agreement: at 0 two seeds agree on images no more than by chance, at 0.9 nearly always.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from scale_tune.accuracies import Cells, Floats, Integers, parts_of
from scale_tune.analysis.measured import Counts, Measured, mean_shares

DIFFICULTIES = 10
"""Values that stand for a normal distribution, equally likely."""
TRUTH = 20_000
"""Seeds that a true mean is over."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """A test set, in strata."""

    n: Integers
    """Images of each stratum, of shape (strata,)."""
    cells: Cells
    """Evaluation groups are numbered from 0."""

    @property
    def groups(self) -> int:
        """How many evaluation groups there are."""
        return int(self.cells.evaluation_groups.max()) + 1


def of_cells(n: list[int], train_n: list[int], aligned: list[bool]) -> Images:
    """Groups that are the cells of two labels and two attributes: (0, 0), (0, 1), (1, 0), (1, 1)."""
    cells = Cells(
        labels=np.array([0, 0, 1, 1]),
        aligned=np.array(aligned),
        evaluation_groups=np.arange(4),
        train_n=np.array(train_n),
    )
    return Images(n=np.array(n), cells=cells)


def of_pairs(aligned: int, conflicting: int) -> Images:
    """Ten classes, each with a tenth of the aligned images, the group 0, and of the conflicting ones, the group 1."""
    groups = np.repeat([0, 1], 10)
    cells = Cells(
        labels=np.tile(np.arange(10), 2),
        aligned=groups == 0,
        evaluation_groups=groups,
        train_n=np.where(groups == 0, 95, 5),
    )
    return Images(n=np.where(groups == 0, aligned, conflicting) // 10, cells=cells)


TEST_SETS = {
    "dominoes": of_pairs(1_000, 9_000),
    "digits": of_pairs(200, 1_800),
    "celeba gender": of_cells([180] * 4, [10_000, 500, 500, 10_000], [True, False, False, True]),
    "celeba blond": of_cells([9_767, 7_535, 2_480, 180], [71_629, 66_874, 22_880, 1_387], [False, True, True, False]),
    "waterbirds": of_cells([2_255, 2_255, 642, 642], [3_498, 184, 56, 1_057], [True, False, False, True]),
}


@dataclass(frozen=True, kw_only=True)
class Method:
    """How accurate a method's networks are, and how much seeds differ."""

    accuracies: tuple[float, ...]
    """Of each group, of a seed that is as the middle one."""
    spread: float
    """Standard deviation over seeds of the true accuracy of the group with the lowest."""
    by_group: bool
    """Whether a seed's effect is drawn for each group anew."""

    def latent(self, images: Images, normal: Floats) -> Floats:
        """Level and effect on each stratum, of shape (…, strata), from standard normal draws of shape (…, effects)."""
        levels: Floats = ndtri(np.array(self.accuracies)) + self._deviation() * normal
        return levels[..., images.cells.evaluation_groups]

    def effects(self) -> int:
        """How many are drawn for a seed."""
        return len(self.accuracies) if self.by_group else 1

    def _deviation(self) -> float:
        """Of effects that make the spread."""
        low, high, level = 0.0, 8.0, ndtri(min(self.accuracies))
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if ndtr(level + middle * _quantiles(1_000)).std() < self.spread else (low, middle)
            )
        return low


def simulated(
    images: Images, methods: list[Method], seeds: int, agreement: float, outcomes: int, random: np.random.Generator
) -> list[Measured]:
    """So many outcomes of so many seeds of each method, in each outcome all on the same images."""
    shares = np.full(DIFFICULTIES, 1 / DIFFICULTIES)
    of_difficulty = random.multinomial(images.n, shares, size=(outcomes, 1, len(images.n)))
    found = []
    for method in methods:
        latent = method.latent(images, random.normal(size=(outcomes, seeds, method.effects())))
        correct = random.binomial(of_difficulty, _chances(latent, agreement)).sum(axis=-1)
        counts = Counts(n=np.tile(images.n, (seeds, 1)), correct=correct, cells=images.cells)
        found.append(Measured(seeds=tuple(range(seeds)), fingerprints=("same",) * seeds, counts=counts))
    return found


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A true accuracy, over seeds and images."""

    own: float
    """Of the worst group: the mean over seeds of each one's own."""
    common: float
    """Of the worst group: that of the group that is worst on average. Of any other accuracy the same."""


def truths(images: Images, method: Method, agreement: float) -> dict[str, Truth]:
    """By accuracy."""
    normal = _quantiles(TRUTH)[:, None]
    if method.by_group:
        normal = np.random.default_rng(0).normal(size=(TRUTH, method.effects()))
    right = np.concatenate(
        [_chances(method.latent(images, some), agreement).mean(axis=-1) for some in np.array_split(normal, 20)]
    )
    found = {}
    for accuracy, parts in parts_of(right * images.n, np.tile(images.n, (TRUTH, 1)), images.cells).items():
        own = float(parts.value.mean())
        found[accuracy] = Truth(own=own, common=own if parts.weights is not None else float(mean_shares(parts).min()))
    return found


def _chances(latent: Floats, agreement: float) -> Floats:
    """Of getting images of each difficulty right, of shape (…, difficulties)."""
    difficulties = np.sqrt(agreement) * _quantiles(DIFFICULTIES)
    chances: Floats = ndtr((latent[..., None] + difficulties) / np.sqrt(1 - agreement))
    return chances


def _quantiles(n: int) -> Floats:
    """Of a normal distribution, of equal shares of it."""
    quantiles: Floats = ndtri((np.arange(n) + 0.5) / n)
    return quantiles
