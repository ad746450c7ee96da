"""Splits one after another, read as one; nothing is copied."""

import numpy as np
from numpy.typing import NDArray

from scale_tune.datasets.splits import Split


class Joined:
    """The samples of some splits of one dataset, numbered through.

    Attributes:
        labels: int64, (n,).
        attributes: int64, (n,).
    """

    def __init__(self, *splits: Split) -> None:
        self._splits = splits
        self._ends = np.cumsum([len(split) for split in splits])
        self.labels: NDArray[np.int64] = np.concatenate([split.labels for split in splits])
        self.attributes: NDArray[np.int64] = np.concatenate([split.attributes for split in splits])

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images (k, 3, height, width) of these samples, uint8, in the order of the indices (k,)."""
        if len(self._splits) == 1:
            return self._splits[0].images[indices]
        of_split = np.searchsorted(self._ends, indices, side="right")
        found = np.empty((len(indices), *self._splits[0].images.shape[1:]), np.uint8)
        for number, (split, end) in enumerate(zip(self._splits, self._ends, strict=True)):
            own = of_split == number
            found[own] = split.images[indices[own] - (end - len(split))]
        return found
