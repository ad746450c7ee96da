"""Prepared data: built once, continued when a builder was killed, and made anew exactly when they must be."""

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scale_tune
from scale_tune import datasets
from scale_tune.datasets import cache
from scale_tune.datasets.digits import INFO, SAMPLES, Digits, DigitsOptions
from scale_tune.errors import UserError


def plan(seed: int = 0):
    return Digits(DigitsOptions(seed=seed)).plan()


def test_images_are_mapped_and_not_read(digits):
    assert isinstance(digits.train.images, np.memmap)


@pytest.mark.drill
def test_many_processes_that_ask_at_once_build_it_once(tmp_path):
    code = """
import os, sys
from pathlib import Path
from scale_tune.datasets import load_dataset
from scale_tune.datasets.digits import Digits
plan = Digits.plan
def counted(digits):
    Path(os.environ["SCALE_TUNE_CACHE"], f"built-by-{os.getpid()}").touch()
    return plan(digits)
Digits.plan = counted
print(load_dataset("digits").fingerprint)
"""
    environment = {"SCALE_TUNE_CACHE": str(tmp_path), "PATH": ""}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
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

        return {n: dataclasses.replace(p, images=counting(n, p.images)) for n, p in plan().items()}

    with pytest.raises(Death):
        cache.load_cached("digits", {}, INFO, lambda: plans(die_after=42))
    assert not list(tmp_path.glob("*/meta.json"))
    assert len(made) == 42
    reports = []
    splits, fingerprint = cache.load_cached(
        "digits", {}, INFO, lambda: plans(die_after=None), lambda done, total: reports.append((done, total))
    )
    total = sum(SAMPLES.values()) + DigitsOptions().target_size
    assert len(made) == len(set(made)) == total // 100, "no image is made twice"
    assert reports[-1] == (total, total)
    assert fingerprint == datasets.load_dataset("digits").fingerprint
    assert not list(tmp_path.glob("*.partial"))
    for name, planned in plan().items():
        assert np.array_equal(splits[name].images, planned.images(0, len(planned.labels)))


@pytest.mark.drill
def test_a_builder_that_is_killed_for_real_is_continued(digits, tmp_path):
    code = """
import dataclasses, os, signal
from scale_tune import datasets
from scale_tune.datasets import cache
from scale_tune.datasets.digits import Digits
cache.CHUNK_BYTES = 300 * 3 * 16 * 8
plan = Digits.plan
def deadly(digits):
    plans = plan(digits)
    def make(start, stop):
        if start >= 300:
            os.kill(os.getpid(), signal.SIGKILL)
        return plans["target"].images(start, stop)
    return plans | {"target": dataclasses.replace(plans["target"], images=make)}
if os.environ.get("DIE"):
    Digits.plan = deadly
print(datasets.load_dataset("digits").fingerprint)
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
        datasets.load_dataset("digits")
    monkeypatch.undo()
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    assert len(datasets.load_dataset("digits").train) == 4000


def test_what_was_half_built_of_other_sources_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))

    def broken(seed):
        plans = plan(seed=seed)
        return plans | {"test": dataclasses.replace(plans["test"], images=lambda start, stop: 1 / 0)}

    with pytest.raises(ZeroDivisionError):
        cache.load_cached("digits", {}, INFO, lambda: broken(seed=5))
    splits, _ = cache.load_cached("digits", {}, INFO, lambda: plan())
    assert np.array_equal(splits["train"].images[:9], plan()["train"].images(0, 9))


def test_prepared_data_are_keyed_by_the_versions_that_stand_in_the_code(tmp_path):
    """Of a copy of the package that is edited: a docstring rebuilds nothing, a version does."""
    package = tmp_path / "scale_tune"
    shutil.copytree(Path(scale_tune.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    # Python tells a compiled module from an edited one by whole seconds, so none may be kept.
    environment = {"SCALE_TUNE_CACHE": str(tmp_path / "cache"), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}

    def prepared() -> dict[str, int]:
        code = "from scale_tune.datasets import load_dataset; load_dataset('digits')"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
        return {str(path): path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("digits-*/meta.json")}

    first = prepared()
    assert len(first) == 1
    for name in ("digits", "cache", "preparation", "splits", "contract"):
        module = package / "datasets" / f"{name}.py"
        module.write_text(module.read_text().replace('"""', '"""Edited. ', 1))
    assert prepared() == first
    digits = package / "datasets" / "digits.py"
    raised, count = re.subn(r'"digits": (\d+)', lambda found: f'"digits": {int(found[1]) + 1}', digits.read_text())
    assert count == 1
    digits.write_text(raised)
    assert len(prepared()) == 2


def test_the_version_of_what_reads_the_sources_rebuilds_too(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    monkeypatch.setattr(Digits, "versions", {"digits": 1, "pictures": 1})
    datasets.load_dataset("digits")
    datasets.load_dataset("digits")
    assert len(list(tmp_path.glob("digits-*/meta.json"))) == 1
    monkeypatch.setattr(Digits, "versions", {"digits": 1, "pictures": 2})
    datasets.load_dataset("digits")
    assert len(list(tmp_path.glob("digits-*/meta.json"))) == 2
