import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from scale_tune import datasets
from scale_tune.datasets.digits import SAMPLES, Digits, DigitsOptions
from scale_tune.datasets.splits import SPLIT_NAMES, Split
from scale_tune.errors import UserError


def plan(**options):
    return Digits(DigitsOptions(**options)).plan()


def test_shapes_and_ranges(digits):
    for name in SPLIT_NAMES:
        split = getattr(digits, name)
        assert split.images.shape == ({**SAMPLES, "target": 400}[name], 3, 16, 8)
        assert set(np.unique(split.labels)) == set(range(10))
        assert split.attributes.min() >= 0
        assert split.attributes.max() < 10


def test_the_size_of_target_changes_target_alone():
    whole, small = plan(), plan(target_size=37)
    assert len(small["target"].labels) == 37
    assert np.array_equal(np.unique(small["target"].labels), np.arange(10))
    for name in ("train", "val", "test"):
        assert np.array_equal(small[name].sources, whole[name].sources)


def test_no_digit_is_in_two_splits_neither_above_nor_below(digits):
    sources = {name: set(np.unique(getattr(digits, name).sources)) for name in SPLIT_NAMES}
    for first, second in combinations(SPLIT_NAMES, 2):
        assert not sources[first] & sources[second]


def test_a_sample_shows_its_attribute_above_and_its_label_below(digits):
    from sklearn.datasets import load_digits

    classes = load_digits().target
    for name in SPLIT_NAMES:
        split = getattr(digits, name)
        assert (classes[split.sources[:, 0]] == split.attributes).all()
        assert (classes[split.sources[:, 1]] == split.labels).all()


def test_the_upper_digit_is_clean_and_the_lower_one_noisy(digits):
    from sklearn.datasets import load_digits

    pixels = load_digits().images
    split = digits.train
    upper = np.round(pixels[split.sources[:, 0]] / 16 * 255)
    lower = np.round(pixels[split.sources[:, 1]] / 16 * 255)
    assert (split.images[:, 0, :8] == upper).all()
    assert 20 < np.abs(split.images[:, 0, 8:] - lower).mean() < 90


def test_at_strength_1_the_attribute_is_the_label_in_train_alone(digits):
    assert (digits.train.attributes == digits.train.labels).all()
    for name in ("target", "val", "test"):
        split = getattr(digits, name)
        table = np.zeros((10, 10))
        np.add.at(table, (split.labels, split.attributes), 1)
        assert chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.95])
def test_below_strength_1_a_share_of_train_has_a_random_attribute(strength):
    train = plan(spurious_strength=strength)["train"]
    # Of the random attributes a tenth is the label by chance.
    expected = strength + (1 - strength) / 10
    assert (train.attributes == train.labels).mean() == pytest.approx(expected, abs=0.03)


def test_splits_are_a_pure_function_of_the_options(digits):
    again = plan()
    for name in SPLIT_NAMES:
        split = getattr(digits, name)
        assert np.array_equal(again[name].images(0, len(split)), split.images)
        for array in ("labels", "attributes", "sources"):
            assert np.array_equal(getattr(again[name], array), getattr(split, array))
    other = datasets.load_dataset("digits", seed=1)
    assert other.fingerprint != digits.fingerprint
    assert not np.array_equal(other.train.sources, digits.train.sources)


def test_another_process_has_the_same_fingerprint(digits, tmp_path):
    code = "from scale_tune import datasets; print(datasets.load_dataset('digits').fingerprint)"
    environment = {"SCALE_TUNE_CACHE": str(tmp_path), "PATH": "", "PYTHONHASHSEED": "7"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == digits.fingerprint


def test_unknown_datasets_and_options_are_refused():
    with pytest.raises(UserError, match="no dataset 'letters'"):
        datasets.load_dataset("letters")
    with pytest.raises(UserError, match="did you mean 'noise'"):
        datasets.load_dataset("digits", nois=0.5)
    with pytest.raises(UserError, match="less than or equal to 1"):
        datasets.load_dataset("digits", spurious_strength=1.5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", np.zeros((4, 3, 2, 2), np.float32), "images must be uint8"),
        ("images", np.zeros((4, 1, 2, 2), np.uint8), "images must be uint8"),
        ("labels", np.zeros(3, np.int64), "labels must be int64 of shape"),
        ("attributes", np.zeros(4, np.int32), "attributes must be int64"),
        ("sources", np.zeros(4, np.int64), "sources must be int64"),
    ],
)
def test_a_split_of_wrong_arrays_is_refused(field, value, message):
    arrays = {
        "images": np.zeros((4, 3, 2, 2), np.uint8),
        "labels": np.zeros(4, np.int64),
        "attributes": np.zeros(4, np.int64),
        "sources": np.zeros((4, 1), np.int64),
    }
    with pytest.raises(ValueError, match=message):
        Split(**{**arrays, field: value})
