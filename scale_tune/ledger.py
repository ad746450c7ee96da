"""The ledger: one Optuna study per method in one journal file, the only truth about a search.

It issues trials, takes their objectives, decides early stopping, and is all that a restarted driver needs: trials
that it holds as running are issued again under their number, then new ones until every study holds
``num_samples``. Starting, resuming and extending a search are therefore one code path.

Early stopping is decided from the objectives in the studies, so a restart forgets nothing of it. There is one
driver (see :mod:`scale_tune.rundir`), so the journal has a single writer.
"""

import logging
import os
import warnings
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from scale_tune.config import Method
from scale_tune.errors import UserError
from scale_tune.seeding import derive_seed
from scale_tune.space import Choice, Constant, FloatRange, IntRange, RunSpec

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
    TrialState.FAIL: LedgerState.FAILED,
}


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
        path: the journal file; empty at first.
        spec: what to search.

    Raises:
        UserError: there is no journal, or it can't be read; it is never taken for an empty one.
    """

    def __init__(self, path: Path, spec: RunSpec) -> None:
        self.spec = spec
        # This driver is the only writer, so what a killed one left can be removed at once.
        Path(f"{path}.lock").unlink(missing_ok=True)
        if path.exists():
            _drop_torn_line(path)
        storage = _open_storage(path)
        self._studies = {method: self._open_study(storage, method) for method in spec.methods}
        self._distributions = {method: distributions(spec, method) for method in spec.methods}
        self._interrupted = [trial for trial in self.trials() if trial.state is LedgerState.RUNNING]

    def _open_study(self, storage: JournalStorage, method: Method) -> optuna.Study:
        study = optuna.create_study(storage=storage, study_name=method.value, direction="maximize", load_if_exists=True)
        # A restarted search draws anew rather than repeating the draws of its first start.
        seed = derive_seed("sampler", self.spec.search_seed, method, len(study.get_trials(deepcopy=False)))
        study.sampler = _sampler(self.spec, method, seed % 2**32)
        study.pruner = _pruner(self.spec)
        return study

    def next_trial(self) -> LedgerTrial | None:
        """The next trial to train: an interrupted one, or a new one; None when all have been issued.

        New trials go to the method that has the fewest, so that the methods advance side by side.
        """
        if self._interrupted:
            trial = self._interrupted.pop(0)
            study = self._studies[trial.method]
            issued = optuna.Trial(study, _trial_id(study, trial.number))
        else:
            wanting = {m: s for m, s in self._studies.items() if _issued(s) < self.spec.method_samples(m)}
            if not wanting:
                return None
            method, study = min(wanting.items(), key=lambda item: _issued(item[1]))
            issued = study.ask()
            trial = _as_ledger_trial(method, study.trials[issued.number])
        # A trial that was interrupted while it was being drawn keeps the parameters it has and draws the others.
        for name, distribution in self._distributions[trial.method].items():
            issued._suggest(name, distribution)
        return self.trial(trial.name)

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
        # Nothing new is what a resumed trial reports first: its driver may have died before it decided.
        stop = known == len(objectives) and trial.should_prune()
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
        optuna.Trial(study, _trial_id(study, number)).set_user_attr("error", error)
        study.tell(number, state=TrialState.FAIL)

    @property
    def done(self) -> bool:
        """Whether every method has its trials and all of them have ended."""
        return all(
            _issued(study) >= self.spec.method_samples(method) and all(t.state.is_finished() for t in study.trials)
            for method, study in self._studies.items()
        )

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
        return _as_ledger_trial(method, self._studies[method].get_trials(deepcopy=False)[number])


def read_trials(path: Path) -> list[LedgerTrial]:
    """Every trial of a ledger, also while a driver writes to it.

    Raises:
        UserError: there is no ledger, or it can't be read.
    """
    storage = _open_storage(path)
    return [
        _as_ledger_trial(Method(study.study_name), frozen)
        for study in storage.get_all_studies()
        for frozen in storage.get_all_trials(study._study_id)
    ]


def _open_storage(path: Path) -> JournalStorage:
    if not path.exists():
        raise UserError(f"there is no ledger {path}; it is the only record of a search, so restore it from a copy")
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the ledger {path} can't be read ({error!r}); it is the only record of the search, "
            "so restore it from a copy rather than deleting it"
        ) from None


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a killed driver left unfinished; the next line must not be glued to it."""
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: dropped an unfinished last line: %r", path, content[whole:])
            file.truncate(whole)
            os.fsync(file.fileno())


class SuccessiveHalving(optuna.pruners.BasePruner):
    """Asynchronous successive halving (Li et al., 2020), from the objectives in the study alone.

    The rungs are at epochs grace_period * reduction_factor ** k. At a rung a trial goes on if its objective is
    among the best 1/reduction_factor (at least one) of all that have reached it. Optuna's own pruner notes a rung
    as passed before it has decided, so that a driver that dies in between forgets the decision; this one keeps no
    state, and decides again.
    """

    def __init__(self, grace_period: int, reduction_factor: int) -> None:
        self.grace_period = grace_period
        self.reduction_factor = reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to be stopped after its last reported epoch."""
        epoch = trial.last_step
        if epoch is None or not self.is_rung(epoch):
            return False
        others = (other.intermediate_values for other in study.get_trials(deepcopy=False))
        reached = sorted((values[epoch] for values in others if epoch in values), reverse=True)
        promoted = max(1, len(reached) // self.reduction_factor)
        return trial.intermediate_values[epoch] < reached[promoted - 1]

    def is_rung(self, epoch: int) -> bool:
        """Whether trials are compared after this epoch."""
        rung = self.grace_period
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch


class _Grid(optuna.samplers.GridSampler):
    """Every point once, in an order drawn from the seed."""

    def after_trial(self, *arguments: Any) -> None:
        """Nothing: Optuna would end its own loop after the last point, and there is none."""


def _sampler(spec: RunSpec, method: Method, seed: int) -> optuna.samplers.BaseSampler:
    if spec.sampler == "grid":
        choices = {n: list(p.values) for n, p in spec.method_space(method).items() if isinstance(p, Choice)}
        # Trial n is point n of an order drawn from the seed: a restart must go on in the same order.
        return _Grid(choices, seed=derive_seed("grid", spec.search_seed) % 2**32)
    if spec.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: running trials count as bad, so that parallel draws keep apart from each other.
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)


def _pruner(spec: RunSpec) -> optuna.pruners.BasePruner:
    if spec.scheduler.name == "none":
        return optuna.pruners.NopPruner()
    return SuccessiveHalving(spec.scheduler.grace_period, spec.scheduler.reduction_factor)


def distributions(spec: RunSpec, method: Method) -> dict[str, BaseDistribution]:
    """From what Optuna draws a method's trials: every parameter that is not constant."""
    space = spec.method_space(method)
    return {name: _distribution(p) for name, p in space.items() if not isinstance(p, Constant)}


def _distribution(parameter: FloatRange | IntRange | Choice) -> BaseDistribution:
    match parameter:
        case FloatRange():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case IntRange():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case Choice():
            return CategoricalDistribution(parameter.values)


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
        state=_STATES[frozen.state],
        params=dict(frozen.params),
        objectives=[value for _, value in sorted(frozen.intermediate_values.items())],
        error=frozen.user_attrs.get("error"),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
    )
