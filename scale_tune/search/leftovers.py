"""Directories for this process alone; those of drivers that were killed are cleared by the next one.

A directory is in use for as long as somebody holds the lock in it, which the system drops with the process.
"""

import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

PREFIX = "scale-tune-"
LOCK = ".lock"
RAY = "ray"
"""A file that says that the process has started a Ray; it was written just before."""
RAY_BYTES, RAY_FILES = 16 * 2**20, 500
"""What a Ray takes of the disk at least, most of it for logs."""
YOUNG_SECONDS = 60.0
"""So old is a directory that nobody has locked yet, or a Ray of which nobody knows yet, at most."""


@contextmanager
def own_directory() -> Iterator[Path]:
    """A directory, which is gone afterwards; or after a kill, with the next driver on this machine.

    Workers of a search that is told to stop may write there until they are ended, also while it is deleted.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as made:
        directory = Path(made)
        with (directory / LOCK).open("wb") as lock:
            with suppress(OSError):  # where there are no locks, nothing is ever cleared
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield directory


@contextmanager
def own_ray() -> Iterator[None]:
    """While this process has a Ray, keep a note of it. What Ray leaves is cleared if the process is killed.

    Raises:
        OSError: there is no room for a Ray.
    """
    _check_room(_rays())
    with own_directory() as directory:
        (directory / RAY).write_text(str(os.getpid()))
        yield


def clear_leftovers() -> None:
    """Delete what drivers of this user have left here that were killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), (directory / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            state = os.fstat(lock.fileno())
            if state.st_uid == os.getuid() and state.st_mtime < time.time() - YOUNG_SECONDS:
                _clear_rays(directory / RAY)
                shutil.rmtree(directory, ignore_errors=True)


def _clear_rays(note: Path) -> None:
    """Delete what a Ray has left, which puts the time and the id of the process into its directory's name."""
    with suppress(FileNotFoundError, ValueError):
        pid, noted = int(note.read_text()), note.stat().st_mtime
        for session in _rays().glob(f"session_*_{pid}"):
            began = re.fullmatch(r"session_(.*)_\d+", session.name)
            since = datetime.strptime(began[1], "%Y-%m-%d_%H-%M-%S_%f").timestamp() - noted if began else -1
            if 0 <= since < YOUNG_SECONDS and session.stat().st_uid == os.getuid():
                shutil.rmtree(session, ignore_errors=True)


def _rays() -> Path:
    """Where Ray keeps its directories, also where that is full and Python's tempfile would take another place."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")  # noqa: S108 - as Ray does


def _check_room(directory: Path) -> None:
    disk = os.statvfs(next(place for place in (directory, *directory.parents) if place.exists()))
    if disk.f_bavail * disk.f_frsize < RAY_BYTES or (disk.f_files and disk.f_favail < RAY_FILES):
        takes = f"Ray takes {RAY_BYTES / 1e6:.0f} MB and {RAY_FILES} files"
        raise OSError(errno.ENOSPC, f"{takes}; make room, or set $TMPDIR to another directory", str(directory))
