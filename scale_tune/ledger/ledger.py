"""The ledger: one Optuna study per method, in one journal file or a database; the only truth about a search.

It issues trials, takes their objectives, decides early stopping, and is all that a restarted driver needs: trials
that it holds as running are issued again under their number, then new ones until every study holds
``num_samples``. Starting, resuming and extending a search are therefore one code path.

Early stopping is decided from the objectives in the studies, so a restart forgets nothing of it. There is one
driver (see :mod:`scale_tune.storage.lock`), so the ledger has a single writer.
"""

from itertools import zip_longest
from pathlib import Path

import optuna
from optuna.trial import TrialState

from scale_tune.errors import UserError
from scale_tune.ledger.pruners import pruner
from scale_tune.ledger.samplers import sampler, suggest
from scale_tune.ledger.studies import (
    ERROR,
    FINAL,
    LedgerState,
    LedgerTrial,
    as_ledger_trial,
    create_absent_studies,
    drop_torn_line,
    open_storage,
    parse_name,
    study_name,
    trial_id,
    trial_name,
)
from scale_tune.spec.space import RunSpec
from scale_tune.storage.database import Database


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
        self._where = where
        if isinstance(where, Path):
            # This driver is the only writer, so what a killed one left can be removed at once.
            Path(f"{where}.lock").unlink(missing_ok=True)
            if where.exists():
                drop_torn_line(where)
        self._storage = open_storage(where)
        if isinstance(where, Path):
            create_absent_studies(self._storage, where, spec.methods)
        self._studies: dict[str, optuna.Study] = {method: self._open_study(method) for method in spec.methods}
        self._known: dict[str, list[LedgerTrial]] = {method: [] for method in spec.methods}
        self._issued = {method: len(study.get_trials(deepcopy=False)) for method, study in self._studies.items()}
        self._interrupted = [trial for trial in self.trials() if trial.state is LedgerState.RUNNING]
        # A driver that died may have noted an objective without having decided on it.
        self._undecided = {trial.name for trial in self._interrupted}

    def _open_study(self, method: str) -> optuna.Study:
        try:
            study = optuna.load_study(storage=self._storage, study_name=study_name(self._where, method))
        except KeyError:
            raise UserError(f"the ledger {self._where} has no study of {method}; restore it from a copy") from None
        study.pruner = pruner(self.spec, method)
        return study

    def next_trial(self) -> LedgerTrial | None:
        """The next trial to train: an interrupted one, or a new one; None when all have been issued.

        New trials go to the method that has the fewest, so that the methods advance side by side.
        """
        if self._interrupted:
            trial = self._interrupted.pop(0)
            method, study = trial.method, self._studies[trial.method]
            study.sampler = sampler(self.spec, method, trial.number, self._storage)
            issued = self._opened(trial.name)
        else:
            wanting = {m: n for m, n in self._issued.items() if n < self.spec.method_samples(m)}
            if not wanting:
                return None
            method = min(wanting, key=wanting.__getitem__)
            study = self._studies[method]
            study.sampler = sampler(self.spec, method, wanting[method], self._storage)
            issued = study.ask()
            self._issued[method] = issued.number + 1
        # A trial that was interrupted while it was being drawn keeps the parameters it has and draws the others.
        for name, parameter in self.spec.method_space(method).items():
            suggest(issued, name, parameter)
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
        trial = self._opened(name)
        known = len(self.trial(name).objectives)
        stop = name in self._undecided and known == len(objectives) and trial.should_prune()
        self._undecided.discard(name)
        for epoch in range(known + 1, len(objectives) + 1):
            trial.report(objectives[epoch - 1], epoch)
            stop = stop or trial.should_prune()
        if stop and not finished:
            trial.study.tell(trial.number, state=TrialState.PRUNED)
        return stop and not finished

    def complete(self, name: str) -> None:
        """Note that a trial has trained to its end; its last objective is its result."""
        trial = self.trial(name)
        self._studies[trial.method].tell(trial.number, trial.objective)

    def fail(self, name: str, error: str) -> None:
        """Note that a trial raised an error, with its traceback."""
        self._opened(name).set_user_attr(ERROR, error)

    def retry_failed(self) -> list[str]:
        """Have every failed trial issued again under its number, to go on from its last checkpoint."""
        failed = [trial for trial in self.trials() if trial.state is LedgerState.FAILED]
        for trial in failed:
            self._opened(trial.name).set_user_attr(ERROR, None)
            self.put_back(trial.name)
        return [trial.name for trial in failed]

    @property
    def done(self) -> bool:
        """Whether every method has its trials and all of them have ended."""
        issued = all(n >= self.spec.method_samples(method) for method, n in self._issued.items())
        return issued and all(trial.state.ended for trial in self.trials())

    def trials(self) -> list[LedgerTrial]:
        """Every trial, method by method in the order of the spec."""
        for method, study in self._studies.items():
            # A driver asks every second, and most trials have ended: what can't change is not made anew.
            self._known[method] = [
                known if known is not None and known.state in FINAL else as_ledger_trial(method, frozen)
                for known, frozen in zip_longest(self._known[method], study.get_trials(deepcopy=False))
            ]
        return [trial for known in self._known.values() for trial in known]

    def trial(self, name: str) -> LedgerTrial:
        """One trial by its name."""
        method, number = parse_name(name)
        return as_ledger_trial(method, self._storage.get_trial(trial_id(self._storage, self._studies[method], number)))

    def _opened(self, name: str) -> optuna.Trial:
        """A running trial, to be written to.

        Optuna advises against calling this constructor, but makes one for new trials alone.
        """
        method, number = parse_name(name)
        study = self._studies[method]
        return optuna.Trial(study, trial_id(self._storage, study, number))
