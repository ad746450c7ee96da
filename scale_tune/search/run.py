"""Drives a run: the ledger's trials, given to Ray Tune and taken back."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray import tune

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState
from scale_tune.search.callbacks import DriverCallback, LedgerScheduler, LedgerSearcher
from scale_tune.search.closing import Closing
from scale_tune.search.leftovers import own_directory
from scale_tune.search.state import Search
from scale_tune.search.stopping import SearchStopped
from scale_tune.search.worker import TuneTrial
from scale_tune.storage.rundir import RunDir

MAX_IDLE_LEGS = 5
"""So many restarts in a row without a completed epoch are given up."""


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
        search.closing = Closing(search.run, search.ledger)
        if search.retry_failed:
            for trial in search.ledger.trials():
                if trial.state is LedgerState.FAILED:  # before it is none: such a file tells that it has failed
                    search.run.error(trial.name).delete()
            retried = search.ledger.retry_failed()
            search.progress.say(f"trying again: {', '.join(retried) or 'none, as no trial has failed'}")
            search.retry_failed = False
        search.closing.sweep()
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
            search.closing.sweep()
            return search.ledger.done


def _drive_leg(search: Search) -> None:
    """One run of Ray Tune."""
    resources = search.spec.resources
    # Ray would write, again and again, all that it knows of every trial so far, to restore what is never restored.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"
    search.issued.clear()
    search.progress.time.work.clear()
    with own_directory() as scratch, _ray_logs_to(search.run, scratch):
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
                storage_path=str(scratch),
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
