"""Lists of CelebA and Waterbirds that are damaged: each damage is one error, with its file and line."""

import re

import pandas as pd
import pytest

from scale_tune.datasets import celeba, dataset_of
from scale_tune.errors import UserError
from scale_tune.spec.config import DatasetConfig
from tests.support.sources import celeba_table, make_celeba, make_waterbirds

COUNTS = {0: (9, 12, 12, 9), 1: (4, 4, 4, 4), 2: (3, 3, 3, 3)}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path))
    monkeypatch.setattr(celeba, "MAJORITY_TRAIN", 8)
    return tmp_path


def plan(name, **options):
    return dataset_of(DatasetConfig(name=name, **options)).plan()


def change(path, line: int, field: int | None, value: str, separator: str | None = ",") -> None:
    """Set a field of a line (from 1); without a field the line itself, which "" removes."""
    lines = path.read_text().split("\n")
    if field is None:
        lines[line - 1 : line] = [value] if value else []
    else:
        fields = lines[line - 1].split(separator)
        fields[field] = value
        lines[line - 1] = (separator or " ").join(fields)
    path.write_text("\n".join(lines))


ATTRIBUTES, PARTITION = "list_attr_celeba.csv", "list_eval_partition.csv"


@pytest.mark.parametrize(
    ("name", "line", "field", "value", "message"),
    [
        (ATTRIBUTES, 5, 1, "", "5: Male is blank; it must be -1 or 1"),
        (ATTRIBUTES, 5, 1, "2", "5: Male is '2'; it must be -1 or 1"),
        (ATTRIBUTES, 5, 2, "0", "5: Blond_Hair is '0'; it must be -1 or 1"),
        (ATTRIBUTES, 5, 2, "yes", "5: Blond_Hair is 'yes'; it must be -1 or 1"),
        (ATTRIBUTES, 5, 2, "1,1", "5: 4 fields below 3 columns"),
        (ATTRIBUTES, 5, 0, "000001.jpg", "5: 000001.jpg stands twice"),
        (ATTRIBUTES, 5, 0, "x.jpg", f"5: 000004.jpg is not in .*{ATTRIBUTES}"),
        (ATTRIBUTES, 5, None, "", f"5: 000004.jpg is not in .*{ATTRIBUTES}"),
        (PARTITION, 5, None, "", f"5: 000004.jpg is not in .*{PARTITION}"),
        (PARTITION, 5, 1, "3", "5: partition is '3'; it must be 0 or 1 or 2"),
        (PARTITION, 5, 1, "", "5: partition is blank"),
        (PARTITION, 5, None, "000004.jpg,0\n000004.jpg,0", "6: 000004.jpg stands twice, first in line 5"),
        (PARTITION, 5, None, "000004.jpg,0\n000004.jpg,2", "6: 000004.jpg is in test here and in train in line 5"),
        (PARTITION, 1, 1, "part", "1: there is no column 'partition'; there are image_id, part;"),
    ],
)
def test_celebas_lists(places, name, line, field, value, message):
    make_celeba(places, celeba_table(COUNTS), "kaggle")
    assert plan("celeba", target_size=4)
    change(places / "celeba" / name, line, field, value)
    with pytest.raises(UserError, match=rf"{ATTRIBUTES}:{message}|{PARTITION}:{message}"):
        plan("celeba", target_size=4)


@pytest.mark.parametrize(
    ("name", "line", "field", "value", "message"),
    [
        ("list_attr_celeba.txt", 5, 1, "2", "5: Blond_Hair is '2'; it must be -1 or 1"),
        ("list_attr_celeba.txt", 5, None, "000003.jpg 1", "5: 2 fields below 3 columns"),
        ("list_eval_partition.txt", 5, 1, "1.5", "5: partition is '1.5'; it must be 0 or 1 or 2"),
        ("list_eval_partition.txt", 1, None, "", "3: 000001.jpg is not in .*list_eval_partition.txt"),
    ],
)
def test_celebas_lists_of_words(places, name, line, field, value, message):
    make_celeba(places, celeba_table(COUNTS), "torchvision")
    assert plan("celeba", target_size=4)
    change(places / "celeba" / name, line, field, value, None)
    with pytest.raises(UserError, match=f"celeba.txt:{message}|partition.txt:{message}"):
        plan("celeba", target_size=4)


