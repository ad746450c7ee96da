"""CelebA and Waterbirds from small files in the real formats."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from scale_tune import datasets
from scale_tune.datasets import celeba
from scale_tune.datasets.lists import PictureList
from scale_tune.datasets.splits import SPLIT_NAMES
from scale_tune.datasets.transforms import normalise
from scale_tune.errors import UserError
from scale_tune.spec.config import DatasetConfig
from tests.support.sources import celeba_table, make_celeba, make_waterbirds

LAYOUTS = ("kaggle", "torchvision", "metadata")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def few(monkeypatch):
    """A train split of 40 pictures per majority group, so that a few pictures make a dataset."""
    monkeypatch.setattr(celeba, "MAJORITY_TRAIN", 40)
    return celeba_table({0: (30, 60, 60, 30), 1: (9, 8, 7, 6), 2: (6, 7, 8, 9)})


def plans_of(name, **options):
    return datasets.dataset_of(DatasetConfig(name=name, **options)).plan()


def groups(plan) -> list[int]:
    """Pictures of (label, attribute) 00, 01, 10, 11."""
    return [int(((plan.labels == y) & (plan.attributes == p)).sum()) for y in (0, 1) for p in (0, 1)]


@pytest.mark.parametrize("task", ["gender", "blond"])
def test_the_three_layouts_give_the_same_splits(few, tmp_path, monkeypatch, task):
    options = {"task": task} | ({"target_size": 8, "spurious_strength": 0.8} if task == "gender" else {})
    fingerprints = set()
    for layout in LAYOUTS:
        monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / layout))
        make_celeba(tmp_path / layout, few, layout)
        fingerprints.add(datasets.load_dataset("celeba", **options).fingerprint)
    assert len(fingerprints) == 1


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """As many of each group as CelebA has, or nearly; lists alone, and what is read of them."""
    root = tmp_path_factory.mktemp("full")
    table = celeba_table({0: (71_629, 22_880, 66_874, 1387), 1: (8535, 2874, 8276, 182), 2: (9767, 2480, 7535, 180)})
    make_celeba(root, table, "torchvision", pictures=False)
    return root, celeba.read_lists([root / "celeba" / f"list_{name}.txt" for name in ("attr_celeba", "eval_partition")])


@pytest.mark.parametrize(("strength", "minority"), [(1.0, 0), (0.99, 101), (0.95, 526)], ids=["1", ".99", ".95"])
@pytest.mark.parametrize("target_size", [400, 1000])
def test_gender_has_the_defined_counts(full, monkeypatch, strength, minority, target_size):
    root, faces = full
    monkeypatch.setenv("SCALE_TUNE_DATA", str(root))
    monkeypatch.setattr(celeba, "read_lists", lambda lists: faces)  # which takes a second or two
    monkeypatch.setattr(PictureList, "check_present", lambda *_: None)  # 200,000 files would take too long to make
    plans = plans_of("celeba", spurious_strength=strength, target_size=target_size)
    assert groups(plans["train"]) == [10_000, minority, minority, 10_000]
    assert groups(plans["target"]) == [target_size // 4] * 4
    assert groups(plans["val"]) == [182] * 4
    assert groups(plans["test"]) == [180] * 4
    rows = [set(plans[name].sources[:, 0].tolist()) for name in SPLIT_NAMES]
    assert len(set.union(*rows)) == sum(len(plans[name].labels) for name in SPLIT_NAMES), "disjoint"


def test_too_few_pictures_are_an_error_that_counts_them(places):
    table = celeba_table({0: (71_629, 22_880, 66_874, 1387), 1: (9, 9, 9, 9), 2: (9, 9, 9, 9)})
    make_celeba(places, table, "kaggle", pictures=False)
    with pytest.raises(UserError, match=r"1,387 pictures of blond men.*need 1,111 in train and 500 in target"):
        plans_of("celeba", spurious_strength=0.9, target_size=2000)


def test_labels_and_attributes_are_those_of_the_lists(few, places):
    make_celeba(places, few, "kaggle")
    plans = plans_of("celeba", target_size=8, spurious_strength=0.8)
    for plan in plans.values():
        rows = few.iloc[plan.sources[:, 0]]
        assert (plan.labels == rows["male"]).all()
        assert (plan.attributes == 1 - rows["blond"]).all()


def test_blond_has_natural_counts_and_halves_of_val(few, places):
    make_celeba(places, few, "metadata")
    plans = plans_of("celeba", task="blond")
    assert groups(plans["train"]) == [30, 60, 60, 30]
    assert groups(plans["test"]) == [6, 8, 7, 9]
    target, val = (np.array(groups(plans[name])) for name in ("target", "val"))
    assert (target + val).tolist() == [9, 7, 8, 6]
    assert np.abs(target - val).max() <= 1
    for name, split in (("train", 0), ("target", 1), ("val", 1), ("test", 2)):
        assert (few.iloc[plans[name].sources[:, 0]]["split"] == split).all()
    info = datasets.dataset_of(DatasetConfig(name="celeba", task="blond")).info()
    assert info.groups.aligned.tolist() == [[False, True], [True, False]], "dark men and blond women"


def test_a_broken_picture_is_named(few, places):
    images = make_celeba(places, few, "kaggle")
    train = plans_of("celeba", target_size=8)["train"]
    path = images / few["filename"].iloc[train.sources[7, 0]]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="can't read the picture") as error:
        datasets.load_dataset("celeba", target_size=8)
    assert str(path) in str(error.value)
    line = 1 + int(path.stem)
    assert f"list_eval_partition.csv:{line}: " in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match=rf"1 of 136 pictures are not in .*{path.name} \(line {line}\)"):
        datasets.load_dataset("celeba", target_size=8)


def test_pictures_are_decoded_once(few, places, monkeypatch):
    make_celeba(places, few, "torchvision")
    first = datasets.load_dataset("celeba", target_size=8)
    monkeypatch.setattr(Image, "open", lambda path: pytest.fail("decoded again"))
    assert datasets.load_dataset("celeba", target_size=8).fingerprint == first.fingerprint
    assert isinstance(first.train.images, np.memmap)
    assert first.train.images.shape[1:] == (3, 224, 224)


@pytest.mark.parametrize(
    ("name", "content"),
    [("list_attr_celeba.csv", "image_id,Male\n1.jpg,1\n"), ("list_eval_partition.csv", "a,b\n1,2\n")],
)
def test_a_list_of_another_format_is_named(few, places, name, content):
    make_celeba(places, few, "kaggle")
    (places / "celeba" / name).write_text(content)
    with pytest.raises(UserError, match=name):
        plans_of("celeba", target_size=8)


@pytest.mark.parametrize("name", ["celeba", "waterbirds"])
def test_missing_data_is_an_error_that_says_what_to_put_where(places, name):
    with pytest.raises(UserError, match=f"the data of {name} is not there") as error:
        datasets.load_dataset(name)
    assert str(places) in str(error.value)
    assert "Download" in str(error.value)
    (places / "celeba").mkdir(parents=True)
    with pytest.raises(UserError, match="Download"):
        datasets.load_dataset(name)


def test_waterbirds_halves_the_official_validation_split(places):
    make_waterbirds(places, {0: (20, 2, 3, 10), 1: (11, 9, 7, 5), 2: (4, 5, 6, 7)})
    splits = datasets.load_dataset("waterbirds")
    plans = plans_of("waterbirds")
    target, val = (np.array(groups(plans[name])) for name in ("target", "val"))
    assert (target + val).tolist() == [11, 9, 7, 5]
    assert np.abs(target - val).max() <= 1
    assert len(splits.target) == len(splits.val) == 16
    assert groups(plans["train"]) == [20, 2, 3, 10]
    assert groups(plans["test"]) == [4, 5, 6, 7]
    sources = [set(getattr(splits, name).sources[:, 0].tolist()) for name in SPLIT_NAMES]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 89


def noise(path, size) -> Image.Image:
    """A picture of noise, written without loss whatever its name."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    picture.save(path, format="png")
    return picture


