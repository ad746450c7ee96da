import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chi2_contingency

from scale_tune import datasets
from scale_tune.datasets import cache
from scale_tune.datasets import digits as module
from scale_tune.datasets.splits import SPLIT_NAMES, Split
from scale_tune.errors import UserError
from scale_tune.spec.config import DigitsOptions


def test_shapes_and_ranges(digits):
    for name in SPLIT_NAMES:
        split = getattr(digits, name)
        assert split.images.shape == (module.SAMPLES[name], 3, 16, 8)
        assert set(np.unique(split.labels)) == set(range(10))
        assert split.attributes.min() >= 0
        assert split.attributes.max() < 10


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
    train = module.plan(DigitsOptions(spurious_strength=strength))["train"]
    # Of the random attributes a tenth is the label by chance.
    expected = strength + (1 - strength) / 10
    assert (train.attributes == train.labels).mean() == pytest.approx(expected, abs=0.03)


def test_splits_are_a_pure_function_of_the_options(digits):
    again = module.plan(DigitsOptions())
    for name in SPLIT_NAMES:
        split = getattr(digits, name)
        assert np.array_equal(again[name].images(0, len(split)), split.images)
        for array in ("labels", "attributes", "sources"):
            assert np.array_equal(getattr(again[name], array), getattr(split, array))
    other = datasets.load("digits", seed=1)
    assert other.fingerprint != digits.fingerprint
    assert not np.array_equal(other.train.sources, digits.train.sources)


def test_another_process_has_the_same_fingerprint(digits, tmp_path):
    code = "from scale_tune import datasets; print(datasets.load('digits').fingerprint)"
    environment = {"SCALE_TUNE_CACHE": str(tmp_path), "PATH": "", "PYTHONHASHSEED": "7"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == digits.fingerprint


def test_images_are_mapped_and_not_read(digits):
    assert isinstance(digits.train.images, np.memmap)


def test_many_processes_that_ask_at_once_build_it_once(tmp_path):
    code = """
import os, sys
from pathlib import Path
from scale_tune.datasets import digits, load
plan = digits.plan
def counted(options):
    Path(os.environ["SCALE_TUNE_CACHE"], f"built-by-{os.getpid()}").touch()
    return plan(options)
digits.plan = counted
print(load("digits").fingerprint)
"""
    environment = {"SCALE_TUNE_CACHE": str(tmp_path), "PATH": ""}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    fingerprints = {process.communicate()[0] for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert len(fingerprints) == 1
    assert len(list(tmp_path.glob("built-by-*"))) == 1


def test_a_killed_builder_leaves_nothing_half_built_and_is_continued(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "CHUNK_BYTES", 100 * 3 * 16 * 8)

    class Death(BaseException):
        pass

    made: list[tuple[str, int, int]] = []

    def plans(die_after: int | None):
        def counting(name, images):
            def make(start, stop):
                if die_after is not None and len(made) >= die_after:
                    raise Death
                made.append((name, start, stop))
                return images(start, stop)

            return make

        planned = module.plan(DigitsOptions())
        return {n: dataclasses.replace(p, images=counting(n, p.images)) for n, p in planned.items()}

    options = DigitsOptions().model_dump()
    with pytest.raises(Death):
        cache.load_cached(options, {}, module, lambda: plans(die_after=42))
    assert not list(tmp_path.glob("*/meta.json"))
    assert len(made) == 42
    reports = []
    splits, fingerprint = cache.load_cached(
        options, {}, module, lambda: plans(die_after=None), lambda done, total: reports.append((done, total))
    )
    total = sum(module.SAMPLES.values())
    assert len(made) == len(set(made)) == total // 100, "no image is made twice"
    assert reports[-1] == (total, total)
    assert fingerprint == datasets.load("digits").fingerprint
    assert not list(tmp_path.glob("*.partial"))
    for name, planned in module.plan(DigitsOptions()).items():
        assert np.array_equal(splits[name].images, planned.images(0, len(planned.labels)))


def test_a_builder_that_is_killed_for_real_is_continued(digits, tmp_path):
    code = """
import dataclasses, os, signal
from scale_tune import datasets
from scale_tune.datasets import cache, digits
cache.CHUNK_BYTES = 100 * 3 * 16 * 8
plan = digits.plan
def deadly(options):
    plans = plan(options)
    def make(start, stop):
        if start >= 300:
            os.kill(os.getpid(), signal.SIGKILL)
        return plans["target"].images(start, stop)
    return plans | {"target": dataclasses.replace(plans["target"], images=make)}
if os.environ.get("DIE"):
    digits.plan = deadly
print(datasets.load("digits").fingerprint)
"""
    environment = {"SCALE_TUNE_CACHE": str(tmp_path), "PATH": ""}
    killed = subprocess.run([sys.executable, "-c", code], env=environment | {"DIE": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    (partial,) = tmp_path.glob("*.partial")
    assert json.loads((partial / "progress.json").read_text())["done"] == {"train": 4000, "target": 300}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == digits.fingerprint
    assert not partial.exists()


def test_a_full_disk_is_an_error_that_names_it(tmp_path, monkeypatch):
    def full(descriptor: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="can't prepare digits in .*No space left on device; make space"):
        datasets.load("digits")
    monkeypatch.undo()
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    assert len(datasets.load("digits").train) == 4000


def test_what_was_half_built_of_other_sources_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    options = DigitsOptions().model_dump()

    def broken(seed):
        plans = module.plan(DigitsOptions(seed=seed))
        return plans | {"test": dataclasses.replace(plans["test"], images=lambda start, stop: 1 / 0)}

    with pytest.raises(ZeroDivisionError):
        cache.load_cached(options, {}, module, lambda: broken(seed=5))
    splits, _ = cache.load_cached(options, {}, module, lambda: module.plan(DigitsOptions()))
    assert np.array_equal(splits["train"].images[:9], module.plan(DigitsOptions())["train"].images(0, 9))


def test_another_version_of_the_builder_is_not_taken_for_this_one(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    datasets.load("digits")
    monkeypatch.setattr("inspect.getsource", lambda module: "another version")
    datasets.load("digits")
    assert len(list(tmp_path.glob("digits-*/meta.json"))) == 2


def test_unknown_datasets_and_options_are_refused():
    with pytest.raises(UserError, match="no dataset 'letters'"):
        datasets.load("letters")
    with pytest.raises(ValidationError, match="did you mean 'noise'"):
        datasets.load("digits", nois=0.5)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        datasets.load("digits", spurious_strength=1.5)


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
