"""Drives a run: the ledger's trials, given to Ray Tune and taken back."""

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scale_tune.ledger.studies import Ledger, LedgerState
from scale_tune.ranking import best_first
from scale_tune.search.cluster import room
from scale_tune.search.progress import Progress
from scale_tune.search.stopping import SearchStopped, Stop
from scale_tune.search.worker import TuneTrial
from scale_tune.spec.config import Method
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import is_temporary
from scale_tune.storage.rundir import RunDir
from scale_tune.training.records import (
    checkpoints,
    close_trial,
    drop_checkpoints,
    drop_half_written,
    drop_weights,
    is_checkpoint,
    is_weights,
    read_record,
    weights,
)

MAX_WORKER_DEATHS = 5
"""A trial whose worker died more often than this, in one start of the driver, has failed.

A Python error fails it at once: it would come again.
"""
MAX_IDLE_LEGS = 5
"""So many restarts in a row without a completed epoch are given up."""
ROOM_SECONDS = 5.0
"""How often the size of the cluster is asked for."""


@dataclass(kw_only=True)
class Search:
    """The search that this process drives, over all its legs, and for the three objects that Ray calls."""

    run: RunDir
    spec: RunSpec
    progress: Progress
    stop: Stop
    retry_failed: bool
    ledger: Ledger = field(init=False)
    issued: set[str] = field(default_factory=set)
    """Ray's ids of the trials that it works on."""
    deaths: Counter[str] = field(default_factory=Counter)
    """How often each trial has lost its worker."""
    cap: int | None = None
    """Trials at once, once memory was found to be short."""
    with_weights: set[str] = field(default_factory=set)
    """The completed trials that have kept their weights."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles what it calls, for a restoring of its own that is never used."""
        return {}

    def lost_worker(self, name: str, how: str) -> None:
        """Have a trial issued again, unless it has lost too many workers."""
        self.deaths[name] += 1
        if self.deaths[name] <= MAX_WORKER_DEATHS:
            self.ledger.put_back(name)
        else:
            self.progress.say(f"{name} has failed: its worker died {self.deaths[name]} times")
            self.ledger.fail(name, f"its worker died {self.deaths[name]} times; the last time:\n{how}")

    def unfit(self, name: str, why: str) -> None:
        """A worker could not train at all; its trial is issued again when it has ended."""
        self.progress.say(f"{name} goes on elsewhere, as a worker can't train {why}")
        if self.deaths[name] >= MAX_WORKER_DEATHS:
            self.stop.wish(f"workers can't train {why}")


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
        self.search.issued.add(trial_id)
        resources = ledger.spec.resources
        return {
            "trial": trial.name,
            "config": ledger.spec.trial_config(trial.method, trial.params).model_dump_json(),
            "directory": str(self.search.run.trial(trial.name)),
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
        self.search.issued.discard(trial_id)

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
        """Whether the trial goes on. After trouble it does, into the end of its process."""
        search, ledger, run = self.search, self.search.ledger, self.search.run
        name = trial.config["trial"]
        for note in result["notes"]:
            search.progress.say(f"{name}: {note}")
        if "error" in result:
            ledger.fail(name, result["error"])
            search.progress.say(f"{name} has failed: {result['error'].strip().splitlines()[-1]:.300}")
        elif "full" in result:
            search.stop.wish(f"there is no space left {result['full']}")
        elif "unfit" in result:
            search.unfit(name, result["unfit"])
        elif ledger.report(name, result["objectives"], finished=result["finished"]):
            close_pruned(run, name)
            return TrialScheduler.STOP
        elif result["finished"]:
            ledger.complete(name)
            if weights(run.trial(name)):
                search.with_weights.add(name)
                keep_best(search, ledger.trial(name).method)
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


class DriverCallback(tune.Callback):
    """Has trials whose workers died issued again, shows progress, and ends the search when it is to stop."""

    def __init__(self, search: Search) -> None:
        self.search = search

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Called once the search begins; Ray Tune has taken the signals."""
        self.search.stop.install()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called when a trial's worker has died."""
        name = trial.config["trial"]
        if not self.search.ledger.trial(name).state.ended:
            self.search.lost_worker(
                name, Path(trial.error_file).read_text() if trial.error_file else "(Ray kept no message)"
            )

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called several times a second."""
        self.search.progress.show(self.search.ledger)
        if self.search.stop.reason is not None:
            raise SearchStopped


def run_search(search: Search, reconnect: Callable[[], None]) -> bool:
    """Drive a run until every trial has ended or the search is to stop.

    Ray must be connected, and the run held by :func:`scale_tune.storage.lock.only_driver`. Where Ray ends a whole
    search because of one worker, as it does when memory is short, another leg is started.

    Args:
        search: what to drive.
        reconnect: makes a fresh connection to Ray.

    Returns:
        Whether every trial has ended.
    """
    idle = 0
    while True:
        search.ledger = Ledger(search.run.ledger, search.spec)
        if search.retry_failed:
            retried = search.ledger.retry_failed()
            search.progress.say(f"trying again: {', '.join(retried) or 'none, as no trial has failed'}")
            search.retry_failed = False
        sweep(search)
        before = _epochs(search.ledger)
        try:
            _drive_leg(search)
        except SearchStopped:
            return search.ledger.done
        except Exception as error:
            idle = 0 if _epochs(search.ledger) > before else idle + 1
            if not _caused_by(error, ray.exceptions.RayError) or idle > MAX_IDLE_LEGS:
                raise
            _after_leg(search, error)
            reconnect()
        else:
            sweep(search)
            return search.ledger.done


def _drive_leg(search: Search) -> None:
    """One run of Ray Tune."""
    resources = search.spec.resources
    search.issued.clear()
    with tempfile.TemporaryDirectory(prefix="scale-tune-") as scratch, _ray_logs_to(search.run, Path(scratch)):
        tuner = tune.Tuner(
            tune.with_resources(TuneTrial, {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}),
            tune_config=tune.TuneConfig(
                search_alg=LedgerSearcher(search),
                scheduler=LedgerScheduler(search),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.config["trial"],
            ),
            run_config=tune.RunConfig(
                name=search.run.path.name,
                storage_path=scratch,
                callbacks=[DriverCallback(search)],
                # The workers write their own checkpoints, into the run's directory.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                # Ray's own retries give up early on a worker that dies while it takes up another trial.
                failure_config=tune.FailureConfig(max_failures=0),
                verbose=0,
            ),
        )
        with search.stop.noted():
            tuner.fit()


def _epochs(ledger: Ledger) -> int:
    return sum(len(trial.objectives) for trial in ledger.trials())


def _caused_by(error: BaseException | None, kind: type[Exception]) -> bool:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def _after_leg(search: Search, error: Exception) -> None:
    """Draw the conclusions from a leg that Ray ended: fewer trials at once when memory was short."""
    running = [trial.name for trial in search.ledger.trials() if trial.state is LedgerState.RUNNING]
    if not _caused_by(error, ray.exceptions.OutOfMemoryError):
        search.progress.say(f"Ray ended the search ({error!r:.300}); it goes on in another leg")
    elif len(running) <= 1 or search.cap == 1:
        search.progress.say("memory is short with one trial alone; it is tried again")
        for name in running:
            search.lost_worker(name, str(error))
    else:
        search.cap = min(search.cap or len(running), len(running)) - 1
        search.progress.say(f"memory is short: Ray killed a worker; going on with at most {search.cap} at once")


def close_pruned(run: RunDir, name: str) -> None:
    """Let a pruned trial's checkpoint give way to its record. May be repeated."""
    directory = run.trial(name)
    if checkpoints(directory) and (record := read_record(directory)) is not None:
        close_trial(directory, record)


def sweep(search: Search) -> None:
    """Do for all trials what killed drivers and workers did not come to. No worker may be running.

    A failed trial keeps its checkpoint: it may be tried again.
    """
    run = search.run
    names = run.trials.names_below()
    search.with_weights.clear()
    for trial in search.ledger.trials():
        found = names.get(trial.name, {})
        if any(map(is_temporary, found)):
            drop_half_written(run.trial(trial.name))
        has_checkpoint = any(map(is_checkpoint, found))
        if has_checkpoint and trial.state is LedgerState.PRUNED:
            close_pruned(run, trial.name)
        elif has_checkpoint and trial.state is LedgerState.COMPLETE:
            drop_checkpoints(run.trial(trial.name))
        if trial.state is LedgerState.COMPLETE and any(map(is_weights, found)):
            search.with_weights.add(trial.name)
    for method in search.spec.methods:
        keep_best(search, method)


def keep_best(search: Search, method: Method) -> None:
    """Drop the weights of the method's completed trials beyond the best ``keep_top`` that have any."""
    trials = [trial for name in search.with_weights if (trial := search.ledger.trial(name)).method is method]
    trials.sort(key=lambda trial: trial.number)
    for beyond in best_first(trial.objective or 0 for trial in trials)[search.spec.keep_top :]:
        drop_weights(search.run.trial(trials[beyond].name))
        search.with_weights.remove(trials[beyond].name)


@contextmanager
def _ray_logs_to(run: RunDir, scratch: Path) -> Iterator[None]:
    """Keep what Ray Tune has to say, of failed trials for instance, but in a file of the run."""
    file = run.path / "ray.log"
    path = file.local or scratch / "ray.log"
    logger = logging.getLogger("ray.tune")
    if file.local is None and file.exists():
        path.write_bytes(file.read())
    try:
        handler: logging.Handler = logging.FileHandler(path)
    except OSError:  # a full disk stops the search elsewhere, with a clear message
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)
        handler.close()
        if file.local is None:
            file.write(path.read_bytes())
