"""What killed drivers leave in the directory for temporary files."""

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scale_tune.search import leftovers
from scale_tune.search.leftovers import LOCK, RAY, clear_leftovers, own_directory, own_ray
from scale_tune.storage.full import what_is_full

KILLED = """
import os, signal
from scale_tune.search.leftovers import own_directory, own_ray

with own_directory() as directory, own_ray():
    (directory / "much").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    return tmp_path


def killed_driver() -> int:
    process = subprocess.Popen([sys.executable, "-c", KILLED])
    process.wait(30)
    return process.pid


def session(temporary: Path, pid: int, began: datetime) -> Path:
    """What Ray makes, by the name that it gives it."""
    made = temporary / "ray" / f"session_{began:%Y-%m-%d_%H-%M-%S_%f}_{pid}"
    (made / "logs").mkdir(parents=True)
    return made


def aged(directory: Path, seconds: float = 3600) -> None:
    for file in (directory / LOCK, directory / RAY):
        if file.exists():
            then = file.stat().st_mtime - seconds
            os.utime(file, (then, then))


def test_what_a_killed_driver_left_is_cleared_with_its_ray_and_nothing_else_is(temporary):
    pid = killed_driver()
    left = sorted(temporary.glob("scale-tune-*"))
    assert len(left) == 2
    for directory in left:
        aged(directory)
    (note,) = (directory / RAY for directory in left if (directory / RAY).exists())
    began = datetime.fromtimestamp(note.stat().st_mtime)
    its = session(temporary, pid, began + timedelta(seconds=2))
    others = [
        session(temporary, pid, began - timedelta(seconds=2)),  # of a process that had its number before
        session(temporary, pid, began + timedelta(hours=1)),  # or after
        session(temporary, pid + 1, began + timedelta(seconds=2)),
        temporary / "scale-tune-of-mine",
    ]
    others[-1].mkdir()
    with own_directory() as lives:
        aged(lives)
        clear_leftovers()
        assert not [directory for directory in (*left, its) if directory.exists()]
        assert all(directory.exists() for directory in (*others, lives))


def test_a_directory_that_was_made_just_now_may_not_be_locked_yet(temporary):
    killed_driver()
    clear_leftovers()
    assert len(list(temporary.glob("scale-tune-*"))) == 2


def test_a_directory_of_somebody_elses_is_left_alone(temporary, monkeypatch):
    killed_driver()
    for directory in temporary.glob("scale-tune-*"):
        aged(directory)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: 4711)
        clear_leftovers()
    assert len(list(temporary.glob("scale-tune-*"))) == 2
    clear_leftovers()
    assert not list(temporary.glob("scale-tune-*"))


def test_a_directory_is_gone_afterwards_and_was_locked_meanwhile(temporary):
    with own_directory() as directory, (directory / LOCK).open("rb") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not list(temporary.iterdir())


def test_without_room_for_a_ray_none_is_started(temporary, monkeypatch):
    monkeypatch.setattr(leftovers, "RAY_BYTES", 2**70)
    with pytest.raises(OSError, match="make room, or set .TMPDIR") as raised, own_ray():
        pass
    assert raised.value.errno == errno.ENOSPC
    assert "MB are free" in what_is_full(raised.value)
    assert str(temporary) in what_is_full(raised.value)
