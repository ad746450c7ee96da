"""Brings a run's trackers up to its trials, as often as it is asked to."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from scale_tune.ledger.studies import LedgerState, LedgerTrial, read_trials
from scale_tune.spec.config import TrackerName
from scale_tune.storage.lock import only_tracking
from scale_tune.storage.rundir import RECORD_FILE, RunDir
from scale_tune.tracking.curves import curves_of
from scale_tune.tracking.tracker import Tracker
from scale_tune.tracking.tracker_registry import tracker_class
from scale_tune.training.agreement import agreed_record
from scale_tune.training.trialdir import is_checkpoint


class BringingUp:
    """The trackers of a run, each held by this process alone from the first time it is written to.

    Args:
        run: the run.
        names: of the trackers.
    """

    def __init__(self, run: RunDir, names: Iterable[TrackerName]) -> None:
        self.run = run
        self.names = list(names)
        self.failures: dict[TrackerName, Exception] = {}
        """Of the last time: what kept a tracker from being whole."""
        self._trackers: dict[TrackerName, Tracker] = {}
        self._has: dict[TrackerName, dict[str, object]] = {name: {} for name in self.names}
        """Of each tracker, by trial, what there was when it was brought up to it."""
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def bring_up(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Give each tracker what it lacks. One that fails is left alone until the next time, which makes it good.

        Args:
            say: called with a line about each trial that is written.

        Raises:
            UserError: the run can't be read, or its ledger and records disagree.
        """
        self.failures = {}
        for name in self.names:
            self._try(name, self._open, name)
        spec = self.run.read_spec()
        files = self.run.trials.names_below()  # before the ledger is read, which may be growing
        for trial in read_trials(self.run.ledger):
            found = {n: s for n, s in files.get(trial.name, {}).items() if n == RECORD_FILE or is_checkpoint(n)}
            there = (trial.state, trial.error, found)
            behind = [name for name in self.names if name not in self.failures and self._wants(name, trial, there)]
            if not behind:
                continue
            config = spec.trial_config(trial.method, trial.params)
            record = agreed_record(self.run.trial(trial.name), config, trial.final_objectives, self.run.ledger)
            whole = record is not None and record.epoch >= len(trial.objectives)
            if trial.state in (LedgerState.COMPLETE, LedgerState.PRUNED) and not whole:
                continue  # what another machine has written is not seen here yet, or it is gone
            say(f"{trial.name}: {', '.join(behind)}")
            curves = curves_of(trial, record, config)
            for name in behind:
                if self._try(name, self._trackers[name].write, curves):
                    self._has[name][trial.name] = there
        for name in self.names:
            if name not in self.failures:
                self._try(name, self._trackers[name].send)

    def how_to_look(self) -> dict[TrackerName, str]:
        """At each tracker that was opened."""
        return {name: tracker.how_to_look() for name, tracker in self._trackers.items()}

    def _open(self, name: TrackerName) -> None:
        if name not in self._trackers:
            self._held.enter_context(only_tracking(self.run, name))
            self._trackers[name] = tracker_class(name)(self.run)

    def _wants(self, name: TrackerName, trial: LedgerTrial, there: object) -> bool:
        if trial.state is LedgerState.WAITING or (not trial.state.ended and not self._trackers[name].of_running):
            return False
        return self._has[name].get(trial.name) != there

    def _try(self, name: TrackerName, step: Callable[..., None], *arguments: Any) -> bool:
        try:
            step(*arguments)
        except Exception as error:  # trackers fail in many ways, none of which is the search's concern
            self.failures[name] = error
        return name not in self.failures
