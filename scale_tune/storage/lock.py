"""Only one driver, one analysis, and one process for each tracker work on a run.

By locks, which the system drops with the process that held them.
"""

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
from scale_tune.storage.rundir import RunDir

PATIENCE_SECONDS = 5.0
"""In which what belongs to a driver that was killed has ended as well."""


@contextmanager
def only_driver(run: RunDir) -> Iterator[None]:
    """Hold a run for this process. A dead driver blocks nobody.

    Raises:
        UserError: another process holds it; the message names its host and process id.
    """
    with _lock(run) as free:
        driver = run.path / "driver.json"
        if not free:
            try:
                other = json.loads(driver.read())
                who = f"process {other['pid']} on {other['host']}, since {other['since']}"
            except (OSError, ValueError, KeyError):
                who = "another process"
            raise UserError(f"the run {run.path} is already being driven by {who}; wait for it or stop it")
        me = {"host": platform.node(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        driver.write(json.dumps(me).encode())
        yield


@contextmanager
def _lock(run: RunDir) -> Iterator[bool]:
    """Whether nobody else holds the run; if so, it is held."""
    where = run.ledger
    if isinstance(where, Database):
        with _database_lock(where) as free:
            yield free
        return
    with _file_lock(where.with_name(".lock")) as free:
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
        raise UserError(f"can't lock the run {path.parent}: {error}") from None
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def _database_lock(database: Database) -> Iterator[bool]:
    """PostgreSQL's advisory lock, held by a connection."""
    key = int.from_bytes(hashlib.sha256(database.run.encode()).digest()[:8], "big", signed=True)
    with ExitStack() as opened:
        with database.opening():
            engine = sqlalchemy.create_engine(database.driver_url, isolation_level="AUTOCOMMIT")
            opened.callback(engine.dispose)
            connection = opened.enter_context(engine.connect())
            free = connection.scalar(sqlalchemy.text("select pg_try_advisory_lock(:key)"), {"key": key})
        yield bool(free)
