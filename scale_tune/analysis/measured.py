"""What the seeds of a method got right on a split, and the accuracies that follow."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scale_tune.accuracies import Cells, Floats, Integers, Parts, parts_of


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Images and correct predictions on a split, in strata: a class's aligned or conflicting images of a group."""

    n: Integers
    """Of shape (seeds, strata): with splits of their own, seeds are judged on different images."""
    correct: Integers
    """Of shape (…, seeds, strata): a simulation has many outcomes."""
    cells: Cells
    """How the strata are judged."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What each seed of a method got right on a split."""

    seeds: tuple[int, ...]
    fingerprints: tuple[str, ...]
    """Of the splits that each seed was trained and judged on."""
    counts: Counts

    @cached_property
    def parts(self) -> dict[str, Parts]:
        """What each accuracy of a seed is made of; one without samples is left out."""
        return parts_of(self.counts.correct, self.counts.n, self.counts.cells)

    @cached_property
    def accuracies(self) -> dict[str, Floats]:
        """By the names in ``ACCURACIES``, each of shape (…, seeds)."""
        return {accuracy: parts.value for accuracy, parts in self.parts.items()}

    @property
    def worst_group(self) -> str | None:
        """The evaluation group with the lowest accuracy on average over the seeds; of equal ones the first."""
        parts = self.parts.get("worst_group")
        return None if parts is None else str(parts.pools[np.nanargmin(mean_shares(parts))])

    def of_seeds(self, seeds: tuple[int, ...]) -> "Measured":
        """The same with these seeds alone, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        cells = self.counts.cells
        if cells.train_n is not None and cells.train_n.ndim > 1:
            cells = replace(cells, train_n=cells.train_n[rows])
        counts = Counts(n=self.counts.n[rows], correct=self.counts.correct[..., rows, :], cells=cells)
        return Measured(seeds=seeds, fingerprints=tuple(self.fingerprints[row] for row in rows), counts=counts)


def mean_shares(parts: Parts) -> Floats:
    """The accuracy of each pool over the seeds, of shape (…, pools); not a number where no seed has samples."""
    seeds = (parts.n > 0).sum(axis=-2)
    with np.errstate(invalid="ignore"):  # 0 / 0
        means: Floats = np.where(parts.n > 0, parts.shares, 0).sum(axis=-2) / seeds
    return means
