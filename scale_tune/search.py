"""Runs a search on Ray. The only module that knows Ray.

Every start of the driver is a fresh Ray Tune run over the ledger. Ray starts and restarts workers and delivers
their results; which trials there are, how far they are and whether they go on is the ledger's business.
"""

import logging
import os
import socket
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before ray is imported: no reports of usage, and no GPU visible to a trial that asked for none.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# Progress and failures are shown from the ledger, not by Ray.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# Ray's own experiment state is not used: the ledger is the truth.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scale_tune.config import Method, TrialConfig
from scale_tune.errors import UserError
from scale_tune.ledger import Ledger, LedgerState
from scale_tune.records import checkpoints, close_trial, drop_weights, has_weights, read_record
from scale_tune.rundir import RunDir
from scale_tune.space import ResourceSpec, RunSpec

if TYPE_CHECKING:
    from scale_tune.trial import Trial

MAX_WORKER_DEATHS = 5
"""A trial whose worker died more often than this, in one start of the driver, has failed.

A Python error fails it at once: it would come again.
"""


OBJECT_STORE_BYTES = 2**28


class TuneTrial(tune.Trainable):
    """One trial on a worker: one step is one epoch of all its seeds."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a worker's first trial."""
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process, which saves starting one."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._error: str | None = None
        self._error_reported = False
        try:
            self._trial = _open_trial(config)
            # What an earlier worker has completed is reported before anything is trained.
            self._unreported = self._trial.record.epoch > 0
        except Exception:
            self._error = traceback.format_exc()

    def step(self) -> dict[str, Any]:
        """Train an epoch and report all objectives so far, or the traceback of what went wrong.

        Raises:
            RuntimeError: after an error was reported. An error may leave the process in a state (a broken CUDA
                context, say) that would fail the next trial too; this makes Ray end the process.
        """
        if self._error_reported:
            raise RuntimeError("ends this process after an error")
        if self._error is None:
            try:
                if not self._unreported:
                    self._trial.train_epoch()
                self._unreported = False
            except Exception:
                self._error = traceback.format_exc()
        if self._error is not None:
            self._error_reported = True
            return {"error": self._error}
        record = self._trial.record
        return {"objectives": record.objectives(), "finished": record.finished}


def _open_trial(config: dict[str, Any]) -> "Trial":
    # Imported here, so that the driver does without torch.
    import torch

    from scale_tune.datasets import load_splits
    from scale_tune.trial import Trial

    torch.set_num_threads(config["threads"])
    trial_config = TrialConfig.model_validate_json(config["config"])
    device = torch.device("cuda" if config["gpus"] and torch.cuda.is_available() else "cpu")
    splits = load_splits(trial_config.dataset)
    return Trial(config["trial"], trial_config, splits, device, Path(config["directory"]))


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
        if ledger.report(name, result["objectives"]):
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


def keep_best(run: RunDir, ledger: Ledger, method: Method) -> None:
    """Drop the weights of the method's completed trials beyond the best ``keep_top`` that have any."""
    complete = [t for t in ledger.trials() if t.method is method and t.state is LedgerState.COMPLETE]
    with_weights = [t for t in complete if has_weights(run.trial(t.name))]
    with_weights.sort(key=lambda t: (-(t.objective or 0), t.number))
    for beyond in with_weights[ledger.spec.keep_top :]:
        drop_weights(run.trial(beyond.name))


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A connection to a Ray cluster, or Ray started on this machine if no address is given.

    Raises:
        UserError: there is no cluster at the address.
    """
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    if address is not None:
        _check_reachable(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        if address is None:
            # Nothing large goes through the object store: data and checkpoints are files.
            ray.init(include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"can't connect to a Ray cluster at --address {address}" if address else "can't start Ray"
        raise UserError(f"{where}: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"can't connect to a Ray cluster at --address {address}: {error}") from None


def concurrency(resources: ResourceSpec) -> int:
    """How many trials the cluster has room for at once.

    Raises:
        UserError: not even one; Ray would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    room = 0
    for node in nodes:
        fits = node.get("CPU", 0) / resources.cpus_per_trial
        if resources.gpus_per_trial:
            fits = min(fits, node.get("GPU", 0) / resources.gpus_per_trial)
        room += int(fits + 1e-9)
    if room == 0:
        most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
        raise UserError(
            f"a trial asks for {resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs, but the "
            f"largest node has {most['CPU']:g} CPUs and {most['GPU']:g} GPUs; lower --cpus-per-trial or "
            "--gpus-per-trial, or give the --address of a larger cluster"
        )
    return min(room, resources.max_concurrent or room)


def check_cluster(spec: RunSpec) -> None:
    """Let one worker with a trial's resources import the package, prepare the data and build the model.

    What would fail every trial fails here, once, before there is a run.

    Raises:
        UserError: no node has the resources, the data or the model can't be had, or the worker can't run the package.
    """
    resources = spec.resources
    concurrency(resources)
    method = next(iter(spec.methods))
    drawn = {name: parameter.extremes()[0] for name, parameter in spec.method_space(method).items()}
    config = spec.trial_config(method, drawn).model_dump_json()
    task = ray.remote(num_cpus=resources.cpus_per_trial, num_gpus=resources.gpus_per_trial, max_retries=0)(_try_out)
    try:
        ray.get(task.remote(config))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise UserError(f"a worker can't run trials:\n{error}") from None
    except ray.exceptions.RayError as error:
        raise UserError(f"a worker can't run trials: {error}") from None


def _try_out(config_json: str) -> None:
    from scale_tune.datasets import load_splits
    from scale_tune.models import build_classifier

    config = TrialConfig.model_validate_json(config_json)
    splits = load_splits(config.dataset)
    build_classifier(config.model, splits.presentation.num_classes, ["train"], seed=0)


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
    for trial in ledger.trials():  # what a killed driver did not come to
        if trial.state is LedgerState.PRUNED:
            close_pruned(run, trial.name)
    for method in spec.methods:
        keep_best(run, ledger, method)
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
