"""What every dataset is: four disjoint splits of (image, label, attribute), and how to present them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scale_tune.datasets.groups import Groups

SplitName = Literal["train", "target", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "target", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Arrays of one split, usually memory-mapped and read-only.

    Attributes:
        images: uint8, (n, 3, height, width).
        labels: int64, (n,), in [0, num_classes).
        attributes: int64, (n,), in [0, num_attributes).
        sources: int64, (n, k): which k original images each sample was made from.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    attributes: NDArray[np.int64]
    sources: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ValueError(f"images must be uint8 (n, 3, h, w), got {self.images.dtype} {self.images.shape}")
        for name in ("labels", "attributes"):
            array = getattr(self, name)
            if array.dtype != np.int64 or array.shape != (n,):
                raise ValueError(f"{name} must be int64 of shape ({n},), got {array.dtype} {array.shape}")
        if self.sources.dtype != np.int64 or self.sources.ndim != 2 or len(self.sources) != n:
            raise ValueError(f"sources must be int64 of shape ({n}, k), got {self.sources.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def head(self, n: int) -> "Split":
        """The first n samples, if there are as many."""
        return Split(**{name: array[:n] for name, array in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """A split that is to be prepared: everything but its images is known; those are made in pieces.

    Attributes:
        labels, attributes, sources: as in :class:`Split`.
        images: makes the images of the samples ``start`` to ``stop``, uint8, (stop - start, 3, height, width), of the
            size that the dataset's :class:`DatasetInfo` tells.
    """

    labels: NDArray[np.int64]
    attributes: NDArray[np.int64]
    sources: NDArray[np.int64]
    images: Callable[[int, int], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class PaddedCrop:
    """A part of an image's own size, at a random place after its border was reflected outwards."""

    padding: int
    """Width of the reflected border in pixels."""


@dataclass(frozen=True, kw_only=True)
class ResizedCrop:
    """A part of random area and shape at a random place, resized to what a network sees (Szegedy et al., 2015)."""

    area: tuple[float, float]
    """Least and most, as a share of the image's."""
    ratio: tuple[float, float]
    """Least and most width / height, in pixels of the image as it is prepared."""


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """How a dataset's images enter a network, and how its groups are judged.

    Raises:
        ValueError: a crop doesn't fit into the images.
    """

    groups: Groups
    height: int
    width: int
    """Of every image as it is prepared, in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Of each channel, by which images scaled to [0, 1] are standardised."""
    central_crop: tuple[int, int] | None = None
    """Height and width of the middle of each image, which is all that a network sees of it; None: it sees the whole."""
    random_crop: PaddedCrop | ResizedCrop | None = None
    """While training, what is cut out of each image."""
    flip: bool = False
    """While training: whether half of the images are mirrored."""

    def __post_init__(self) -> None:
        height, width = self.input_size
        if not (0 < height <= self.height and 0 < width <= self.width):
            raise ValueError(f"central_crop is {height} x {width}, images are {self.height} x {self.width}")
        match self.random_crop:
            case PaddedCrop(padding=padding) if not 0 <= padding < min(self.height, self.width):
                raise ValueError(f"padding is {padding}, images are {self.height} x {self.width}; it must be less")
            case ResizedCrop(area=area, ratio=ratio) if not (0 < area[0] <= area[1] <= 1 and 0 < ratio[0] <= ratio[1]):
                raise ValueError(f"area {area} and ratio {ratio} must go from less to more, area from above 0 to 1")

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of what a network sees, in pixels."""
        return self.central_crop or (self.height, self.width)


@dataclass(frozen=True, kw_only=True)
class DatasetSplits:
    """A dataset that is ready to train on.

    Attributes:
        name, options: what it was loaded by.
        fingerprint: SHA-256 over all arrays of all splits. Two datasets with one fingerprint hold the same
            samples in the same splits, so a checkpoint of one may be judged on the other's test split.
    """

    name: str
    options: dict[str, Any]
    fingerprint: str
    info: DatasetInfo
    train: Split = field(repr=False)
    target: Split = field(repr=False)
    val: Split = field(repr=False)
    test: Split = field(repr=False)

    def head(self, n: int) -> "DatasetSplits":
        """The first n samples of each split."""
        return replace(self, **{name: getattr(self, name).head(n) for name in SPLIT_NAMES})
