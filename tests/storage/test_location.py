import errno
import os

import pytest

from scale_tune.errors import UserError
from scale_tune.storage.location import Location, is_temporary


def test_a_path_is_taken_from_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Location.of("runs/demo") == Location.of(tmp_path / "runs" / "demo")
    assert Location.of("runs/demo").local == tmp_path / "runs" / "demo"


@pytest.mark.parametrize("address", ["s3://lab/runs/", "s3:/lab/runs", "s3://lab/runs"])
def test_an_object_store_is_known_by_its_scheme(address):
    location = Location.of(address) / "demo"
    assert (str(location), location.name, str(location.parent)) == ("s3://lab/runs/demo", "demo", "s3://lab/runs")
    assert location.local is None


@pytest.mark.parametrize("address", ["gs://lab/runs", "ftp:/host/x", "file:///tmp/x"])
def test_other_schemes_are_refused(address):
    with pytest.raises(UserError, match="storage is a directory or s3://bucket/path, not"):
        Location.of(address)


def test_a_location_survives_pickling():
    import pickle

    location = Location.of("/tmp")
    assert location.exists()  # which has made its file system
    assert pickle.loads(pickle.dumps(location)) == location


def test_files_are_written_read_listed_and_removed(tmp_path):
    directory = Location.of(tmp_path / "a")
    assert directory.names() == []
    assert not directory.exists()
    (directory / "x").write(b"one")
    (directory / "b" / "y").write(b"two")
    assert directory.exists()
    assert not directory.is_file()
    assert (directory / "x").is_file()
    assert (directory / "x").read() == b"one"
    assert directory.names() == ["b", "x"]
    below = Location.of(tmp_path).names_below()
    assert {name: list(files) for name, files in below.items()} == {"a": ["x"], "b": ["y"]}
    (directory / "x").write(b"three")
    again = Location.of(tmp_path).names_below()
    assert again["a"]["x"] != below["a"]["x"]
    assert again["b"] == below["b"]
    (directory / "x").delete()
    (directory / "x").delete()
    assert directory.names() == ["b"]
    with pytest.raises(FileNotFoundError):
        (directory / "x").read()


def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path, monkeypatch):
    file = Location.of(tmp_path / "x")
    file.write(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/x'"):
        file.write(b"new")
    assert file.read() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_temporary_names_are_known():
    assert is_temporary(".checkpoint-00001.safetensors.0a1b.tmp")
    assert not is_temporary("checkpoint-00001.safetensors")
    assert not is_temporary(".lock")


@pytest.mark.parametrize("address", ["s3://", "s3:/", "s3:///", "s3://.", "s3://a b/c", "s3://a\nb/c"])
def test_an_object_store_without_a_bucket_is_refused(address):
    with pytest.raises(UserError, match="there is no bucket"):
        Location.of(address)


@pytest.mark.parametrize("address", ["s3://key:hush@lab/runs", "s3:/key:hu/sh@lab/runs", "s3://hush@lab"])
def test_a_key_in_an_address_is_refused_and_not_shown(address):
    with pytest.raises(UserError, match=r"lab.*put it into ~/\.aws/credentials") as refused:
        Location.of(address)
    assert "hush" not in str(refused.value)
    assert "hu/sh" not in str(refused.value)
