"""The accuracies of counts per cell (label, attribute): what the literature reads from them, in one place.

Everything follows from how many samples each cell has and how many of them are right: no accuracy is ever averaged
over batches.
"""

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
}
"""Their names, as the tables have them, and what they mean."""


def accuracies(correct: Integers, n: Integers, aligned: Flags, evaluation_groups: NDArray[Any]) -> dict[str, Floats]:
    """Every accuracy that the counts define, by name in the order of :data:`ACCURACIES`.

    Args:
        correct: correctly predicted samples of each cell, of shape (…, cells).
        n: samples of each cell, of shape (cells,).
        aligned: of shape (cells,), whether a cell's samples are aligned.
        evaluation_groups: of shape (cells,), a name or a number of the evaluation group that a cell belongs to.

    Returns:
        Each of shape (…). One whose samples there are none of is left out.
    """
    pooled = {"minority": ~aligned, "majority": aligned, "average": np.ones_like(aligned)}
    found = {name: share for name, cells in pooled.items() if (share := _share(correct, n, cells)) is not None}
    of_groups = [_share(correct, n, evaluation_groups == group) for group in np.unique(evaluation_groups)]
    if filled := [share for share in of_groups if share is not None]:
        found["worst_group"] = np.min(filled, axis=0)
    return {name: found[name] for name in ACCURACIES if name in found}


def _share(correct: Integers, n: Integers, cells: Flags) -> Floats | None:
    """Of the samples of these cells pooled, those that are right."""
    samples = n[cells].sum()
    if not samples:
        return None
    shares: Floats = correct[..., cells].sum(axis=-1) / samples
    return shares
