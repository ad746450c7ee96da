"""Pictures of a user's own: what their list means, and how they come to size."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scale_tune import datasets
from scale_tune.datasets import tablelist
from scale_tune.datasets.splits import SPLIT_NAMES, PaddedCrop
from scale_tune.errors import UserError
from scale_tune.spec.config import DatasetConfig
from tests.support.sources import make_table, make_waterbirds, table_rows

ANIMALS = {
    "train": {
        ("cow", "grass"): 9,
        ("cow", "sand"): 2,
        ("camel", "grass"): 1,
        ("camel", "sand"): 6,
        ("yak", "grass"): 3,
    },
    "val": {("cow", "grass"): 5, ("cow", "sand"): 4, ("camel", "grass"): 2, ("camel", "sand"): 3, ("yak", "grass"): 2},
    "test": {("cow", "grass"): 2, ("cow", "sand"): 2, ("camel", "sand"): 2, ("yak", "grass"): 1, ("yak", "sand"): 1},
}
SMALL = {"resize": 16, "crop": 16}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def load(**options):
    return datasets.load_dataset("table", **{"csv": "list.csv", **SMALL, **options})


def table_of(**options):
    return datasets.dataset_of(DatasetConfig(name="table", **{"csv": "list.csv", **SMALL, **options}))


def cells(split) -> dict[tuple[int, int], int]:
    values, counts = np.unique(np.stack([split.labels, split.attributes], axis=1), axis=0, return_counts=True)
    return {(int(y), int(a)): int(n) for (y, a), n in zip(values, counts, strict=True)}


def test_a_folder_with_a_list_of_three_classes(places):
    table = table_rows(ANIMALS)
    make_table(places, table)
    splits = load()
    # camel, cow, yak; grass, sand.
    assert cells(splits.train) == {(0, 0): 1, (0, 1): 6, (1, 0): 9, (1, 1): 2, (2, 0): 3}
    assert cells(splits.test) == {(0, 1): 2, (1, 0): 2, (1, 1): 2, (2, 0): 1, (2, 1): 1}
    assert cells(splits.target) == {(0, 0): 1, (0, 1): 1, (1, 0): 3, (1, 1): 2, (2, 0): 1}
    assert cells(splits.val) == {(0, 0): 1, (0, 1): 2, (1, 0): 2, (1, 1): 2, (2, 0): 1}
    assert splits.info.groups.shape == (3, 2)
    assert splits.info.groups.aligned_attributes == (1, 0, 0)
    assert (splits.info.input_size, splits.info.random_crop, splits.info.flip) == (
        (16, 16),
        PaddedCrop(padding=1),
        True,
    )
    by_path = table.sort_values("path", ignore_index=True)
    for name in SPLIT_NAMES:
        split = getattr(splits, name)
        rows = by_path.iloc[split.sources[:, 0]]
        assert (rows["label"] == np.array(["camel", "cow", "yak"])[split.labels]).all()
        assert (rows["attribute"] == np.array(["grass", "sand"])[split.attributes]).all()
        assert set(rows["split"]) == {"val" if name == "target" else name}
        # The red of each picture is its row in the list.
        assert [table["path"][red] for red in split.images[:, 0, 8, 8]] == rows["path"].tolist()
    sources = [set(getattr(splits, name).sources[:, 0].tolist()) for name in SPLIT_NAMES]
    assert sum(map(len, sources)) == len(set.union(*sources)) == len(table), "disjoint, and nothing is left out"


def test_the_list_of_wilds_works_as_it_is(places):
    folder = make_waterbirds(places, {0: (20, 2, 3, 10), 1: (11, 9, 7, 5), 2: (4, 5, 6, 7)})
    folder = folder.rename(places / "waterbirds_v1.0")
    listed = pd.read_csv(folder / "metadata.csv")
    listed["place_filename"] = "/o/ocean/00000001.jpg"
    columns = ["img_id", "img_filename", "y", "split", "place", "place_filename"]
    listed[columns].to_csv(folder / "metadata.csv", index=False)
    splits = datasets.load_dataset("table", csv="waterbirds_v1.0/metadata.csv")
    assert cells(splits.train) == {(0, 0): 20, (0, 1): 2, (1, 0): 3, (1, 1): 10}
    assert cells(splits.test) == {(0, 0): 4, (0, 1): 5, (1, 0): 6, (1, 1): 7}
    assert cells(splits.target) == {(0, 0): 5, (0, 1): 5, (1, 0): 3, (1, 1): 3}
    assert cells(splits.val) == {(0, 0): 6, (0, 1): 4, (1, 0): 4, (1, 1): 2}
    listed_as = {"csv": "waterbirds_v1.0/metadata.csv", "resize": (256, 256), "crop": None}
    squeezed = datasets.load_dataset("table", **listed_as)
    folder.rename(places / "waterbird_complete95_forest2water2")
    # Judged in the same way as the dataset of the package, and with the same pictures if they are asked for.
    own = datasets.load_dataset("waterbirds")
    assert splits.info.groups == own.info.groups
    assert sorted(map(bytes, own.test.images)) == sorted(map(bytes, squeezed.test.images))


def test_columns_folder_and_splits_of_other_names(places):
    table = table_rows(ANIMALS)
    path = make_table(places, table)
    expected = load().fingerprint
    path.unlink()
    other = table.rename(columns={"path": "image", "label": "animal", "attribute": "ground", "split": "part"})
    other["part"] = other["part"].replace({"train": "A", "val": "B", "test": "C"})
    (places / "lists").mkdir()
    other.to_csv(places / "lists/own.csv", index=False)
    names = {"path_column": "image", "label_column": "animal", "attribute_column": "ground", "split_column": "part"}
    parts = {"A": "train", "B": "val", "C": "test"}
    for root in (".", str(places)):
        own = load(csv="lists/own.csv", root=root, splits=parts, **names)
        assert own.fingerprint == expected
    assert load(csv=str(places / "lists/own.csv"), root=".", splits=parts, **names).fingerprint == expected


@pytest.mark.parametrize("values", [["-1", "1", "10"], ["2", "9", "10"], ["2.0", "9.0", "10.0"], ["a", "b b", "ü"]])
def test_numbers_are_ordered_as_numbers_and_names_by_the_alphabet(places, values):
    table = table_rows(ANIMALS)
    paths = make_table(places, table)
    expected = load().fingerprint
    table["label"] = table["label"].replace(dict(zip(["camel", "cow", "yak"], values, strict=True)))
    table.to_csv(paths, index=False)
    assert load().fingerprint == expected


def test_the_seed_and_the_pictures_decide_the_splits_and_the_order_of_the_rows_does_not(places):
    table = table_rows(ANIMALS)
    path = make_table(places, table)
    first, other = load(), load(seed=1)
    assert first.fingerprint != other.fingerprint
    table.sample(frac=1, random_state=5).to_csv(path, index=False)
    assert load().fingerprint == first.fingerprint
    Image.new("RGB", (20, 16), (9, 9, 9)).save(places / table["path"][0])
    table.assign(more=1).to_csv(path, index=False)
    assert load().fingerprint != first.fingerprint


def test_target_is_a_split_of_its_own_or_a_share_of_val_or_train(places):
    make_table(places, table_rows(ANIMALS))
    val = load(target_share=0.4)
    assert cells(val.target) == {(0, 0): 1, (0, 1): 2, (1, 0): 2, (1, 1): 1, (2, 0): 1}
    assert cells(val.val) == {(0, 0): 1, (0, 1): 1, (1, 0): 3, (1, 1): 3, (2, 0): 1}
    make_table(places, table_rows({**ANIMALS, "train": {**ANIMALS["train"], ("camel", "grass"): 2}}), "pairs.csv")
    train = load(csv="pairs.csv", target_from="train", target_share=0.2)
    assert cells(train.target) == {(0, 0): 1, (0, 1): 1, (1, 0): 2, (1, 1): 1, (2, 0): 1}
    assert cells(train.train) == {(0, 0): 1, (0, 1): 5, (1, 0): 7, (1, 1): 1, (2, 0): 2}
    assert len(train.val) == 16
    own = {**ANIMALS, "target": {("cow", "grass"): 1, ("camel", "sand"): 1, ("yak", "sand"): 1}}
    make_table(places, table_rows(own), "own.csv")
    splits = load(csv="own.csv")
    assert cells(splits.target) == {(0, 1): 1, (1, 0): 1, (2, 1): 1}
    assert len(splits.val) == 16
    for option in ({"target_from": "val"}, {"target_share": 0.5}):
        with pytest.raises(UserError, match=r"own.csv:\d+: target_.* is given, but the list has a target of its own"):
            load(csv="own.csv", **option)


def test_which_attribute_is_aligned_may_be_chosen(places):
    make_table(places, table_rows(ANIMALS))
    assert table_of().info().groups.aligned_attributes == (1, 0, 0)
    assert table_of(aligned={"yak": "sand"}).info().groups.aligned_attributes == (1, 0, 1)
    for wrong, message in (
        ({"yack": "sand"}, "aligned: yack: sand: .* has no label yack; did you mean 'yak'"),
        ({"yak": 1}, "aligned: yak: 1: .* has no attribute 1; known are: grass, sand"),
    ):
        with pytest.raises(UserError, match=message):
            table_of(aligned=wrong).info()


@pytest.mark.parametrize(
    ("options", "size", "box"),
    [
        ({"resize": 16, "crop": 16}, (16, 16), (2, 18)),
        ({"resize": 16, "crop": [8, 16]}, (8, 16), (2, 18)),
        ({"resize": [16, 10], "crop": None}, (16, 10), None),
        ({"resize": [32, 32], "crop": 20}, (20, 20), None),
        ({"resize": None, "crop": 12}, (12, 12), (4, 16)),
    ],
)
def test_pictures_come_to_one_size(places, options, size, box):
    table = table_rows(ANIMALS)
    make_table(places, table)
    ramp = np.tile(np.arange(20, dtype=np.uint8) * 10, (16, 1))
    for path in table["path"]:
        Image.fromarray(ramp).save(places / path)
    splits = load(**options)
    assert splits.train.images.shape[2:] == (splits.info.height, splits.info.width) == size
    if box is not None:
        assert splits.train.images[0, 0, 0].tolist() == ramp[0, slice(*box)].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": None}, "crop.*pictures must come to one size; give crop, or resize as"),
        ({"resize": None, "crop": None}, "pictures must come to one size"),
        ({"resize": 16, "crop": 17}, "17 is larger than what resize leaves, 16; give less or null"),
        ({"resize": [16, 8], "crop": [16, 9]}, "is larger than what resize leaves"),
        ({"crop_padding": 16}, "must be below 16, the shorter side"),
        ({"std": [0.2, 0.2, 0]}, "std|must be above 0"),
        ({"target_share": 1.0}, "target_share: .*less than 1"),
        ({"labels": "y"}, "did you mean 'label_column'|unknown key"),
        ({"splits": {"A": "training"}}, "splits.A: .*'train', 'target', 'val' or 'test'"),
    ],
)
def test_options_that_cant_be_are_refused(places, options, message):
    make_table(places, table_rows(ANIMALS))
    with pytest.raises(UserError, match=message):
        load(**options)


def odd_pictures():
    """Each as (name, picture, options of saving, the RGB it must show)."""
    grey16 = Image.fromarray(np.full((30, 20), 200 * 257, np.uint16))
    palette = Image.new("RGB", (30, 20), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    return [
        ("jpeg.jpg", Image.new("RGB", (50, 20), (200, 30, 60)), {"quality": 95}, (200, 30, 60)),
        ("grey.png", Image.new("L", (17, 16), 77), {}, (77, 77, 77)),
        ("grey16.png", grey16, {}, (200, 200, 200)),
        ("bits.png", Image.new("1", (20, 20), 1), {}, (255, 255, 255)),
        ("alpha.png", Image.new("RGBA", (20, 30), (10, 20, 30, 128)), {}, (10, 20, 30)),
        ("greyalpha.png", Image.new("LA", (20, 30), (99, 0)), {}, (99, 99, 99)),
        ("palette.png", palette, {"transparency": b"\x00\x80"}, (10, 200, 30)),
        ("cmyk.jpg", Image.new("CMYK", (300, 200), (0, 255, 255, 0)), {"quality": 95}, (255, 0, 0)),
        ("bmp.bmp", Image.new("RGB", (1, 90), (1, 2, 3)), {}, (1, 2, 3)),
        ("web.webp", Image.new("RGB", (20, 20), (4, 5, 6)), {"lossless": True}, (4, 5, 6)),
        ("moving.gif", Image.new("L", (20, 20), 50), {}, (50, 50, 50)),
    ]


def test_pictures_of_all_kinds(places):
    table = table_rows(ANIMALS)
    make_table(places, table)
    odd = odd_pictures()
    for row, (name, picture, how, _) in enumerate(odd):
        picture.save(places / name, **how)
        table.loc[row, "path"] = name
    table.to_csv(places / "list.csv", index=False)
    splits = load()
    shown = {}
    paths = sorted(table["path"])
    for split in (getattr(splits, name) for name in SPLIT_NAMES):
        for source, image in zip(split.sources[:, 0], split.images, strict=True):
            shown[paths[source]] = image.mean(axis=(1, 2))
    for name, _, _, colour in odd:
        assert shown[name] == pytest.approx(colour, abs=4), name


def test_the_list_is_read_once_until_it_changes(places, monkeypatch):
    path = make_table(places, table_rows(ANIMALS))
    table_of().info()
    monkeypatch.setattr(tablelist, "read_csv", lambda *_: pytest.fail("read again"))
    table_of(seed=3).info()
    table_of().plan()
    path.write_text(path.read_text() + "\n")
    with pytest.raises(pytest.fail.Exception):
        table_of().info()
