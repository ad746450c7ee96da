"""The ledger: one Optuna study per method, in one journal file or a database; the only truth about a search.

It issues trials, takes their objectives, decides early stopping, and is all that a restarted driver needs: trials
that it holds as running are issued again under their number, then new ones until every study holds
``num_samples``. Starting, resuming and extending a search are therefore one code path.

Early stopping is decided from the objectives in the studies, so a restart forgets nothing of it. There is one
driver (see :mod:`scale_tune.storage.lock`), so the ledger has a single writer.

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
from scale_tune.ledger.pruners import pruner
from scale_tune.ledger.samplers import distributions, sampler
from scale_tune.spec.config import Method
from scale_tune.spec.space import RunSpec
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


_STATES = {
    TrialState.WAITING: LedgerState.WAITING,
    TrialState.RUNNING: LedgerState.RUNNING,
    TrialState.COMPLETE: LedgerState.COMPLETE,
    TrialState.PRUNED: LedgerState.PRUNED,
}
_TRIAL_NAME = re.compile(rf"({'|'.join(Method)})-\d{{5,}}")
ERROR = "error"
"""The attribute of a failed trial: why it failed. Null once it is to be tried again."""


@dataclass(frozen=True, kw_only=True)
class LedgerTrial:
    """A trial as the ledger has it."""

    name: str
    method: Method
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


def trial_name(method: Method, number: int) -> str:
    """As ``scale-00017``."""
    return f"{method}-{number:05d}"


class Ledger:
    """The studies of a run, opened for writing by its one driver.

    Args:
        where: the journal file, empty at first, or a database in which :func:`create_studies` was called.
        spec: what to search.

    Raises:
        UserError: there is no ledger, or it can't be read; it is never taken for an empty one.
    """

    def __init__(self, where: Path | Database, spec: RunSpec) -> None:
        self.spec = spec
        if isinstance(where, Path):
            # This driver is the only writer, so what a killed one left can be removed at once.
            Path(f"{where}.lock").unlink(missing_ok=True)
            if where.exists():
                _drop_torn_line(where)
        storage = _open_storage(where)
        if isinstance(where, Path):
            _create_studies(storage, "", spec.methods)
        self._studies = {method: self._open_study(storage, where, method) for method in spec.methods}
        self._distributions = {method: distributions(spec, method) for method in spec.methods}
        self._interrupted = [trial for trial in self.trials() if trial.state is LedgerState.RUNNING]
        # A driver that died may have noted an objective without having decided on it.
        self._undecided = {trial.name for trial in self._interrupted}

    def _open_study(self, storage: BaseStorage, where: Path | Database, method: Method) -> optuna.Study:
        try:
            study = optuna.load_study(storage=storage, study_name=_study_name(where, method))
        except KeyError:
            raise UserError(f"the ledger {where} has no study of {method}; restore it from a copy") from None
        study.pruner = pruner(self.spec, method)
        return study

    def next_trial(self) -> LedgerTrial | None:
        """The next trial to train: an interrupted one, or a new one; None when all have been issued.

        New trials go to the method that has the fewest, so that the methods advance side by side.
        """
        if self._interrupted:
            trial = self._interrupted.pop(0)
            method, study = trial.method, self._studies[trial.method]
            study.sampler = sampler(self.spec, method, trial.number)
            issued = optuna.Trial(study, _trial_id(study, trial.number))
        else:
            wanting = {m: s for m, s in self._studies.items() if _issued(s) < self.spec.method_samples(m)}
            if not wanting:
                return None
            method, study = min(wanting.items(), key=lambda item: _issued(item[1]))
            study.sampler = sampler(self.spec, method, _issued(study))
            issued = study.ask()
        # A trial that was interrupted while it was being drawn keeps the parameters it has and draws the others.
        for name, drawn_from in self._distributions[method].items():
            issued._suggest(name, drawn_from)
        return self.trial(trial_name(method, issued.number))

    def put_back(self, name: str) -> None:
        """Issue a running trial again, as its worker has died."""
        self._interrupted.append(self.trial(name))

    def report(self, name: str, objectives: list[float], *, finished: bool = False) -> bool:
        """Note a running trial's objectives of epochs 1, 2, …; those already known are left as they are.

        Args:
            name: the trial.
            objectives: all of them so far, so that a report that was missed is made good.
            finished: whether the trial has nothing left to train, and therefore nothing to be stopped from.

        Returns:
            Whether the trial is stopped early. It is then noted as pruned.
        """
        method, number = _parse_name(name)
        study = self._studies[method]
        trial = optuna.Trial(study, _trial_id(study, number))
        known = len(self.trial(name).objectives)
        stop = name in self._undecided and known == len(objectives) and trial.should_prune()
        self._undecided.discard(name)
        for epoch in range(known + 1, len(objectives) + 1):
            trial.report(objectives[epoch - 1], epoch)
            stop = stop or trial.should_prune()
        if stop and not finished:
            study.tell(number, state=TrialState.PRUNED)
        return stop and not finished

    def complete(self, name: str) -> None:
        """Note that a trial has trained to its end; its last objective is its result."""
        method, number = _parse_name(name)
        study = self._studies[method]
        study.tell(number, self.trial(name).objective)

    def fail(self, name: str, error: str) -> None:
        """Note that a trial raised an error, with its traceback."""
        method, number = _parse_name(name)
        study = self._studies[method]
        optuna.Trial(study, _trial_id(study, number)).set_user_attr(ERROR, error)

    def retry_failed(self) -> list[str]:
        """Have every failed trial issued again under its number, to go on from its last checkpoint."""
        failed = [trial for trial in self.trials() if trial.state is LedgerState.FAILED]
        for trial in failed:
            study = self._studies[trial.method]
            optuna.Trial(study, _trial_id(study, trial.number)).set_user_attr(ERROR, None)
            self.put_back(trial.name)
        return [trial.name for trial in failed]

    @property
    def done(self) -> bool:
        """Whether every method has its trials and all of them have ended."""
        issued = all(_issued(study) >= self.spec.method_samples(method) for method, study in self._studies.items())
        return issued and all(trial.state.ended for trial in self.trials())

    def trials(self) -> list[LedgerTrial]:
        """Every trial, method by method in the order of the spec."""
        return [
            _as_ledger_trial(method, frozen)
            for method, study in self._studies.items()
            for frozen in study.get_trials(deepcopy=False)
        ]

    def trial(self, name: str) -> LedgerTrial:
        """One trial by its name."""
        method, number = _parse_name(name)
        study = self._studies[method]
        return _as_ledger_trial(method, study._storage.get_trial(_trial_id(study, number)))


def create_studies(database: Database, methods: Iterable[Method]) -> None:
    """Make a new run's studies, all empty, in a database.

    Raises:
        UserError: the database can't be used.
    """
    storage = _open_storage(database)
    try:
        _create_studies(storage, f"{database.run}/", methods)
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
    storage = _open_storage(where)
    try:
        return [
            _as_ledger_trial(method, frozen)
            for study in storage.get_all_studies()
            for method in Method
            if study.study_name == _study_name(where, method)
            for frozen in storage.get_all_trials(study._study_id, deepcopy=False)
        ]
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


def _study_name(where: Path | Database, method: Method) -> str:
    return method.value if isinstance(where, Path) else f"{where.run}/{method}"


def _create_studies(storage: BaseStorage, prefix: str, methods: Iterable[Method]) -> None:
    for method in methods:
        optuna.create_study(storage=storage, study_name=f"{prefix}{method}", direction="maximize", load_if_exists=True)


def _open_storage(where: Path | Database) -> BaseStorage:
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


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a killed driver left unfinished; the next line must not be glued to it."""
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: dropped an unfinished last line: %r", path, content[whole:])
            file.truncate(whole)
            os.fsync(file.fileno())


def _issued(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False))


def _trial_id(study: optuna.Study, number: int) -> int:
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


def _parse_name(name: str) -> tuple[Method, int]:
    method, _, number = name.rpartition("-")
    return Method(method), int(number)


def _as_ledger_trial(method: Method, frozen: FrozenTrial) -> LedgerTrial:
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
