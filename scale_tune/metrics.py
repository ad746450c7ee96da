"""Accuracies of groups, and what the literature reads from them.

Everything is derived from counts per cell (label, attribute): no accuracy is ever averaged over batches.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from scale_tune.config import Objective


class EvaluationGroups(StrEnum):
    """Among which groups the worst one is sought."""

    CELLS = "cells"
    """Every label x attribute cell, as on CelebA and Waterbirds."""
    ALIGNED_CONFLICTING = "aligned_conflicting"
    """The aligned and the conflicting samples, where the cells are too small to be measured (dominoes)."""


@dataclass(frozen=True, kw_only=True)
class GroupCounts:
    """Samples and correct predictions per (label, attribute) cell.

    ``n`` and ``correct`` have the shape (labels, attributes). A sample is aligned when its attribute equals its
    label, and conflicting otherwise.
    """

    n: NDArray[np.int64]
    correct: NDArray[np.int64]
    evaluation_groups: EvaluationGroups

    @classmethod
    def of(
        cls,
        predictions: NDArray[np.int64],
        labels: NDArray[np.int64],
        attributes: NDArray[np.int64],
        shape: tuple[int, int],
        evaluation_groups: EvaluationGroups,
    ) -> "GroupCounts":
        """Count predictions, labels and attributes of shape (samples,) into cells of shape (labels, attributes)."""
        n = np.zeros(shape, np.int64)
        correct = np.zeros(shape, np.int64)
        np.add.at(n, (labels, attributes), 1)
        np.add.at(correct, (labels, attributes), predictions == labels)
        return cls(n=n, correct=correct, evaluation_groups=evaluation_groups)

    def __post_init__(self) -> None:
        if self.n.shape != self.correct.shape or (self.correct > self.n).any() or (self.correct < 0).any():
            raise ValueError("correct must have the shape of n and lie between 0 and n in every cell")

    @property
    def aligned(self) -> NDArray[np.bool_]:
        """Which cells hold aligned samples, of shape (labels, attributes)."""
        return np.eye(*self.n.shape, dtype=np.bool_)

    @property
    def average(self) -> float | None:
        """Accuracy over all samples; None without samples."""
        return self._accuracy(np.ones_like(self.aligned))

    @property
    def minority(self) -> float | None:
        """Accuracy over all conflicting samples pooled; None without any."""
        return self._accuracy(~self.aligned)

    @property
    def majority(self) -> float | None:
        """Accuracy over all aligned samples pooled; None without any."""
        return self._accuracy(self.aligned)

    @property
    def worst_group(self) -> float | None:
        """The lowest accuracy among the non-empty evaluation groups; None without samples."""
        if self.evaluation_groups is EvaluationGroups.ALIGNED_CONFLICTING:
            accuracies = [self.majority, self.minority]
        else:
            accuracies = [c / n if n else None for c, n in zip(self.correct.flat, self.n.flat, strict=True)]
        return min((float(a) for a in accuracies if a is not None), default=None)

    def objective(self, objective: Objective) -> float:
        """The accuracy to maximise.

        Raises:
            ValueError: the split has no sample that it could be measured on.
        """
        value: float | None = getattr(self, objective.value)
        if value is None:
            raise ValueError(f"{objective.value} accuracy is undefined: the split has no sample of that group")
        return value

    def summary(self) -> dict[str, float | None]:
        """The accuracies by the names that the tables use."""
        names = ("worst_group", "minority", "majority", "average")
        return {name: getattr(self, name) for name in names}

    def _accuracy(self, cells: NDArray[np.bool_]) -> float | None:
        n = int(self.n[cells].sum())
        return int(self.correct[cells].sum()) / n if n else None
