"""Lists of own pictures that are wrong: each mistake is one error, with file and line, and none is ever a traceback."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scale_tune import datasets
from scale_tune.datasets import tablelist
from scale_tune.datasets.splits import SPLIT_NAMES
from scale_tune.errors import UserError
from scale_tune.spec.config import DatasetConfig

LINES = ["path,label,attribute,split"] + [
    f"{split}/{label}{attribute}{number}.png,{label},{attribute},{split}"
    for split in ("train", "val", "test")
    for label in ("cow", "camel")
    for attribute in ("0", "1")
    for number in (1, 2)
]
FIRST = "train/cow01.png"
"""The picture of line 2."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for line in LINES[1:]:
        path = root / line.split(",")[0]
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(path)
    return root


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    """Where the lists are written: beside nothing that another test may need."""
    return tmp_path_factory.mktemp("lists")


def plan(folder, content: str | bytes, root, **options):
    path = folder / "list.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    sizes = {"resize": None, "crop": 8}
    dataset = datasets.dataset_of(DatasetConfig(name="table", csv=str(path), root=str(root), **sizes, **options))
    dataset.info()
    return dataset.plan()


def with_line(number: int, line: str | None) -> str:
    """The list with another line (from 1), or without it."""
    lines = LINES.copy()
    lines[number - 1 : number] = [] if line is None else [line]
    return "\n".join(lines) + "\n"


def with_field(number: int, field: int, value: str) -> str:
    fields = LINES[number - 1].split(",")
    fields[field] = value
    return with_line(number, ",".join(fields))


def without(*words: str) -> str:
    """The list without the lines that hold all of these."""
    return "\n".join(line for line in LINES if not all(word in line for word in words))


def test_the_list_itself_is_right(folder, pictures):
    assert {name: len(split.labels) for name, split in plan(folder, "\n".join(LINES), pictures).items()} == {
        "train": 8,
        "target": 4,
        "val": 4,
        "test": 8,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # A column that is missing, or can't be told.
        (with_line(1, "path,label,a?,split"), r"1: of the columns path, label, a\?, split: none is known as the attri"),
        (with_line(1, "path,label,attribute,a"), "1: of the columns both attribute and a may be the attribute"),
        (with_line(1, "path,label,attribute,label"), "1: 2 columns are called 'label'|1: of the columns .* the split"),
        ("", "1: of the columns none: none is known as the path"),
        (LINES[0], "1: no picture is listed"),
        # A split that there is not.
        (with_field(2, 3, "trian"), "2: split is 'trian'; it must be train or target or val"),
        (with_field(2, 3, ""), "2: split is blank; it must be"),
        # Labels and attributes.
        (with_field(2, 1, ""), "2: label is blank; it must be a whole number or a name; correct"),
        (with_field(2, 1, "nan"), "2: label is 'nan'"),
        (with_field(2, 1, "0.5"), "2: label is '0.5'; it must be a whole number or a name; correct"),
        (with_field(2, 1, "7"), "2: label is '7', but most are names"),
        (with_field(2, 2, ""), "2: attribute is blank"),
        (with_field(2, 2, "1e-3"), "2: attribute is '1e-3'; it must be a whole number"),
        (with_field(2, 2, "left"), "2: attribute is 'left', but most are numbers"),
        (with_field(2, 2, "3"), "2: the attribute 3, of which this is one, has no picture in val"),
        (with_field(2, 1, "cwo"), "2: the class cwo, of which this is one, has no picture in val"),
        ("\n".join(LINES).replace("camel,", "cow,"), "1: label is cow for all pictures; there must be two at least"),
        ("\n".join(LINES).replace(",1,", ",0,"), "1: attribute is 0 for all pictures; there must be two at least"),
        # Paths.
        (with_field(2, 0, "../x.png"), "2: path is '../x.png', which is no picture in the folder"),
        (with_field(2, 0, "/etc/passwd"), "2: path is '/etc/passwd', which is no picture in the folder"),
        (with_field(2, 0, "train/.."), "2: path is 'train/..', which is no picture in the folder"),
        (with_field(2, 0, ""), "2: path is blank, which is no picture in the folder"),
        (with_field(2, 0, "train"), r" 1 of 24 pictures are not in .*: train \(line 2\); put them there, or correct"),
        # Pictures that stand twice.
        (with_field(5, 0, FIRST), f"5: {FIRST} stands twice, first in line 2"),
        (with_field(5, 0, f"train/../{FIRST}"), f"5: {FIRST} stands twice, first in line 2"),
        (with_field(12, 0, FIRST), f"12: {FIRST} is in val here and in train in line 2, but a picture may be in one"),
        # Splits and classes that are missing.
        (without(",val"), "1: no picture is in val"),
        (without(",train"), "1: no picture is in train"),
        (without(",test"), "1: no picture is in test"),
        (without("camel", ",train"), r"\d+: the class camel, of which this is one, has no picture in train"),
        (without(",1,", ",train"), r"\d+: the attribute 1, of which this is one, has no picture in train"),
        (without("val/cow01"), " cow with 0 has one picture, which can't be both in target and beside it; add"),
        # Text that is no list.
        ("\n".join(LINES).encode("utf-16"), "1: the byte 0xff is no UTF-8; save it as UTF-8"),
        (with_field(4, 1, "vaca ñ").encode("latin-1"), "4: the byte 0xf1 is no UTF-8; save it as UTF-8"),
        (with_line(3, LINES[2] + ",more"), "3: 5 fields below 4 columns"),
        (with_line(3, "train/cow02.png;cow;0;train"), "3: 1 fields below 4 columns"),
        (with_line(3, '"' + LINES[2]), "3: the fields can't be told apart"),
        (with_line(3, 'a"b",' + LINES[2]), "3: 5 fields below 4 columns"),
        ("\n".join(LINES).replace(",", ";"), "1: of the columns path;label;attribute;split: none is known as"),
    ],
)
def test_a_mistake_is_named_with_its_line(folder, pictures, content, message):
    with pytest.raises(UserError) as error:
        plan(folder, content, pictures)
    text = str(error.value)
    assert re.search(f"list.csv:?({message})", text), text
    assert "\n" not in text


