"""Drives a run: the ledger's trials, given to Ray Tune and taken back."""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scale_tune.config import Method
from scale_tune.ledger import Ledger, LedgerState
from scale_tune.records import (
    checkpoints,
    close_trial,
    drop_checkpoints,
    drop_half_written,
    drop_weights,
    has_weights,
    read_record,
)
from scale_tune.rundir import RunDir
from scale_tune.search.cluster import concurrency
from scale_tune.search.worker import TuneTrial
from scale_tune.space import RunSpec

MAX_WORKER_DEATHS = 5
"""A trial whose worker died more often than this, in one start of the driver, has failed.

A Python error fails it at once: it would come again.
"""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search that this process drives, for the three objects that Ray calls."""

    ledger: Ledger
    run: RunDir
    show: Callable[[Ledger], None]

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles what it calls, for a restoring of its own that is never used."""
        return {}


class LedgerSearcher(Searcher):
    """Gives Ray the trials that the ledger issues."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial's worker."""
        ledger = self.search.ledger
        trial = ledger.next_trial()
        if trial is None:
            # A running trial may lose its worker, and is then issued again.
            return Searcher.FINISHED if ledger.done else None
        resources = ledger.spec.resources
        return {
            "trial": trial.name,
            "config": ledger.spec.trial_config(trial.method, trial.params).model_dump_json(),
            "directory": str(self.search.run.trial(trial.name)),
            "threads": max(1, int(resources.cpus_per_trial)),
            "gpus": resources.gpus_per_trial,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: a trial has ended when the ledger says so, not when Ray stops working on it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is saved already."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see :meth:`save`."""


class LedgerScheduler(FIFOScheduler):
    """Takes every result to the ledger and stops the trials that have ended there."""

    def __init__(self, search: Search) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.search = search

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        ledger, run = self.search.ledger, self.search.run
        name = trial.config["trial"]
        if result.get("error"):
            ledger.fail(name, result["error"])
            return TrialScheduler.CONTINUE  # into the end of its process
        if ledger.report(name, result["objectives"], finished=result["finished"]):
            close_pruned(run, name)
        elif result["finished"]:
            ledger.complete(name)
            keep_best(run, ledger, ledger.trial(name).method)
        else:
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP


class DriverCallback(tune.Callback):
    """Has trials whose workers died issued again, and shows progress."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.deaths: Counter[str] = Counter()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called when a trial's worker has died."""
        ledger, name = self.search.ledger, trial.config["trial"]
        if ledger.trial(name).state.ended:
            return
        self.deaths[name] += 1
        if self.deaths[name] <= MAX_WORKER_DEATHS:
            ledger.put_back(name)
        else:
            last = Path(trial.error_file).read_text() if trial.error_file else "(Ray kept no message)"
            ledger.fail(name, f"its worker died {self.deaths[name]} times; the last time:\n{last}")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called several times a second."""
        self.search.show(self.search.ledger)


def close_pruned(run: RunDir, name: str) -> None:
    """Let a pruned trial's checkpoint give way to its record. May be repeated."""
    directory = run.trial(name)
    if checkpoints(directory) and (record := read_record(directory)) is not None:
        close_trial(directory, record)


def sweep(run: RunDir, ledger: Ledger) -> None:
    """Do for all trials what killed drivers and workers did not come to. No worker may be running.

    A failed trial keeps its checkpoint, for whoever looks into the failure.
    """
    for trial in ledger.trials():
        directory = run.trial(trial.name)
        drop_half_written(directory)
        if trial.state is LedgerState.PRUNED:
            close_pruned(run, trial.name)
        elif trial.state is LedgerState.COMPLETE:
            drop_checkpoints(directory)
    for method in ledger.spec.methods:
        keep_best(run, ledger, method)


def keep_best(run: RunDir, ledger: Ledger, method: Method) -> None:
    """Drop the weights of the method's completed trials beyond the best ``keep_top`` that have any."""
    complete = [t for t in ledger.trials() if t.method is method and t.state is LedgerState.COMPLETE]
    with_weights = [t for t in complete if has_weights(run.trial(t.name))]
    with_weights.sort(key=lambda t: (-(t.objective or 0), t.number))
    for beyond in with_weights[ledger.spec.keep_top :]:
        drop_weights(run.trial(beyond.name))


def run_search(run: RunDir, spec: RunSpec, show: Callable[[Ledger], None]) -> bool:
    """Drive a run until every trial has ended or the search is stopped.

    Ray must be connected, and the run held by :meth:`RunDir.only_driver`.

    Args:
        run: its directory.
        spec: what to search.
        show: called often, to show progress.

    Returns:
        Whether every trial has ended.
    """
    ledger = Ledger(run.ledger, spec)
    sweep(run, ledger)
    search = Search(ledger=ledger, run=run, show=show)
    resources = spec.resources
    with tempfile.TemporaryDirectory(prefix="scale-tune-") as scratch, _ray_logs_to(run.path / "ray.log"):
        tuner = tune.Tuner(
            tune.with_resources(TuneTrial, {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}),
            tune_config=tune.TuneConfig(
                search_alg=LedgerSearcher(search),
                scheduler=LedgerScheduler(search),
                num_samples=-1,
                max_concurrent_trials=concurrency(resources),
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.config["trial"],
            ),
            run_config=tune.RunConfig(
                name=run.path.name,
                storage_path=scratch,
                callbacks=[DriverCallback(search)],
                # The workers write their own checkpoints, into the run's directory.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                # Ray's own retries give up early on a worker that dies while it takes up another trial.
                failure_config=tune.FailureConfig(max_failures=0),
                verbose=0,
            ),
        )
        tuner.fit()
    sweep(run, ledger)
    return ledger.done


@contextmanager
def _ray_logs_to(path: Path) -> Iterator[None]:
    """Keep what Ray Tune has to say, of failed trials for instance, but in a file beside the run."""
    logger = logging.getLogger("ray.tune")
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)
        handler.close()
