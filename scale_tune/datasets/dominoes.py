"""``dominoes``: an MNIST digit (the attribute) above a CIFAR-10 image (the label), 3 x 64 x 32.

Source: MNIST (LeCun et al., 1998) and CIFAR-10 (Krizhevsky, 2009), from torchvision's files. The digits are padded
with zeros to 32 x 32 and repeated to three channels. Class c of MNIST goes with class c of CIFAR-10.

=======  ==========================================  =====================================================
split    samples                                     digit above
=======  ==========================================  =====================================================
train    up to 5,000 of each class, less val/target  of the label's class, but for a fraction 1 - s
target   val_target_size / 2                         independent of the label
val      val_target_size / 2                         independent of the label
test     10,000                                      independent of the label
=======  ==========================================  =====================================================

val and target together have val_target_size / 10 digits and images of each class, paired at random, then divided at
random: either alone may have a few more or fewer of a class.

Of train, a fraction 1 - spurious_strength is drawn and its CIFAR images are permuted among itself, with their labels; a
tenth of them keeps a digit of its class by chance. The seed changes which digits and images train has, but not which
places are drawn and how they are permuted, so that its groups are of the same size for every seed.

Test digits keep their true labels: MNIST's test set does not hold 1,000 of each.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scale_tune.datasets import sources
from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.splits import DatasetInfo, PaddedCrop, SplitName, SplitPlan
from scale_tune.datasets.suggested import FOR_IMAGENET
from scale_tune.errors import UserError
from scale_tune.seeding import derive_seed

CLASSES = 10
TRAIN_PER_CLASS = 5000

INFO = DatasetInfo(
    groups=Groups(
        num_classes=CLASSES,
        num_attributes=CLASSES,
        evaluation_groups=EvaluationGroups.ALIGNED_CONFLICTING,
        aligned_attributes=tuple(range(CLASSES)),
    ),
    height=64,
    width=32,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),  # as SCALE's authors have it; of all pixels of CIFAR-10 it is 0.2470, 0.2435, 0.2616
    random_crop=PaddedCrop(padding=4),
    flip=True,
)

MNIST_ADVICE = (
    "Download train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz (http://yann.lecun.com/exdb/mnist/) into MNIST/raw below the data directory, "
    "or let --prepare do it where there is a network."
)
CIFAR_ADVICE = (
    "Download cifar-10-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html) and unpack it in the data "
    "directory, which makes cifar-10-batches-py, or let --prepare do it where there is a network."
)
CIFAR_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))


class DominoesOptions(DatasetOptions):
    """Options of ``dominoes``: MNIST above, CIFAR-10 below."""

    spurious_strength: float = Field(default=1.0, ge=0, le=1)
    """1 minus the fraction of train samples whose CIFAR image is exchanged with that of another of them."""
    val_target_size: int = Field(default=2000, ge=20, le=40000, multiple_of=10)
    """Samples of val and target together; each has half."""


class Dominoes(Dataset):
    """MNIST above CIFAR-10."""

    Options = DominoesOptions
    versions: ClassVar = {"dominoes": 2} | sources.VERSIONS
    suggested: ClassVar = FOR_IMAGENET | {
        "dataset": {"spurious_strength": 0.95},  # with 1, methods that go by the groups of train are undefined
        "model": {"name": "resnet18", "weights": "imagenet"},
        "space": FOR_IMAGENET["space"] | {"batch_size": {"type": "int", "low": 8, "high": 64, "log": True}},
    }
    options: DominoesOptions

    def info(self) -> DatasetInfo:
        """Ten classes, judged as aligned and conflicting samples."""
        return INFO

    def files(self) -> list[Path]:
        """Of MNIST and CIFAR-10."""
        return list(files().values())

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits, a pure function of the options and the files."""
        return plan(self.options)

    def download(self) -> None:
        """Fetch what is missing of MNIST and CIFAR-10 by torchvision."""
        from torchvision.datasets import CIFAR10, MNIST

        try:
            MNIST(str(sources.data_root()), download=True)
            CIFAR10(str(sources.data_root()), download=True)
        except (OSError, RuntimeError) as error:
            raise UserError(f"the download failed: {error}") from None


