"""How a dataset's cells (label, attribute) are judged, and counts of the samples in them."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from scale_tune.accuracies import ACCURACIES, Cells, accuracies
from scale_tune.spec.config import Objective


class EvaluationGroups(StrEnum):
    """Among which groups the worst one is sought."""

    CELLS = "cells"
    """Every label x attribute cell, as on CelebA and Waterbirds."""
    ALIGNED_CONFLICTING = "aligned_conflicting"
    """The aligned and the conflicting samples, where the cells are too small to be measured (dominoes)."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Which (label, attribute) cells there are, and how they are judged."""

    num_classes: int
    num_attributes: int
    evaluation_groups: EvaluationGroups
    aligned_attributes: tuple[int, ...]
    """Of each class, the attribute that it goes with in training: samples with it are aligned, others conflicting."""
    train_n: tuple[tuple[int, ...], ...] | None = None
    """Samples of train per cell, ``[label][attribute]``; None until the data is loaded."""

    def __post_init__(self) -> None:
        if len(self.aligned_attributes) != self.num_classes:
            raise ValueError(f"{self.num_classes} classes need as many aligned attributes: {self.aligned_attributes}")
        if not all(0 <= attribute < self.num_attributes for attribute in self.aligned_attributes):
            raise ValueError(
                f"there are {self.num_attributes} attributes, from 0: aligned are {self.aligned_attributes}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(classes, attributes)."""
        return self.num_classes, self.num_attributes

    @property
    def aligned(self) -> NDArray[np.bool_]:
        """Which cells hold aligned samples, of shape (classes, attributes)."""
        cells: NDArray[np.bool_] = np.eye(self.num_attributes, dtype=np.bool_)[list(self.aligned_attributes)]
        return cells

    @property
    def evaluation_group_names(self) -> NDArray[np.str_]:
        """The name of the evaluation group that each cell belongs to, of shape (classes, attributes)."""
        if self.evaluation_groups is EvaluationGroups.ALIGNED_CONFLICTING:
            return np.where(self.aligned, "aligned", "conflicting")
        return np.array(
            [[f"label {label}, attribute {a}" for a in range(self.num_attributes)] for label in range(self.num_classes)]
        )

    @property
    def cells(self) -> Cells:
        """How every cell is judged, label by label."""
        return Cells(
            labels=np.repeat(np.arange(self.num_classes), self.num_attributes),
            aligned=self.aligned.ravel(),
            evaluation_groups=self.evaluation_group_names.ravel(),
            train_n=None if self.train_n is None else np.array(self.train_n, np.int64).ravel(),
        )

    def with_train(self, labels: NDArray[np.int64], attributes: NDArray[np.int64]) -> "Groups":
        """The same, with the counts of train's labels and attributes, each of shape (samples,)."""
        n = np.zeros(self.shape, np.int64)
        np.add.at(n, (labels, attributes), 1)
        return replace(self, train_n=tuple(tuple(row) for row in n.tolist()))


def aligned_by_lift(counts: NDArray[np.int64]) -> tuple[int, ...]:
    """Of each class, the attribute that it makes likelier the most: the highest P(attribute | class) / P(attribute).

    Blond celebrities go with women although most of the dark-haired ones are women too, and of these go with men.

    Args:
        counts: samples of train per cell, of shape (classes, attributes); every class and attribute has some.

    Returns:
        An attribute for each class; of equal ones the first.
    """
    lifts = counts * counts.sum() / (counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True))
    return tuple(int(attribute) for attribute in lifts.argmax(axis=1))


@dataclass(frozen=True, kw_only=True)
class GroupCounts:
    """Samples and correct predictions per cell; ``n`` and ``correct`` have the shape (classes, attributes)."""

    n: NDArray[np.int64]
    correct: NDArray[np.int64]
    groups: Groups

    @classmethod
    def of(
        cls,
        predictions: NDArray[np.int64],
        labels: NDArray[np.int64],
        attributes: NDArray[np.int64],
        groups: Groups,
    ) -> "GroupCounts":
        """Count predictions, labels and attributes of shape (samples,)."""
        n = np.zeros(groups.shape, np.int64)
        correct = np.zeros(groups.shape, np.int64)
        np.add.at(n, (labels, attributes), 1)
        np.add.at(correct, (labels, attributes), predictions == labels)
        return cls(n=n, correct=correct, groups=groups)

    def __post_init__(self) -> None:
        if self.n.shape != self.groups.shape or self.correct.shape != self.groups.shape:
            raise ValueError(f"n {self.n.shape} and correct {self.correct.shape} must be of shape {self.groups.shape}")
        if (self.correct > self.n).any() or (self.correct < 0).any():
            raise ValueError("correct must lie between 0 and n in every cell")

    def objective(self, objective: Objective) -> float:
        """The accuracy to maximise.

        Raises:
            ValueError: the split has no sample that it could be measured on.
        """
        value = self.summary()[objective.value]
        if value is None:
            raise ValueError(f"{objective.value} accuracy is undefined: the split has no sample of that group")
        return value

    def summary(self) -> dict[str, float | None]:
        """Every accuracy by its name; None where the split has no sample to measure it on."""
        found = accuracies(self.correct.ravel(), self.n.ravel(), self.groups.cells)
        return {name: float(found[name]) if name in found else None for name in ACCURACIES}
