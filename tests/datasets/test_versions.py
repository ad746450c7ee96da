"""What each versioned piece of code makes, as a hash. A change that alters it must raise the version beside it.

Otherwise a machine that has prepared the data, or kept features, before would go on with the old ones. Whoever raises a
version notes here what the new one makes.
"""

import dataclasses
import hashlib
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from scale_tune.datasets import celeba, load_dataset, pictures, sources, transforms
from scale_tune.datasets.celeba import Celeba, CelebaOptions
from scale_tune.datasets.contract import DatasetOptions
from scale_tune.datasets.digits import INFO, Digits
from scale_tune.datasets.dominoes import Dominoes, DominoesOptions
from scale_tune.datasets.splits import SPLIT_NAMES, PaddedCrop
from scale_tune.datasets.table import Table, TableOptions
from scale_tune.datasets.waterbirds import Waterbirds
from tests.support.sources import (
    celeba_table,
    make_celeba,
    make_cifar,
    make_mnist,
    make_table,
    make_waterbirds,
    table_rows,
)


def sha(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def of_plans(plans, *, images: bool = False) -> str:
    """Of all splits; of sources that are pictures without these, whose decoding differs between libraries."""
    names = ("labels", "attributes", "sources")
    arrays = [getattr(plans[split], name) for split in SPLIT_NAMES for name in names]
    if images:
        arrays += [plans[split].images(0, len(plans[split].labels)) for split in SPLIT_NAMES]
    return sha(*arrays)


def make_pictures(tmp_path) -> str:
    rng = np.random.default_rng(0)
    for name, shape in (("face", (218, 178, 3)), ("bird", (260, 300, 3)), ("grey", (40, 90))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    frames = {
        "face": partial(pictures.scaled, height=224, width=200),
        "bird": lambda picture: pictures.central(pictures.scaled_to_shorter(picture, 64), 50, 40),
        "grey": partial(pictures.central, height=30, width=41),
    }
    return sha(*(pictures.read_picture(tmp_path / f"{name}.png", frame, "") for name, frame in frames.items()))


def make_sources(tmp_path) -> str:
    make_mnist(tmp_path, 50, 20, compress=True)
    make_cifar(tmp_path, 50, 20)
    digits = [sources.read_idx(path) for path in sorted((tmp_path / "MNIST/raw").iterdir())]
    return sha(*digits, *sources.read_cifar_batch(tmp_path / "cifar-10-batches-py/data_batch_2"))


def make_digits(tmp_path) -> str:
    return load_dataset("digits").fingerprint[:16]


def make_dominoes(tmp_path) -> str:
    make_mnist(tmp_path, 3000, 500)
    make_cifar(tmp_path, 2000, 400)
    return of_plans(Dominoes(DominoesOptions(val_target_size=200, spurious_strength=0.9)).plan(), images=True)


def make_celeba_splits(tmp_path) -> str:
    make_celeba(tmp_path, celeba_table({0: (30, 60, 60, 30), 1: (9, 8, 7, 6), 2: (6, 7, 8, 9)}), "metadata")
    options = CelebaOptions(target_size=8, spurious_strength=0.8), CelebaOptions(task="blond")
    return "-".join(of_plans(Celeba(each).plan()) for each in options)


def make_waterbirds_splits(tmp_path) -> str:
    make_waterbirds(tmp_path, {0: (20, 2, 3, 10), 1: (11, 9, 7, 5), 2: (4, 5, 6, 7)})
    return of_plans(Waterbirds(DatasetOptions()).plan())


def make_table_splits(tmp_path) -> str:
    rng = np.random.default_rng(0)
    cells = [("cow", "grass"), ("cow", "sand"), ("camel", "grass"), ("camel", "sand")]
    counts = {split: dict(zip(cells, (9, 2, 3, 7), strict=True)) for split in ("train", "val", "test")}
    table = table_rows(counts)
    path = make_table(tmp_path, table)
    for name in table["path"]:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    sizes = ({"resize": 16, "crop": 12}, {"resize": (10, 20), "crop": None}, {"resize": None, "crop": (8, 4)})
    return "-".join(of_plans(Table(TableOptions(csv=str(path), **size)).plan(), images=True) for size in sizes)


def make_inputs(tmp_path) -> str:
    """Of a network: of images as they are, and cropped and mirrored. Resampling depends on the machine's rounding."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 12, 10), dtype=torch.uint8, generator=generator)
    info = dataclasses.replace(INFO, height=12, width=10, central_crop=(8, 7), random_crop=PaddedCrop(padding=3))
    augmented = transforms.augment(images, dataclasses.replace(info, flip=True), generator)
    return sha(*(transforms.normalise(each, info).numpy() for each in (images, augmented)))


MAKERS = {
    "transforms": (make_inputs, {"transforms": transforms.VERSION}),
    "pictures": (make_pictures, pictures.VERSIONS),
    "sources": (make_sources, sources.VERSIONS),
    "digits": (make_digits, Digits.versions),
    "dominoes": (make_dominoes, Dominoes.versions),
    "celeba": (make_celeba_splits, Celeba.versions),
    "waterbirds": (make_waterbirds_splits, Waterbirds.versions),
    "table": (make_table_splits, Table.versions),
}

MADE = {
    ("transforms", 2): "1da2415adc34e032",
    ("pictures", 1): "4230d7701df1e56c",
    ("sources", 1): "7745cabe9fe097a9",
    ("digits", 1): "14c7592aac41916f",
    ("dominoes", 2): "cc61ddca1d9d875c",
    ("celeba", 2): "dafeffea139f67ba-018e50ac796b42c0",
    ("table", 1): "6719ebcd3e25cb39-653d9d92ec149037-ba9a54dbc32ae520",
    ("waterbirds", 2): "2c138405a31aa231",
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_version_makes_never_changes(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path))
    monkeypatch.setattr(celeba, "MAJORITY_TRAIN", 40)
    make, versions = MAKERS[name]
    made = (name, versions[name]), make(tmp_path)
    assert made in MADE.items(), f"{name} makes something else: raise its version, and note {made} here"


def test_a_dataset_is_keyed_by_the_versions_of_what_it_uses():
    assert set(Dominoes.versions) == {"dominoes", "sources"}
    assert set(Celeba.versions) == {"celeba", "pictures"}
    assert set(Waterbirds.versions) == {"waterbirds", "pictures"}
    assert set(Table.versions) == {"table", "pictures"}