SQUEEZED_MIDDLE = v2.Compose([v2.Resize((256, 256)), v2.CenterCrop(224)])


@pytest.mark.parametrize(
    ("options", "size", "frame"),
    [
        ({"name": "celeba", "task": "gender", "target_size": 8}, (178, 218), v2.Resize((224, 224))),
        ({"name": "celeba", "task": "blond"}, (178, 218), SQUEEZED_MIDDLE),
        ({"name": "waterbirds"}, (500, 333), SQUEEZED_MIDDLE),
        ({"name": "waterbirds"}, (150, 400), SQUEEZED_MIDDLE),
    ],
)
def test_networks_see_of_pictures_what_they_see_of_them_by_torchvision(few, places, options, size, frame):
    """The sources' own pipelines on the first picture: Pillow's resizing, tensor, ImageNet's mean and deviation."""
    if options["name"] == "celeba":
        folder = make_celeba(places, few, "metadata")
        files = sorted(folder.iterdir())
    else:
        files = sorted((make_waterbirds(places, {0: (9, 2, 3, 5), 1: (4,) * 4, 2: (4,) * 4}) / "001.Bird").iterdir())
    for file in files:
        picture = noise(file, size)
    dataset = datasets.dataset_of(DatasetConfig(**options))
    info, stored = dataset.info(), torch.from_numpy(dataset.plan()["test"].images(0, 1))
    assert stored.shape[2:] == (info.height, info.width)
    expected = reference.normalize(
        reference.to_dtype(reference.to_image(frame(picture)), torch.float32, scale=True),
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
    )
    torch.testing.assert_close(normalise(stored, info)[0], expected)


def test_pictures_are_augmented_as_in_their_sources():
    gender, blond, birds = (
        datasets.dataset_of(DatasetConfig(**options)).info()
        for options in ({"name": "celeba"}, {"name": "celeba", "task": "blond"}, {"name": "waterbirds"})
    )
    assert (gender.random_crop, gender.flip) == (None, False)
    assert (blond.random_crop.area, blond.flip) == (birds.random_crop.area, birds.flip) == ((0.7, 1), True)
    assert birds.random_crop.ratio == (3 / 4, 4 / 3)
    # A part of 3 : 4 of a face of 178 x 218 that was resized to 256 x 256.
    assert blond.random_crop.ratio == pytest.approx((3 / 4 * (256 / 178) / (256 / 218), 4 / 3 * 218 / 178))
