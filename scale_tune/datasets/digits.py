"""``digits``: a dominoes problem from real handwritten digits, embedded in scikit-learn.

Source: the 1,797 test digits of the UCI "Optical Recognition of Handwritten Digits" data (CC BY 4.0), 8 x 8
pixels of 17 grey levels, 10 classes.

A sample is a clean digit (the attribute) above a digit that is blended with noise (the label). Every split is
made from its own pool of digits, and no pool shares a digit with another, neither above nor below.

=======  ==============================  ===========  ================================================
split    digits of each class in a pool  samples      upper digit
=======  ==============================  ===========  ================================================
train    55 %                            4,000        the label, with probability spurious_strength
target   10 %                              target_size  independent of the label
val      15 %                            1,000        independent of the label
test     20 %                            2,000        independent of the label
=======  ==============================  ===========  ================================================
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetInfo, PaddedCrop, SplitName, SplitPlan
from scale_tune.seeding import derive_seed

POOL_SHARES: dict[SplitName, float] = {"train": 0.55, "target": 0.10, "val": 0.15, "test": 0.20}
SAMPLES: dict[SplitName, int] = {"train": 4000, "val": 1000, "test": 2000}
CLASSES = 10

INFO = DatasetInfo(
    groups=Groups(
        num_classes=CLASSES,
        num_attributes=CLASSES,
        evaluation_groups=EvaluationGroups.ALIGNED_CONFLICTING,
        aligned_attributes=tuple(range(CLASSES)),
    ),
    height=16,
    width=8,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    random_crop=PaddedCrop(padding=1),
)


class DigitsOptions(DatasetOptions):
    """Options of the embedded ``digits`` dataset."""

    spurious_strength: float = Field(default=1.0, ge=0, le=1)
    """Fraction of train images whose upper digit is made to show the label; of the others a tenth does by chance."""
    noise: float = Field(default=0.55, ge=0, le=1)
    """Share of noise blended into the lower digit, which carries the label."""
    target_size: int = Field(default=400, ge=10, le=4000)
    """Samples of target; digits are paired with replacement, so they may be more than its pool has."""


class Digits(Dataset):
    """Pairs of handwritten digits, embedded."""

    Options = DigitsOptions
    versions: ClassVar = {"digits": 1}
    suggested: ClassVar = {
        "dataset": {"spurious_strength": 0.95},  # with 1, methods that go by the groups of train are undefined
        "model": {"name": "small_cnn"},
        "space": {
            "lr": {"type": "float", "low": 1e-2, "high": 2e-1, "log": True},
            "weight_decay": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
            "batch_size": {"type": "choice", "values": [32, 64]},
        },
        "num_samples": 14,
        "epochs": 8,
        "schedule": "cosine",
        "scheduler": {"name": "asha", "grace_period": 3, "reduction_factor": 2},
    }
    options: DigitsOptions

    def info(self) -> DatasetInfo:
        """As dominoes are judged."""
        return INFO

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits, a pure function of the options."""
        from sklearn.datasets import load_digits  # slow to import, needed only when the cache is empty

        digits = load_digits()
        pixels = (digits.images / 16).astype(np.float32)
        pools = _pools(digits.target.astype(np.int64), self.options.seed)
        return {name: _split(name, pixels, pools[name], self.options) for name in SPLIT_NAMES}


def _pools(classes: NDArray[np.int64], seed: int) -> dict[SplitName, list[NDArray[np.int64]]]:
    """Disjoint indices of digits: for each split, one array per class."""
    rng = np.random.default_rng(derive_seed("digits", "pools", seed))
    pools: dict[SplitName, list[NDArray[np.int64]]] = {name: [] for name in SPLIT_NAMES}
    for digit in range(CLASSES):
        indices = rng.permutation(np.flatnonzero(classes == digit))
        ends = np.round(np.cumsum(list(POOL_SHARES.values())) * len(indices)).astype(int)
        for name, part in zip(SPLIT_NAMES, np.split(indices, ends[:-1]), strict=True):
            pools[name].append(part)
    return pools


def _split(
    name: SplitName, pixels: NDArray[np.float32], pool: list[NDArray[np.int64]], options: DigitsOptions
) -> SplitPlan:
    rng = np.random.default_rng(derive_seed("digits", name, options.seed))
    n = options.target_size if name == "target" else SAMPLES[name]
    labels = rng.permutation(np.arange(n) % CLASSES)
    attributes = rng.permutation(np.arange(n) % CLASSES)
    if name == "train":
        attributes = np.where(rng.random(n) < options.spurious_strength, labels, attributes)
    upper = np.array([rng.choice(pool[digit]) for digit in attributes])
    lower = np.array([rng.choice(pool[digit]) for digit in labels])
    noise = rng.random((n, *pixels.shape[1:]), dtype=np.float32)
    degraded = (1 - options.noise) * pixels[lower] + options.noise * noise
    grey = np.concatenate([pixels[upper], degraded], axis=1)
    images = np.repeat(np.round(grey * 255).astype(np.uint8)[:, None], 3, axis=1)
    return SplitPlan(
        labels=labels,
        attributes=attributes,
        sources=np.stack([upper, lower], axis=1),
        images=lambda start, stop: images[start:stop],
    )
