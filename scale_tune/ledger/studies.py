"""The studies that a ledger consists of, one per method: where they are kept, and the trials in them as read.

To Optuna a failed trial is a running one with an attribute, since what Optuna calls failed can never run again.
"""

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from scale_tune.errors import UserError
from scale_tune.ranking import best_first
from scale_tune.storage.database import Database

optuna.logging.set_verbosity(optuna.logging.WARNING)
logger = logging.getLogger(__name__)


class LedgerState(StrEnum):
    """What became of a trial."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self not in (LedgerState.WAITING, LedgerState.RUNNING)


FINAL = (LedgerState.COMPLETE, LedgerState.PRUNED)
"""In which a trial never changes again; one that has failed may be tried again."""
_STATES = {
    TrialState.WAITING: LedgerState.WAITING,
    TrialState.RUNNING: LedgerState.RUNNING,
    TrialState.COMPLETE: LedgerState.COMPLETE,
    TrialState.PRUNED: LedgerState.PRUNED,
}
_TRIAL_NAME = re.compile(r".+-\d{5,}")
ERROR = "error"
"""The attribute of a failed trial: why it failed. Null once it is to be tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerTrial:
    """A trial as the ledger has it."""

    name: str
    method: str
    number: int
    state: LedgerState
    params: dict[str, Any]
    """The drawn parameters; constants are in the spec."""
    objectives: list[float]
    """After each epoch, the mean over seeds of the best validation objective so far."""
    error: str | None
    started: datetime | None
    ended: datetime | None

    @property
    def objective(self) -> float | None:
        """The objective so far; for an ended trial its final value."""
        return self.objectives[-1] if self.objectives else None


def trial_name(method: str, number: int) -> str:
    """As ``scale-00017``."""
    return f"{method}-{number:05d}"


def parse_name(name: str) -> tuple[str, int]:
    """A trial's method and number from its name."""
    method, _, number = name.rpartition("-")
    return method, int(number)


def best_trials_first(trials: Iterable[LedgerTrial]) -> list[LedgerTrial]:
    """The trials of one method that have an objective: the highest first, of equal ones the lowest number."""
    measured = sorted((trial for trial in trials if trial.objectives), key=lambda trial: trial.number)
    return [measured[i] for i in best_first(trial.objectives[-1] for trial in measured)]


def create_studies(database: Database, methods: Iterable[str]) -> None:
    """Make a new run's studies, all empty, in a database.

    Raises:
        UserError: the database can't be used.
    """
    storage = open_storage(database)
    try:
        create_absent_studies(storage, database, methods)
    finally:
        _close(storage)


def _close(storage: BaseStorage) -> None:
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def read_trials(where: Path | Database) -> list[LedgerTrial]:
    """Every trial of a ledger, also while a driver writes to it.

    Raises:
        UserError: there is no ledger, or it can't be read.
    """
    return [as_ledger_trial(method, frozen) for method, trials in read_studies(where).items() for frozen in trials]


def read_studies(where: Path | Database) -> dict[str, list[FrozenTrial]]:
    """The trials of each method as Optuna has them; see :func:`read_trials`."""
    storage = open_storage(where)
    try:
        prefix = study_name(where, "")
        return {
            name.removeprefix(prefix): optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
            for name in optuna.get_all_study_names(storage)
            if name.startswith(prefix)
        }
    finally:
        _close(storage)


def check_covers(where: Path | Database, trials: Iterable[LedgerTrial], directories: Iterable[str]) -> None:
    """See that a ledger has every trial that left anything behind: a trial is in the ledger before it is trained.

    Args:
        where: the ledger.
        trials: all that it has.
        directories: names of the directories of trials, listed before the ledger was read.

    Raises:
        UserError: it lacks some, so it was cut or emptied.
    """
    absent = sorted(set(filter(_TRIAL_NAME.fullmatch, directories)) - {trial.name for trial in trials})
    if absent:
        named = ", ".join(absent[:3]) + ", …" * (len(absent) > 3)
        raise UserError(
            f"the ledger {where} has been cut: it lacks {len(absent)} trials that were trained ({named}); "
            "it is the only record of the search, so restore it from a copy"
        )


def study_name(where: Path | Database, method: str) -> str:
    """Of a method's study; a database may hold those of many runs."""
    return f"{where.run}/{method}" if isinstance(where, Database) else str(method)


def create_absent_studies(storage: BaseStorage, where: Path | Database, methods: Iterable[str]) -> None:
    """Make the methods' studies, all empty, where there are none yet."""
    known = optuna.get_all_study_names(storage)
    for name in (study_name(where, method) for method in methods):
        if name not in known:  # asked to, Optuna would load it; but a journal has a line more after each time
            optuna.create_study(storage=storage, study_name=name, direction="maximize")


def open_storage(where: Path | Database) -> BaseStorage:
    """Open what holds the studies.

    Raises:
        UserError: it is not there, or it can't be read.
    """
    if isinstance(where, Database):
        return _open_database(where)
    if not where.is_file():
        raise UserError(f"there is no ledger {where}; it is the only record of a search, so restore it from a copy")
    try:
        return JournalStorage(JournalFileBackend(str(where)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(
            f"the ledger {where} can't be read ({error!r}); it is the only record of the search, "
            "so restore it from a copy rather than deleting it"
        ) from None


def _open_database(database: Database) -> BaseStorage:
    with database.opening():
        try:
            # A connection that the server has closed meanwhile is replaced rather than failing the search.
            return RDBStorage(database.driver_url, engine_kwargs={"pool_pre_ping": True})
        except optuna.exceptions.OptunaError as error:  # tables of another version of Optuna
            raise UserError(f"can't open the ledger {database}: {error}") from None


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a killed driver left unfinished; the next line must not be glued to it."""
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: dropped an unfinished last line: %r", path, content[whole:])
            file.truncate(whole)
            os.fsync(file.fileno())


def trial_id(storage: BaseStorage, study: optuna.Study, number: int) -> int:
    """By which the storage knows a study's trial.

    Optuna's public API names trials by their number alone, but has no other way than this to write to a running trial
    that this process has not asked for.
    """
    study_id = storage.get_study_id_from_name(study.study_name)
    return storage.get_trial_id_from_study_id_trial_number(study_id, number)


def as_ledger_trial(method: str, frozen: FrozenTrial) -> LedgerTrial:
    """What Optuna knows of a method's trial, in the ledger's words."""
    return LedgerTrial(
        name=trial_name(method, frozen.number),
        method=method,
        number=frozen.number,
        state=LedgerState.FAILED if frozen.user_attrs.get(ERROR) else _STATES[frozen.state],
        params=dict(frozen.params),
        objectives=[value for _, value in sorted(frozen.intermediate_values.items())],
        error=frozen.user_attrs.get(ERROR),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
    )