def test_missing_pictures_are_counted_and_the_first_are_named(folder, pictures):
    content = "\n".join([LINES[0]] + [line.replace("train/", "lost/") for line in LINES[1:]])
    with pytest.raises(UserError) as error:
        plan(folder, content, pictures)
    assert "8 of 24 pictures are not in" in str(error.value)
    assert f"{pictures}: lost/camel01.png (line 6), lost/camel02.png (line 7), lost/camel11.png (line 8), …;" in str(
        error.value
    )


@pytest.mark.parametrize("damage", [lambda c: c[:40], lambda c: b"", lambda c: b"GIF89a", lambda c: c[:20] + b"x" * 9])
def test_an_unreadable_picture_is_named_with_its_line(folder, pictures, damage):
    path = pictures / FIRST
    content = path.read_bytes()
    path.write_bytes(damage(content))
    try:
        train = plan(folder, "\n".join(LINES), pictures)["train"]
        with pytest.raises(UserError, match=f"list.csv:2: can't read the picture {path}: .*; restore it, or leave it"):
            train.images(0, 8)
    finally:
        path.write_bytes(content)


def test_pictures_that_cant_come_to_size_are_named(folder, pictures):
    for size, message in (((7, 90), "it is 90 x 7, too small to cut 8 x 8 out of it"),):
        path = pictures / "odd.png"
        Image.new("RGB", size).save(path)
        train = plan(folder, with_field(2, 0, "odd.png"), pictures)["train"]
        with pytest.raises(UserError, match=f"list.csv:2: can't read the picture {path}: {message}"):
            train.images(0, 8)


def test_a_list_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"{tmp_path}/own/list.csv is missing.\nPut the list there, or"):
        datasets.load_dataset("table", csv="own/list.csv")
    with pytest.raises(UserError, match="the options of table are wrong: csv: is missing"):
        datasets.load_dataset("table")
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match=f"can't read {tmp_path}/own: Is a directory"):
        datasets.load_dataset("table", csv="own")


def same(one, two) -> bool:
    names = ("labels", "attributes", "sources")
    return all(np.array_equal(getattr(one[s], n), getattr(two[s], n)) for s in SPLIT_NAMES for n in names)


@pytest.mark.parametrize(
    "content",
    [
        "\r\n".join(LINES),
        "\ufeff" + "\n".join(LINES),
        "\n\n".join(LINES) + "\n \n",
        "\n".join(", ".join(f'"{field}"' for field in line.split(",")) for line in LINES),
        "\n".join([LINES[0], *reversed(LINES[1:])]),
        "\n".join(",".join(reversed(line.split(","))) for line in LINES),
        with_field(2, 2, "0.0"),
        with_field(2, 0, "./train/../" + FIRST),
        "\n".join(LINES).replace(",val", ",validation"),
    ],
)
def test_what_means_the_same_loads_to_the_same(folder, pictures, content):
    assert same(plan(folder, content, pictures), plan(folder, "\n".join(LINES), pictures))


LENIENT = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ODD = ["", "0.5", "-1", "nan", "inf", "1e9", "../a", "/", "\0", '"', "target", "validation"]
VALUES = st.one_of(st.text(max_size=12), st.sampled_from(ODD))


def plan_or_error(folder, content: bytes, root):
    """What a list makes, or nothing if it is an error that names it; anything else it may raise fails the test."""
    try:
        return plan(folder, content, root)
    except UserError as error:
        if str(folder / "list.csv") not in str(error):
            raise AssertionError(f"the list is not named: {error}") from error
        return None


@LENIENT
@given(line=st.integers(0, len(LINES) - 1), field=st.integers(0, 3), value=VALUES)
def test_one_other_value_is_an_error_or_means_the_same(folder, pictures, line, field, value):
    expected = plan(folder, "\n".join(LINES), pictures)
    fields = LINES[line].split(",")
    if value.strip() in {other.split(",")[field] for other in LINES}:
        return  # another value that is right
    fields[field] = value
    lines = [*LINES[:line], ",".join(fields), *LINES[line + 1 :]]
    found = plan_or_error(folder, "\n".join(lines).encode(errors="surrogatepass"), pictures)
    assert found is None or same(found, expected) or (field == 3 and value.strip() in tablelist.KNOWN_SPLITS)


@LENIENT
@given(at=st.integers(0, 900), cut=st.integers(0, 60), put=st.binary(max_size=6))
def test_damaged_bytes_are_never_a_traceback(folder, pictures, at, cut, put):
    content = "\n".join(LINES).encode()
    found = plan_or_error(folder, content[:at] + put + content[at + cut :], pictures)
    assert found is None or set(found) == set(SPLIT_NAMES)
