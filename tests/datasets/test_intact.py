"""Prepared data that were damaged are refused, and what is known to be whole is not read again."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from scale_tune.datasets import cache, intact, load_dataset
from scale_tune.errors import UserError


@pytest.fixture
def directory(digits, tmp_path, monkeypatch, _own_cache) -> Path:
    """A prepared copy of the digits of this test's own."""
    (found,) = (path for path in _own_cache.glob("digits-*") if is_default(path, digits.fingerprint))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    shutil.copytree(found, tmp_path / found.name)
    return tmp_path / found.name


def is_default(path: Path, fingerprint: str) -> bool:
    return path.is_dir() and fingerprint in (path / "meta.json").read_text()


@pytest.fixture
def checks(monkeypatch) -> list[int]:
    """Grows with each reading of all data."""
    made = []
    original = cache._check
    monkeypatch.setattr(cache, "_check", lambda *arguments: (made.append(1), original(*arguments)))
    return made


def flip_a_bit(path: Path, at: int = -1) -> None:
    """By which neither the size nor the time of the last change tells."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("name", ["train-images", "test-images", "val-labels", "target-attributes", "train-sources"])
def test_a_flipped_bit_is_found_also_where_the_file_looks_unchanged(directory, name):
    load_dataset("digits")
    flip_a_bit(directory / f"{name}.npy")
    with pytest.raises(UserError, match=rf"{re.escape(str(directory))} are damaged .*; delete that directory"):
        load_dataset("digits")
    flip_a_bit(directory / f"{name}.npy")
    load_dataset("digits")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"{}", None])
@pytest.mark.parametrize("name", ["train-images.npy", "meta.json"])
def test_a_file_that_is_torn_or_gone_is_said_to_be(directory, name, content):
    path = directory / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"are damaged .*; delete that directory"):
        load_dataset("digits")


def test_a_copy_is_read_in_full_once_and_then_by_no_process(directory, checks):
    for _ in range(3):
        load_dataset("digits")
    assert len(checks) == 1


def test_what_was_prepared_here_is_known_to_be_whole(tmp_path, monkeypatch, checks):
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path))
    load_dataset("digits")
    assert isinstance(load_dataset("digits").train.images, np.memmap)
    assert checks == []


def test_after_a_restart_of_the_node_it_is_read_again(directory, checks, monkeypatch):
    load_dataset("digits")
    monkeypatch.setattr(intact, "_start_of_node", lambda: "another")
    load_dataset("digits")
    load_dataset("digits")
    assert len(checks) == 2


def test_where_nothing_can_be_written_it_is_read_each_time(directory, checks, monkeypatch):
    def refused(*arguments):
        raise PermissionError("read-only")

    monkeypatch.setattr(intact, "write_atomically", refused)
    monkeypatch.setattr(intact, "FileLock", refused)
    load_dataset("digits")
    load_dataset("digits")
    assert len(checks) == 2
