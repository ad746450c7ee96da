"""Only one driver, one analysis, and one process for each tracker work on a run.

By locks, which the system drops with the process that held them.
"""

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy
from filelock import FileLock, Timeout

from scale_tune.errors import UserError
from scale_tune.storage.database import Database
from scale_tune.storage.full import what_is_full
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir

PATIENCE_SECONDS = 5.0
"""In which what belongs to a driver that was killed has ended as well."""
LOCK = ".lock"
"""Beside the ledger of a directory."""

LOCK_SECONDS = 1.0
"""A driver that finds its run locked looks again for so long: whoever looks at a run holds the lock for a moment."""


@contextmanager
def only_driver(run: RunDir) -> Iterator[None]:
    """Hold a run for this process. A dead driver blocks nobody.

    Raises:
        UserError: another process holds it; the message names its host and process id.
    """
    with _lock(run) as free:
        if not free:
            raise UserError(
                f"the run {run.path} is already being driven by {_noted_driver(run)}; wait for it or stop it"
            )
        me = {"host": platform.node(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        _driver_file(run).write(json.dumps(me).encode())
        yield


def driver_of(run: RunDir) -> str | None:
    """Who drives a run, as ``process 123 on host, since …``; None: nobody does. No driver is kept from it.

    Raises:
        UserError: the database of its ledger can't be reached.
        OSError: the lock of a directory can't be looked at.
    """
    where = run.ledger
    driven = _database_locked(where) if isinstance(where, Database) else _file_locked(where.with_name(LOCK))
    return _noted_driver(run) if driven else None


def _driver_file(run: RunDir) -> Location:
    return run.path / "driver.json"


def _noted_driver(run: RunDir) -> str:
    try:
        driver = json.loads(_driver_file(run).read())
        return f"process {driver['pid']} on {driver['host']}, since {driver['since'][:19].replace('T', ' ')} UTC"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def _lock(run: RunDir) -> Iterator[bool]:
    """Whether nobody else holds the run; if so, it is held."""
    where = run.ledger
    if isinstance(where, Database):
        with _database_lock(where) as free:
            yield free
        return
    with _file_lock(where.with_name(LOCK), LOCK_SECONDS) as free:
        yield free


@contextmanager
def only_analysis(run: RunDir) -> Iterator[None]:
    """Hold a run's tables for this process, whether or not it is searched.

    Those in an object store can't be held; those that can't be written need not be.

    Raises:
        UserError: another process analyses it.
    """
    if run.path.local is None or not run.writable:
        yield
        return
    with _file_lock(run.path.local / ".analysis.lock") as free:
        if not free:
            raise UserError(f"the run {run.path} is already being analysed by another process; wait for it or stop it")
        yield


@contextmanager
def only_tracking(run: RunDir, tracker: str) -> Iterator[None]:
    """Hold what a tracker has of a run for this process; see :func:`only_analysis` for what can't be held.

    Raises:
        UserError: another process brings it up, and does so still after some seconds.
    """
    if run.path.local is None or not run.writable:
        yield
        return
    with _file_lock(run.path.local / f".{tracker}.lock", PATIENCE_SECONDS) as free:
        if not free:
            raise UserError(
                f"another process brings {tracker} up to the run {run.path}, as a search does while it runs; "
                "wait for it or stop it"
            )
        yield


@contextmanager
def _file_lock(path: Path, patience: float = 0) -> Iterator[bool]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        yield False
        return
    except OSError as error:
        if what_is_full(error) is not None:
            raise
        raise UserError(f"can't lock the run {path.parent}: {error}") from None
    try:
        yield True
    finally:
        lock.release()


def _file_locked(path: Path) -> bool:
    """Whether somebody holds a lock: a shared one, which a file that may only be read can have, is let go at once."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _database_lock(database: Database) -> Iterator[bool]:
    """PostgreSQL's advisory lock, held by a connection."""
    with _connected(database) as connection:
        with database.opening():
            taken = sqlalchemy.text("select pg_try_advisory_lock(:key)")
            free = connection.scalar(taken, {"key": _key(database)})
        yield bool(free)


def _database_locked(database: Database) -> bool:
    """Whether some connection holds it."""
    # A key of 64 bits is listed as two numbers of 32.
    high, low = divmod(_key(database) % 2**64, 2**32)
    listed = sqlalchemy.text(
        "select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 1 "
        "and classid::bigint = :high and objid::bigint = :low "
        "and database = (select oid from pg_database where datname = current_database())"
    )
    with _connected(database) as connection, database.opening():
        return bool(connection.scalar(listed, {"high": high, "low": low}))


@contextmanager
def _connected(database: Database) -> Iterator[sqlalchemy.Connection]:
    with ExitStack() as opened:
        with database.opening():
            engine = sqlalchemy.create_engine(database.driver_url, isolation_level="AUTOCOMMIT")
            opened.callback(engine.dispose)
            connection = opened.enter_context(engine.connect())
        yield connection


def _key(database: Database) -> int:
    return int.from_bytes(hashlib.sha256(database.run.encode()).digest()[:8], "big", signed=True)
