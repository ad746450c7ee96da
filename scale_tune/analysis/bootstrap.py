"""How sure a mean over seeds is: bootstrap intervals over seeds and images.

An accuracy varies with the seed that a network was trained from and with the images that it was judged on. All seeds
are judged on the same images, so the two are crossed, and each is resampled independently of the other (Owen, 2007,
*The pigeonhole bootstrap*; Bouthillier et al., 2021, *Accounting for variance in machine learning benchmarks*, on why
one of them is not enough).

Seeds are drawn with replacement. Which images were right is not known, only how many of each group. The seeds of a
method are taken to agree as far as their counts allow: what one gets right, a better one gets right too. Then images
don't average out over seeds; agreement in fact is less, so this part of an interval is rather too wide. The part of the
seeds is rather too narrow: the bootstrap's variance is (n - 1) / n of the sample's, two thirds for 3 seeds. Simulated
with 3 seeds, 200 or 2,000 images, and between them a spread and an agreement like those of networks, the interval held
the truth in 86 to 99 % of the cases; one over seeds alone did in 49 to 75 %.

Ends are percentiles of the resampled means (Efron and Tibshirani, 1993, chapter 13).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scale_tune.accuracies import ACCURACIES, Floats, Integers, accuracies

RESAMPLES = 10_000
SEED = 0
"""Of the resampling: the same tables give the same intervals."""
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Images and correct predictions in the non-empty evaluation groups of a split."""

    n: Integers
    """Of shape (groups,), above 0: all seeds are judged on the same images."""
    correct: Integers
    """Of shape (seeds, groups)."""
    aligned: NDArray[np.bool_]
    """Of shape (groups,): which groups hold aligned samples."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A method on a split: the accuracies of each seed and, where they are known, the counts behind them."""

    seeds: tuple[int, ...]
    accuracies: dict[str, Floats]
    """By the names in ``ACCURACIES``, each of shape (seeds,)."""
    counts: Counts | None = None

    @classmethod
    def of_counts(cls, seeds: tuple[int, ...], counts: Counts) -> "Measured":
        """What the counts say."""
        return cls(seeds=seeds, accuracies=_accuracies(counts, counts.correct), counts=counts)

    @property
    def resampled(self) -> str | None:
        """What an interval resamples, as the tables call it; None if there is nothing to resample."""
        if self.counts is not None:
            return "seeds and images" if len(self.seeds) > 1 else "images"
        return "seeds" if len(self.seeds) > 1 else None

    def of_seeds(self, seeds: tuple[int, ...], *, with_counts: bool = True) -> "Measured":
        """The same with these seeds alone, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        counts = None
        if self.counts is not None and with_counts:
            counts = Counts(n=self.counts.n, correct=self.counts.correct[rows], aligned=self.counts.aligned)
        return Measured(seeds=seeds, accuracies={k: v[rows] for k, v in self.accuracies.items()}, counts=counts)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of the means of two methods over the seeds that both have."""

    seeds: int
    difference: float
    low: float
    high: float
    probability: float
    """Share of the resamples in which the first is above the second; of ties half."""
    interval: str
    """What was resampled."""


def intervals(measured: Measured) -> dict[str, tuple[float, float]]:
    """The 95 % interval of the mean over seeds of each accuracy; empty if there is nothing to resample."""
    if measured.resampled is None:
        return {}
    random = np.random.default_rng(SEED)
    means = _resampled_means(measured, _drawn_seeds(measured, random), random)
    return {accuracy: _ends(values) for accuracy, values in means.items()}


def paired_bootstrap(first: Measured, second: Measured) -> dict[str, Difference]:
    """How two methods differ, by accuracy, over the seeds that both have; empty if there is nothing to resample.

    Both methods are resampled with the same seeds, since a seed fixes the initial weights and the order of the data
    for both. Their images are resampled independently: they would agree in part, so the interval is rather too wide.
    """
    seeds = tuple(seed for seed in first.seeds if seed in second.seeds)
    with_counts = first.counts is not None and second.counts is not None
    first, second = (measured.of_seeds(seeds, with_counts=with_counts) for measured in (first, second))
    if not seeds or first.resampled is None:
        return {}
    random = np.random.default_rng(SEED)
    drawn = _drawn_seeds(first, random)
    first_means, second_means = (_resampled_means(measured, drawn, random) for measured in (first, second))
    found = {}
    for accuracy in first_means.keys() & second_means.keys():
        resampled = first_means[accuracy] - second_means[accuracy]
        low, high = _ends(resampled)
        found[accuracy] = Difference(
            seeds=len(seeds),
            difference=float(first.accuracies[accuracy].mean() - second.accuracies[accuracy].mean()),
            low=low,
            high=high,
            probability=float((resampled > 0).mean() + (resampled == 0).mean() / 2),
            interval=first.resampled,
        )
    return {accuracy: found[accuracy] for accuracy in ACCURACIES if accuracy in found}


def _drawn_seeds(measured: Measured, random: np.random.Generator) -> Integers:
    """Of shape (resamples, seeds): positions of seeds, drawn with replacement."""
    n = len(measured.seeds)
    return random.integers(n, size=(RESAMPLES, n))


def _resampled_means(measured: Measured, drawn: Integers, random: np.random.Generator) -> dict[str, Floats]:
    """Of each accuracy, the mean over the drawn seeds, of shape (resamples,)."""
    if measured.counts is None:
        return {accuracy: values[drawn].mean(axis=1) for accuracy, values in measured.accuracies.items()}
    correct = _resampled_images(measured.counts, random)
    of_drawn = np.take_along_axis(correct, drawn[:, :, None], axis=1)
    return {accuracy: values.mean(axis=1) for accuracy, values in _accuracies(measured.counts, of_drawn).items()}


def _resampled_images(counts: Counts, random: np.random.Generator) -> Integers:
    """Correct predictions on each group's images drawn with replacement, of shape (resamples, seeds, groups).

    The images of a group fall into bands: those that every seed gets right, those that all but the worst one do, and
    so on. A draw of n images is a multinomial draw of bands, and a seed has right what lies in its bands.
    """
    seeds, groups = counts.correct.shape
    resampled = np.empty((RESAMPLES, seeds, groups), np.int64)
    for group, (n, correct) in enumerate(zip(counts.n, counts.correct.T, strict=True)):
        order = np.argsort(correct)
        bands = np.diff(correct[order], prepend=0, append=n)
        drawn = random.multinomial(n, bands / n, size=RESAMPLES)
        resampled[:, order, group] = drawn[:, :-1].cumsum(axis=1)
    return resampled


def _accuracies(counts: Counts, correct: Integers) -> dict[str, Floats]:
    """The accuracies of counts of shape (…, groups), each of shape (…)."""
    return accuracies(correct, counts.n, counts.aligned, np.arange(len(counts.n)))


def _ends(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)