def files() -> dict[str, Path]:
    """The source files by their names.

    Raises:
        UserError: one is missing; the message says what to put where.
    """
    mnist = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    found = {
        name: sources.find("dominoes", [f"MNIST/raw/{name}", f"MNIST/raw/{name}.gz"], MNIST_ADVICE) for name in mnist
    }
    for name in (*CIFAR_TRAIN, "test_batch"):
        found[name] = sources.find("dominoes", [f"cifar-10-batches-py/{name}"], CIFAR_ADVICE)
    return found


def plan(options: DominoesOptions) -> dict[SplitName, SplitPlan]:
    """All four splits, a pure function of the options and the files."""
    paths = files()
    digits, digit_labels = _read_mnist(paths, "train")
    batches = [sources.read_cifar_batch(paths[name]) for name in CIFAR_TRAIN]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    train, target, val = _pair_train(digit_labels, labels, options)
    test_digits, test_digit_labels = _read_mnist(paths, "t10k")
    test_images, test_labels = sources.read_cifar_batch(paths["test_batch"])
    n = min(len(test_digits), len(test_images))
    rng = np.random.default_rng(derive_seed("dominoes", "test", options.seed))
    test = np.stack([rng.permutation(len(test_digits))[:n], rng.permutation(len(test_images))[:n]], axis=1)

    pairs: dict[SplitName, NDArray[np.int64]] = {"train": train, "target": target, "val": val}
    plans = {name: _plan(chosen, digits, digit_labels, images, labels) for name, chosen in pairs.items()}
    # Indices of the test files go on where those of the train files end.
    offset = np.array([len(digits), len(images)])
    plans["test"] = _plan(test, test_digits, test_digit_labels, test_images, test_labels, offset)
    return plans


def _read_mnist(paths: dict[str, Path], part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    digits = sources.read_idx(paths[f"{part}-images-idx3-ubyte"])
    labels = sources.read_idx(paths[f"{part}-labels-idx1-ubyte"]).astype(np.int64)
    if digits.shape[1:] != (28, 28) or labels.shape != (len(digits),) or labels.max() >= CLASSES:
        raise UserError(
            f"{paths[f'{part}-images-idx3-ubyte']} and its labels are not MNIST: images {digits.shape}, "
            f"labels {labels.shape}; download them again"
        )
    return digits, labels


def _pair_train(
    digit_labels: NDArray[np.int64], labels: NDArray[np.int64], options: DominoesOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (digit, image) of train, target and val, as indices of shape (samples, 2)."""
    rng = np.random.default_rng(derive_seed("dominoes", "pairs", options.seed))
    held_out = options.val_target_size // CLASSES
    train, apart = [], []
    for c in range(CLASSES):
        above, below = (rng.permutation(np.flatnonzero(classes == c)) for classes in (digit_labels, labels))
        paired = min(len(above), len(below), TRAIN_PER_CLASS)
        if paired <= held_out:
            raise UserError(
                f"dominoes has {paired:,} pairs of class {c}; a val_target_size of {options.val_target_size:,} needs "
                f"{held_out:,} of each class and leaves none to train; lower it"
            )
        pairs = np.stack([above[:paired], below[:paired]], axis=1)
        apart.append(pairs[:held_out])
        train.append(pairs[held_out:])
    of_any_seed = np.random.default_rng(derive_seed("dominoes", "exchange"))
    spurious = _exchange(np.concatenate(train), 1 - options.spurious_strength, of_any_seed)
    target, val = np.split(rng.permutation(_exchange(np.concatenate(apart), 1, rng)), 2)
    return rng.permutation(spurious), target, val


def _exchange(pairs: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Permute the lower images of a fraction of the pairs among themselves."""
    chosen = rng.permutation(len(pairs))[: round(fraction * len(pairs))]
    exchanged = pairs.copy()
    exchanged[chosen, 1] = pairs[rng.permutation(chosen), 1]
    return exchanged


def _plan(
    pairs: NDArray[np.int64],
    digits: NDArray[np.uint8],
    digit_labels: NDArray[np.int64],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    offset: NDArray[np.int64] | int = 0,
) -> SplitPlan:
    above, below = pairs[:, 0], pairs[:, 1]

    def make(start: int, stop: int) -> NDArray[np.uint8]:
        dominoes = np.zeros((stop - start, 3, 64, 32), np.uint8)
        dominoes[:, :, 2:30, 2:30] = digits[above[start:stop], None]
        dominoes[:, :, 32:] = images[below[start:stop]]
        return dominoes

    return SplitPlan(
        labels=labels[below],
        attributes=digit_labels[above],
        sources=pairs + offset,
        images=make,
    )
