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
    """Samples of train; None where nothing is known of them."""


def accuracies(correct: Integers, n: Integers, cells: Cells) -> dict[str, Floats]:
    """Every accuracy that the counts define, by name in the order of :data:`ACCURACIES`.

    ``train_weighted`` is what DFR, group DRO and JTT call the average: on Waterbirds' balanced test set it weighs each
    group as the unbalanced train set does.

    Args:
        correct: correctly predicted samples of each cell, of shape (…, cells).
        n: samples of each cell, of shape (cells,).
        cells: how they are judged.

    Returns:
        Each of shape (…). One whose samples there are none of is left out.
    """
    pooled = {"minority": ~cells.aligned, "majority": cells.aligned, "average": np.ones_like(cells.aligned)}
    found = {name: share for name, which in pooled.items() if (share := _share(correct, n, which)) is not None}
    for name, of_cells in (("worst_group", cells.evaluation_groups), ("worst_class", cells.labels)):
        shares = [_share(correct, n, of_cells == each) for each in np.unique(of_cells)]
        if filled := [share for share in shares if share is not None]:
            found[name] = np.min(filled, axis=0)
    if (weighted := _train_weighted(correct, n, cells)) is not None:
        found["train_weighted"] = weighted
    return {name: found[name] for name in ACCURACIES if name in found}


def _train_weighted(correct: Integers, n: Integers, cells: Cells) -> Floats | None:
    """None where nothing is known of train, or where a group of it has no sample here."""
    if cells.train_n is None:
        return None
    weighted = np.zeros(correct.shape[:-1])
    for group in np.unique(cells.evaluation_groups):
        of_group = cells.evaluation_groups == group
        if not (in_train := cells.train_n[of_group].sum()):
            continue
        if (share := _share(correct, n, of_group)) is None:
            return None
        weighted += share * (in_train / cells.train_n.sum())
    return weighted


def _share(correct: Integers, n: Integers, cells: Flags) -> Floats | None:
    """Of the samples of these cells pooled, those that are right."""
    samples = n[cells].sum()
    if not samples:
        return None
    shares: Floats = correct[..., cells].sum(axis=-1) / samples
    return shares
