"""What becomes of a trial's files when it has ended: the record and the best trials' weights stay, all else goes.

The driver alone closes trials, and only those whose end is in the ledger. A worker leaves a trial whole: the
best-epoch weights if it trained to its end, and after them the last checkpoint, with the record. So whoever is killed,
and wherever, that checkpoint is there until the record is; and a trial whose end the ledger doesn't know is reported
again from it.
"""

import logging
from typing import Any

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, LedgerTrial, best_trials_first
from scale_tune.storage.location import is_temporary
from scale_tune.storage.rundir import RECORD_FILE, RunDir
from scale_tune.training.trialdir import (
    checkpoint_path,
    checkpoints,
    close_trial,
    drop_checkpoints,
    drop_half_written,
    drop_weights,
    is_checkpoint,
    is_weights,
    read_header,
    weights,
)

logger = logging.getLogger(__name__)


class Closing:
    """Closes the trials of a run.

    Args:
        run: its directory.
        ledger: what knows which trials have ended, and how.
    """

    def __init__(self, run: RunDir, ledger: Ledger) -> None:
        self.run = run
        self.ledger = ledger
        self._with_weights: set[str] = set()
        """The completed trials that have kept their weights."""

    def close(self, name: str) -> None:
        """Let a trial's checkpoints give way to its record, and keep the weights of the best alone.

        May be repeated, and after a kill must be: see :meth:`sweep`.

        Args:
            name: a trial that the ledger has as complete or pruned.

        Raises:
            OSError: the storage can't be reached or has no space; nothing is lost.
        """
        trial = self.ledger.trial(name)
        self._keep_record(trial)
        if trial.state is LedgerState.COMPLETE and weights(self.run.trial(name)):
            self._with_weights.add(name)
            self._keep_best(self._kind(trial))

    def sweep(self) -> None:
        """Do for all trials what killed drivers and workers did not come to. No worker may be running.

        A failed trial keeps its checkpoints: it may be tried again.
        """
        files = self.run.trials.names_below()
        self._with_weights.clear()
        for trial in self.ledger.trials():
            found = files.get(trial.name, {})
            if any(map(is_temporary, found)):
                drop_half_written(self.run.trial(trial.name))
            if trial.state in (LedgerState.COMPLETE, LedgerState.PRUNED) and any(map(is_checkpoint, found)):
                self._keep_record(trial)
            if trial.state is LedgerState.COMPLETE and any(map(is_weights, found)):
                self._with_weights.add(trial.name)
        for kind in {self._kind(self.ledger.trial(name)) for name in self._with_weights}:
            self._keep_best(kind)

    def _keep_record(self, trial: LedgerTrial) -> None:
        directory = self.run.trial(trial.name)
        # Its name is known from the ledger: on NFS, a listing may lack what another machine has just written.
        last = checkpoint_path(directory, len(trial.objectives))
        try:
            record = read_header(last)
            if (record.trial, record.objectives()) != (trial.name, trial.objectives):
                raise ValueError(f"{last} is not of {trial.name} after {len(trial.objectives)} epochs")
        except (FileNotFoundError, ValueError) as error:
            if (directory / RECORD_FILE).exists():  # a killed driver had come so far
                drop_checkpoints(directory)
            elif checkpoints(directory):
                logger.warning("%s can't be closed, as its last checkpoint can't be read: %.200s", trial.name, error)
        else:
            close_trial(directory, record)

    def _kind(self, trial: LedgerTrial) -> tuple[Any, ...]:
        """What a trial competes in: its method and data."""
        return trial.method, self.ledger.spec.searched_data(trial.method, trial.params)

    def _keep_best(self, kind: tuple[Any, ...]) -> None:
        """Drop the weights of the completed trials of a kind beyond the best ``keep_top`` that have any."""
        trials = [trial for name in self._with_weights if self._kind(trial := self.ledger.trial(name)) == kind]
        for beyond in best_trials_first(trials)[self.ledger.spec.keep_top :]:
            drop_weights(self.run.trial(beyond.name))
            self._with_weights.remove(beyond.name)
