from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from torchvision.datasets import MNIST

from scale_tune import datasets
from scale_tune.datasets import dataset_of
from scale_tune.datasets.splits import SPLIT_NAMES, PaddedCrop
from scale_tune.errors import UserError
from scale_tune.spec.config import DatasetConfig
from tests.support.sources import make_cifar, make_mnist


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Sources of the full size: 60,000 + 10,000 digits and 50,000 + 10,000 images."""
    root = tmp_path_factory.mktemp("full")
    return root, make_mnist(root, 60_000, 10_000), make_cifar(root, 50_000, 10_000)


@pytest.fixture
def root(full, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(full[0]))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    return full[0]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path / "cache"))
    make_mnist(tmp_path / "data", 3000, 500)
    make_cifar(tmp_path / "data", 2000, 400)
    return tmp_path / "data"


def independent(split) -> bool:
    table = np.zeros((10, 10))
    np.add.at(table, (split.labels, split.attributes), 1)
    return chi2_contingency(table).pvalue > 0.001


def test_full_size_data_has_the_defined_splits(full, root):
    splits = datasets.load_dataset("dominoes")
    _, digit_labels, image_labels = full
    sizes = {name: len(getattr(splits, name)) for name in SPLIT_NAMES}
    assert sizes == {"train": 48_000, "target": 1000, "val": 1000, "test": 10_000}
    for name in SPLIT_NAMES:
        split = getattr(splits, name)
        assert split.images.shape[1:] == (3, 64, 32)
        # What was paired is what is shown: the first pixel of a digit and the first byte of an image are their classes.
        assert (split.images[:, :, 2, 2] == split.attributes[:, None]).all()
        assert (split.images[:, 0, 32, 0] == split.labels).all()
        assert not split.images[:, :, :2].any()
        above, below = split.sources.T
        part = ("t10k", "test", 60_000, 50_000) if name == "test" else ("train", "train", 0, 0)
        assert (digit_labels[part[0]][above - part[2]] == split.attributes).all()
        assert (image_labels[part[1]][below - part[3]] == split.labels).all()
    for first, second in combinations(SPLIT_NAMES, 2):
        for column in (0, 1):
            sources = [set(getattr(splits, name).sources[:, column].tolist()) for name in (first, second)]
            assert not sources[0] & sources[1], f"{first} and {second} share a source"
    for name in SPLIT_NAMES:
        assert len(np.unique(getattr(splits, name).sources[:, 1])) == sizes[name], "no image is used twice"
    assert (splits.train.labels == splits.train.attributes).all()
    for name in ("target", "val", "test"):
        assert independent(getattr(splits, name))
    assert not np.array_equal(np.bincount(splits.test.attributes), np.full(10, 1000)), "true labels of test digits"
    for held in ("labels", "attributes"):
        val, target = (np.bincount(getattr(split, held)) for split in (splits.val, splits.target))
        assert (val + target).tolist() == [200] * 10
        assert (val != target).any(), "halves are drawn from all of them, not class by class"


@pytest.mark.parametrize("strength", [0.99, 0.95, 0.5])
def test_a_share_of_train_conflicts(small, strength):
    train = datasets.load_dataset("dominoes", spurious_strength=strength, val_target_size=200).train
    # Of the exchanged images a tenth meets a digit of its class by chance.
    expected = (1 - strength) * 0.9
    assert (train.labels != train.attributes).mean() == pytest.approx(expected, abs=0.015)


def test_the_strength_exchanges_the_same_places_for_every_seed(full, root):
    """What train has is drawn anew by each seed, how many it has of each label with each attribute is not."""
    trains = [
        dataset_of(DatasetConfig(name="dominoes", spurious_strength=0.95, seed=s)).plan()["train"] for s in (0, 1)
    ]
    counts = [np.bincount(train.labels * 10 + train.attributes, minlength=100) for train in trains]
    assert counts[0].tolist() == counts[1].tolist()
    assert (counts[0] > 0).all()
    first, second = (set(map(tuple, train.sources.tolist())) for train in trains)
    assert len(first & second) < 100


def test_dominoes_are_standardised_and_augmented_as_published():
    info = dataset_of(DatasetConfig(name="dominoes")).info()
    assert (info.mean, info.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert (info.input_size, info.random_crop, info.flip) == ((64, 32), PaddedCrop(padding=4), True)


def test_compressed_files_give_the_same_splits(small, tmp_path, monkeypatch):
    plain = datasets.load_dataset("dominoes", val_target_size=200)
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "gz"))
    make_mnist(tmp_path / "gz", 3000, 500, compress=True)
    make_cifar(tmp_path / "gz", 2000, 400)
    assert datasets.load_dataset("dominoes", val_target_size=200).fingerprint == plain.fingerprint


def test_the_files_are_where_torchvision_has_them(small):
    images = MNIST(str(small), train=False).data.numpy()
    test = datasets.load_dataset("dominoes", val_target_size=200).test
    assert np.array_equal(test.images[:, 0, 2:30, 2:30], images[test.sources[:, 0] - 3000])


def test_the_seed_and_the_files_decide_the_splits(small):
    first, again = (datasets.load_dataset("dominoes", val_target_size=200) for _ in range(2))
    other = datasets.load_dataset("dominoes", val_target_size=200, seed=1)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    path = small / "MNIST/raw/train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    assert datasets.load_dataset("dominoes", val_target_size=200).fingerprint != first.fingerprint


def test_too_few_pairs_are_an_error_that_counts_them(small):
    with pytest.raises(UserError, match=r"200 pairs of class 0; a val_target_size of 4,000 needs 400"):
        datasets.load_dataset("dominoes", val_target_size=4000)


def test_missing_files_are_an_error_that_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path))
    with pytest.raises(UserError, match="train-images-idx3-ubyte") as error:
        datasets.load_dataset("dominoes")
    assert str(tmp_path) in str(error.value)
    make_mnist(tmp_path, 100, 100)
    with pytest.raises(UserError, match="cifar-10-python.tar.gz"):
        datasets.load_dataset("dominoes")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("MNIST/raw/train-images-idx3-ubyte", lambda c: c[:-5], "should hold"),
        ("MNIST/raw/t10k-labels-idx1-ubyte", lambda c: b"PK" + c[2:], "is no IDX file"),
        ("MNIST/raw/train-labels-idx1-ubyte", lambda c: b"", "is no IDX file"),
        ("cifar-10-batches-py/data_batch_3", lambda c: c[:-500], "is no batch of CIFAR-10"),
        ("cifar-10-batches-py/test_batch", lambda c: b"cos\nsystem\n(S'true'\ntR.", "it would call os.system"),
        ("cifar-10-batches-py/test_batch", lambda c: b"", "is no batch of CIFAR-10"),
    ],
)
def test_a_broken_file_is_named(small, name, damage, message):
    path = small / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        datasets.load_dataset("dominoes", val_target_size=200)
    assert str(path) in str(error.value)


def test_a_truncated_compressed_file_is_named(small):
    path = small / "MNIST/raw/train-images-idx3-ubyte"
    path.unlink()
    path.with_suffix(".gz").unlink(missing_ok=True)
    path.with_name(path.name + ".gz").write_bytes(b"\x1f\x8b\x08broken")
    with pytest.raises(UserError, match=r"can't read .*ubyte.gz"):
        datasets.load_dataset("dominoes", val_target_size=200)
