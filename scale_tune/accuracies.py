"""The accuracies of counts per cell (label, attribute): what the literature reads from them, in one place.

Everything follows from how many samples each cell has and how many of them are right: no accuracy is ever averaged
over batches.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

ACCURACIES = {
    "worst_group": "lowest accuracy among the dataset's non-empty evaluation groups",
    "minority": "accuracy over all conflicting samples pooled",
    "majority": "accuracy over all aligned samples pooled",
    "average": "accuracy over all samples",
    "train_weighted": "accuracies of the evaluation groups, averaged by each one's share of train",
    "worst_class": "lowest accuracy among the classes",
}
"""Their names, as the tables have them, and what they mean."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What tells cells apart and how they are judged; each of shape (cells,)."""

    labels: Integers
    aligned: Flags
    evaluation_groups: NDArray[Any]
    """A name or a number of the evaluation group that each belongs to."""
    train_n: Integers | None
    """Samples of train, of shape (…, cells); None where nothing is known of them."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an accuracy is made of: accuracies over pools of cells, of which it is the lowest or a weighted mean."""

    pools: NDArray[Any]
    """What each pool is, of shape (pools,): an evaluation group, a label, or a name."""
    n: Integers
    """Samples of each, of shape (…, pools)."""
    shares: Floats
    """Those of them that are right, of shape (…, pools); not a number where there are no samples."""
    weights: Floats | None
    """Of shape (…, pools), and of sum 1; None where the lowest counts."""

    @property
    def value(self) -> Floats:
        """The accuracy, of shape (…); not a number where it has no samples."""
        found: Floats
        if self.weights is None:
            found = np.where(self.n > 0, self.shares, np.inf).min(axis=-1)
            return np.where(np.isinf(found), np.nan, found)
        found = np.where(self.weights > 0, self.weights * self.shares, 0).sum(axis=-1)
        return found


def accuracies(correct: Integers, n: Integers, cells: Cells) -> dict[str, Floats]:
    """Every accuracy that the counts define, by name in the order of :data:`ACCURACIES`.

    ``train_weighted`` is what DFR, group DRO and JTT call the average: on Waterbirds' balanced test set it weighs each
    group as the unbalanced train set does.

    Args:
        correct: correctly predicted samples of each cell, of shape (…, cells).
        n: samples of each cell, of a shape that broadcasts with it.
        cells: how they are judged.

    Returns:
        Each of shape (…). One whose samples there are none of, somewhere, is left out.
    """
    return {name: parts.value for name, parts in parts_of(correct, n, cells).items()}


def parts_of(correct: Integers, n: Integers, cells: Cells) -> dict[str, Parts]:
    """What each accuracy is made of; arguments and names are those of :func:`accuracies`."""
    whole = np.ones_like(cells.aligned)
    pooled = {"minority": ~cells.aligned, "majority": cells.aligned, "average": whole}
    found = {name: _parts(correct, n, np.array([name]), which[None, :], np.ones(1)) for name, which in pooled.items()}
    for name, of_cells in (("worst_group", cells.evaluation_groups), ("worst_class", cells.labels)):
        found[name] = _parts(correct, n, *_pools(of_cells), None)
    if cells.train_n is not None:
        groups, which = _pools(cells.evaluation_groups)
        in_train = cells.train_n @ which.T
        weights = in_train / np.maximum(in_train.sum(axis=-1, keepdims=True), 1)
        found["train_weighted"] = _parts(correct, n, groups, which, weights)
    return {name: found[name] for name in ACCURACIES if name in found and not np.isnan(found[name].value).any()}


def _pools(of_cells: NDArray[Any]) -> tuple[NDArray[Any], Flags]:
    """Each value once, and which cells have it, of shape (pools, cells)."""
    values = np.unique(of_cells)
    return values, values[:, None] == of_cells


def _parts(correct: Integers, n: Integers, pools: NDArray[Any], which: Flags, weights: Floats | None) -> Parts:
    samples = n @ which.T
    with np.errstate(invalid="ignore"):  # 0 / 0, which is not a number
        shares = (correct @ which.T) / samples
    return Parts(pools=pools, n=samples, shares=shares, weights=weights)
