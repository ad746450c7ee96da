"""What Ray Tune calls while it runs: each call is answered from the ledger."""

import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scale_tune.methods import shares_preparation
from scale_tune.search.cluster import room
from scale_tune.search.messages import CaughtUp, Failed, Full, Prepared, Progressed, Unfit, decode
from scale_tune.search.state import Search
from scale_tune.search.stopping import SearchStopped

ROOM_SECONDS = 5.0
"""How often the size of the cluster is asked for."""


class LedgerSearcher(Searcher):
    """Gives Ray the trials that the ledger issues, as many at once as the cluster has room for now."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search
        self._room = 0
        self._asked = float("-inf")

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial's worker; None for none at the moment."""
        ledger = self.search.ledger
        if len(self.search.issued) >= self._limit():
            return None
        trial = ledger.next_trial()
        if trial is None:
            # A running trial may lose its worker, and is then issued again.
            return Searcher.FINISHED if ledger.done else None
        self.search.issued[trial_id] = None
        resources = ledger.spec.resources
        return {
            "trial": trial.name,
            "config": ledger.spec.trial_config(trial.method, trial.params).model_dump_json(),
            "sources": self.search.sources,
            "directory": str(self.search.run.trial(trial.name)),
            "prepared": str(self.search.run.prepared) if shares_preparation(ledger.spec, trial.method) else None,
            "threads": max(1, int(resources.cpus_per_trial)),
            "gpus": resources.gpus_per_trial,
        }

    def _limit(self) -> int:
        """Trials at once. What a user asks for may be more than there is room for: an autoscaler then adds nodes."""
        resources = self.search.spec.resources
        if time.monotonic() - self._asked > ROOM_SECONDS:
            self._room, self._asked = room(resources), time.monotonic()
        limit = resources.max_concurrent or self._room
        return limit if self.search.cap is None else min(limit, self.search.cap)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Ray works on it no longer. Whether the trial has ended is in the ledger."""
        self.search.issued.pop(trial_id, None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is saved already."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see :meth:`save`."""


class LedgerScheduler(FIFOScheduler):
    """Takes every result to the ledger and stops the trials that have ended there."""

    def __init__(self, search: Search) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.search = search

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The one that waits longest. Ray's own choice looks through all trials, those that have ended included."""
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == trial.PENDING]
        order = {trial_id: n for n, trial_id in enumerate(self.search.issued)}
        # One whose worker dies before it has begun is waiting for a moment, and not issued any longer.
        return min(waiting, key=lambda trial: order.get(trial.trial_id, -1), default=None)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on. After trouble it does, into the end of its process."""
        search, ledger = self.search, self.search.ledger
        name = trial.config["trial"]
        report = decode(result)
        for note in report.notes:
            search.progress.say(f"{name}: {note}")
        match report.outcome:
            case Failed(traceback=text):
                search.fail(name, text)
            case Full(where=where):
                search.stop.wish(f"there is no space left {where}")
            case Unfit(why=why):
                search.unfit(name, why)
            case Prepared(epochs=epochs, of=of):
                search.progress.time.prepared(name, ledger.trial(name).method, epochs, of, time.monotonic())
            case CaughtUp(epochs=epochs, of=of):
                search.progress.time.caught_up(name, epochs, of, time.monotonic())
            case Progressed(objectives=objectives, finished=finished):
                known = ledger.trial(name)
                now = time.monotonic()
                search.progress.time.trained(name, known.method, len(objectives), len(known.objectives), now)
                pruned = ledger.report(name, objectives, finished=finished)
                if finished:
                    ledger.complete(name)
                if finished or pruned:
                    search.close(name)
                    return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


class DriverCallback(tune.Callback):
    """Has trials whose workers died issued again, shows progress, and ends the search when it is to stop."""

    def __init__(self, search: Search) -> None:
        self.search = search

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Called once the search begins; Ray Tune has taken the signals."""
        self.search.stop.install()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called when a worker takes a trial up."""
        known = self.search.ledger.trial(trial.config["trial"])
        self.search.progress.time.begun(known.name, anew=not known.objectives, now=time.monotonic())
        # After the search Ray reads what a logger of its own would have written here, and warns of each trial without.
        file = Path(trial.local_path) / "result.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called when a worker has ended with a trial."""
        self.search.progress.time.ended(trial.config["trial"])
        # Ray keeps a trial's last result, and running means of every number in its results, 15 kB that nobody asks for;
        # it has no public way to keep less.
        trial.run_metadata.metric_n_steps.clear()
        trial.run_metadata.metric_analysis.clear()
        trial.run_metadata.last_result.clear()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called when a trial's worker has died."""
        name = trial.config["trial"]
        self.search.progress.time.ended(name)
        if not self.search.ledger.trial(name).state.ended:
            self.search.lost_worker(
                name, Path(trial.error_file).read_text() if trial.error_file else "(Ray kept no message)"
            )

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called several times a second."""
        self.search.progress.show(self.search.ledger)
        if self.search.stop.reason is not None:
            raise SearchStopped