@pytest.mark.parametrize(
    ("line", "field", "value", "message"),
    [
        (5, 3, "-1", "5: y is '-1'; it must be 0 or 1"),
        (5, 4, "", "5: a is blank; it must be 0 or 1"),
        (5, 1, "000001.jpg", "5: 000001.jpg (stands twice, first|is in .* here and in .*) in"),
        (5, 1, "../x.jpg", r"5: filename is '../x.jpg', which is no picture in the folder"),
        (5, 1, "x.jpg", r" 1 of \d+ pictures are not in .*: x.jpg \(line 5\); put them there"),
    ],
)
def test_celebas_metadata(places, line, field, value, message):
    make_celeba(places, celeba_table(COUNTS), "metadata")
    assert plan("celeba", task="blond")
    change(places / "celeba/metadata_celeba.csv", line, field, value)
    with pytest.raises(UserError, match=f"metadata_celeba.csv:{message}"):
        plan("celeba", task="blond")


@pytest.mark.parametrize("task", ["gender", "blond"])
@pytest.mark.parametrize(("split", "name"), [(1, "val"), (2, "test")])
def test_celeba_without_a_split(places, task, split, name):
    make_celeba(places, celeba_table(COUNTS | {split: (0, 0, 0, 0)}), "kaggle")
    with pytest.raises(UserError, match=rf"no picture (of not blond women )?is in (the )?{name}"):
        plan("celeba", task=task, **({"target_size": 4} if task == "gender" else {}))


@pytest.mark.parametrize(
    ("change_table", "message"),
    [
        (lambda t: t[t["split"] != 1], "1: no picture is in val; download"),
        (lambda t: t[t["split"] != 0], "1: no picture is in train; download"),
        (lambda t: t.assign(y=t["y"].replace({1: 2})), r"\d+: y is '2'; it must be 0 or 1"),
        (lambda t: t.assign(place=t["place"] / 2), r"\d+: place is '0.0'; it must be 0 or 1|place is '0.5'"),
        (lambda t: t.assign(place=""), "2: place is blank"),
        (lambda t: t.assign(place="water"), "2: place is 'water'; it must be 0 or 1"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), r"\d+: 001.Bird/000004.jpg stands twice, first in line 5"),
        (lambda t: pd.concat([t, t.iloc[[3]].assign(split=3)]), r"\d+: split is '3'; it must be 0 or 1 or 2"),
        (lambda t: t[(t["split"] != 0) | (t["y"] == 0)], r"\d+: the class waterbird, .* has no picture in train"),
        (lambda t: t.drop(columns="place"), "1: there is no column 'place'; there are img_id, img_filename, split, y;"),
        (lambda t: t.iloc[:0], "1: no picture is listed"),
    ],
)
def test_waterbirds_list(places, change_table, message):
    path = make_waterbirds(places, COUNTS) / "metadata.csv"
    assert plan("waterbirds")
    change_table(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(UserError, match=f"{re.escape(str(path))}:{message}"):
        plan("waterbirds")


@pytest.mark.parametrize(("name", "group"), [("waterbirds", "waterbirds on land"), ("celeba", "not blond men")])
def test_a_group_too_small_for_target_and_val(places, name, group):
    counts = COUNTS | {1: (4, 4, 1, 4)}
    if name == "celeba":
        make_celeba(places, celeba_table(counts), "kaggle")
    else:
        make_waterbirds(places, counts)
    with pytest.raises(UserError, match=f"the val split in .*: {group} has one picture, .* add pictures"):
        plan(name, **({"task": "blond"} if name == "celeba" else {}))


def test_a_list_that_is_cut_off_or_of_another_encoding(places):
    path = make_waterbirds(places, COUNTS) / "metadata.csv"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Bird/000004", b"B\xefrd/000004"))
    with pytest.raises(UserError, match="metadata.csv:5: the byte 0xef is no UTF-8; save it as UTF-8"):
        plan("waterbirds")
    path.write_bytes(content + b'"77,001.Bird/9')
    last = len(content.splitlines()) + 1
    with pytest.raises(UserError, match=f"metadata.csv:{last}: the fields can't be told apart"):
        plan("waterbirds")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="metadata.csv:1: there is no column 'img_filename'; there are none"):
        plan("waterbirds")
