"""Files that are either complete or absent: on a disk, NFS included, or in an object store.

A run's files are reached by a :class:`Location`, which is the same to write for both. What lives on one machine,
as prepared data, uses :class:`pathlib.Path` and :func:`write_atomically`.
"""

import errno
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

from pyarrow import fs

from scale_tune.errors import UserError
from scale_tune.shown import MASK

TEMPORARY_PREFIX, TEMPORARY_SUFFIX = ".", ".tmp"
"""Of the names under which files are written before they are complete."""


@dataclass(frozen=True)
class Location:
    """A file or directory, by an absolute path or a URI as ``s3://bucket/runs/digits``."""

    address: str

    @classmethod
    def of(cls, where: "str | Path | Location") -> "Location":
        """The location of a path, taken from the current directory, or of a URI.

        Raises:
            UserError: the path is not UTF-8; or the URI is of a kind of storage that is not supported, has no bucket,
                or holds a secret, which the run would keep.
        """
        if isinstance(where, Location):
            return where
        # pathlib, which the command line goes through, makes one slash of two.
        if uri := re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", str(where), re.DOTALL):
            if uri[1] != "s3":
                raise UserError(f"{where}: storage is a directory or s3://bucket/path, not {uri[1]}://")
            return cls(f"s3://{_bucket_and_path(uri[2].rstrip('/'), str(where))}")
        return cls(_usable(str(Path(where).absolute())))

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> "Location":
        return Location(f"{self.address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.address.rpartition("/")[2]

    @property
    def parent(self) -> "Location":
        """The directory it is in."""
        return Location(self.address.rpartition("/")[0] or "/")

    @property
    def local(self) -> Path | None:
        """The path, if it is on a disk."""
        return None if "://" in self.address else Path(self.address)

    def resolved(self) -> "Location":
        """The same place by the one address that all ways to it share.

        Raises:
            UserError: links on the way lead in a circle.
        """
        try:
            return self if self.local is None else Location(str(self.local.resolve()))
        except (OSError, RuntimeError) as error:  # the latter up to Python 3.12
            raise UserError(f"can't follow {self}: {error}; remove the link, or give another place") from None

    @cached_property
    def _store(self) -> tuple[fs.FileSystem, str]:
        """Pyarrow's file system, and the path in it."""
        if self.local is not None:
            return _file_system("file:///")[0], self.address
        bucket = "/".join(self.address.split("/")[:3])
        return _file_system(bucket)[0], self.address.partition("://")[2]

    def exists(self) -> bool:
        """Whether there is such a file or directory."""
        store, path = self._store
        return bool(store.get_file_info(path).type != fs.FileType.NotFound)

    def is_file(self) -> bool:
        """Whether there is such a file."""
        store, path = self._store
        return bool(store.get_file_info(path).type == fs.FileType.File)

    def open(self) -> BinaryIO:
        """The file, to be read and sought in.

        Raises:
            FileNotFoundError: there is none.
        """
        store, path = self._store
        opened: BinaryIO = store.open_input_file(path)
        return opened

    def read(self) -> bytes:
        """All of the file.

        Raises:
            FileNotFoundError: there is none.
        """
        with self.open() as file:
            return file.read()

    def write(self, content: bytes) -> None:
        """Write the file; see :func:`write_atomically`. An object store shows an object when it is complete."""
        if self.local is not None:
            write_atomically(self.local, content)
            return
        store, path = self._store
        with store.open_output_stream(path) as stream:
            stream.write(content)

    def names(self) -> list[str]:
        """What is in the directory, sorted; nothing if there is no directory."""
        store, path = self._store
        found = store.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in found)

    def names_below(self) -> dict[str, dict[str, str]]:
        """What files are in each directory of this directory; asked for at once, as an object store is slow.

        Returns:
            By directory and name, both sorted, a stamp that changes when the file is replaced.
        """
        store, path = self._store
        found: dict[str, dict[str, str]] = {}
        infos = store.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
        for info in sorted(infos, key=lambda info: info.path):
            if info.type == fs.FileType.File:
                directory, _, name = info.path.rpartition("/")
                found.setdefault(directory.rpartition("/")[2], {})[name] = f"{info.mtime_ns}-{info.size}"
        return found

    def delete(self) -> None:
        """Remove the file, if it is there."""
        store, path = self._store
        with suppress(FileNotFoundError):
            store.delete_file(path)


def _usable(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(f"{path}: a path has to be UTF-8, as tables and specs that name it are; rename it") from None
    if "\0" in path:
        raise UserError(f"{path}: no path holds the character 0")
    return path


def _bucket_and_path(text: str, where: str) -> str:
    bucket = text.partition("/")[0]
    if ":" in bucket or "@" in bucket:
        raise UserError(
            f"s3://{MASK}@{text.rpartition('@')[2]}: a key in an address would be shown by the run's spec.yaml; leave "
            "it out, and put it into ~/.aws/credentials or $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise UserError(f"{where}: there is no bucket {bucket!r}; storage is a directory or s3://bucket/path")
    return text


@lru_cache
def _file_system(root: str) -> tuple[fs.FileSystem, str]:
    """One client per bucket, with its region; credentials are those of the environment."""
    found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(root)
    return found


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it.

    A reader sees the old file or the new one, never a part; an interrupted or failed write leaves the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # renaming would replace a device as /dev/full
        raise OSError(errno.EEXIST, "is there, and is not a regular file", str(path))
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as of a full disk: say which
            error.filename = str(path)
        raise
    sync_directory(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file of this name was being written when its writer died."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
