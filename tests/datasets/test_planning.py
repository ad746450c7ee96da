"""A user's dataset with a mistake is refused before anything is trained on it, and the mistake named."""

import numpy as np
import pytest

from scale_tune.datasets import dataset_of, load_dataset
from scale_tune.datasets.planning import info_of, plan_of
from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig
from tests.conftest import REPOSITORY

GOOD = (REPOSITORY / "examples" / "own_dataset" / "coloured_digits.py").read_text()


def dataset(old: str = "", new: str = ""):
    assert old in GOOD
    usercode.provide({"mine.py": GOOD.replace(old, new) if old else GOOD})
    return dataset_of(DatasetConfig(name="mine", file="mine.py"))


def test_without_a_mistake_it_is_planned_as_it_says():
    plans, given = plan_of(dataset()), dataset().plan()
    for split, plan in plans.items():
        assert plan.labels.tolist() == given[split].labels.tolist()
        assert np.array_equal(plan.images(3, 7), given[split].images(3, 7))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def plan(", "def plam(", "mine.py: ColouredDigits must define plan"),
        ("Options = Col", "Options = dict or Col", "ColouredDigits.Options must be derived from scale_tune.Dataset"),
        ("    strength: float", "    name: str = ''\n    strength: float", "every dataset has name anyway; rename"),
        ("digits = load_digits()", "digits = {}['x']", r"(?s)ColouredDigits.plan\(\) raised KeyError\('x'\).*mine.py"),
        ("groups = Groups(", "groups = {}['x'](", r"ColouredDigits.info\(\) raised KeyError\('x'\)"),
        ("=(0, 1),", "=(0, 2),", r"info\(\) raised ValueError.*there are 2 attributes, from 0: aligned are \(0, 2\)"),
        ("return plans", "return list(plans)", r"must give the splits train, target, val, test; it gives \['train'"),
        ("return plans", "del plans['val']; return plans", "it gives train, target, test"),
        ("return plans", "return dict.fromkeys(SHARES, 3)", r"\['train'\] must be a scale_tune.SplitPlan, got 3"),
        ("np.int64", "np.int32", r"plan\(\)\['train'\].labels must be int64 of shape \(898,\), got int32"),
        ("labels=labels", "labels=labels + 1", r"labels go from 1 to 2, but info\(\) tells of 2: number them from 0"),
        ("attributes=colours", "attributes=colours - 1", r"attributes go from -1 to 0, but info\(\) tells of 2"),
        ("attributes=colours", "attributes=colours[1:]", r"attributes must be int64 of shape \(898,\), got int64"),
        ("sources=rows[:, None]", "sources=rows", r"sources must be int64 of shape \(898, 1\), got int64 \(898,\)"),
        ("sources=rows[:, None]", "sources=rows[:, None] * 0", "train and target have 1 equal sources"),
        ("labels=labels", "labels=labels[:0]", r"\['train'\] has no sample"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(old, new, message):
    with pytest.raises(UserError, match=message):
        plan_of(dataset(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "height=8",
            "height=9",
            r"\['train'\].images\(0, 5\) must be uint8 of shape \(5, 3, 9, 8\), got uint8 \(5, 3, 8",
        ),
        ("images[start:stop]", "images[start:stop] / 255", r"must be uint8 of shape \(5, 3, 8, 8\), got float64"),
        ("images[start:stop]", "images[start:start + 1]", r"got uint8 \(1, 3, 8, 8\)"),
        ("images[start:stop]", "images['x']", r"ColouredDigits.plan\(\) raised IndexError"),
    ],
)
def test_images_that_are_not_what_the_info_says_are_named_when_they_are_made(old, new, message):
    with pytest.raises(UserError, match=message):
        plan_of(dataset(old, new))["train"].images(0, 5)


def test_it_is_not_prepared_either(tmp_path):
    (tmp_path / "mine.py").write_text(GOOD.replace("images[start:stop]", "images[start:stop] / 255"))
    with pytest.raises(UserError, match="must be uint8"):
        load_dataset("mine", file=tmp_path / "mine.py")


def test_a_mistake_of_the_packages_own_is_no_mistake_of_the_user(monkeypatch):
    digits = dataset_of(DatasetConfig(name="digits"))
    monkeypatch.setattr(digits, "info", lambda: {}["x"])
    with pytest.raises(KeyError):
        info_of(digits)
