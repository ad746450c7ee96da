"""Runs made without Ray: a loop takes the part of the workers, everything else is real."""

from pathlib import Path
from unittest.mock import patch

import torch

from scale_tune import datasets
from scale_tune.ledger.ledger import Ledger
from scale_tune.methods import shares_preparation
from scale_tune.search.closing import Closing
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import close_trial
from scale_tune.workflows.resolving import resolved
from tests.conftest import DEVICE
from tests.support.records import FINGERPRINT, made_up_record

REASON = "Traceback (most recent call last): a reason"
"""Of the trial that failed."""
BIG = RunSpec.model_validate(
    {
        "methods": ["erm", "scale"],
        "space": {
            "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "batch_size": {"type": "choice", "values": [16, 32, 64]},
        },
        "num_samples": 500,
        "epochs": 50,
        "seeds": [0, 1, 2],
        "sampler": "random",
        "scheduler": {"name": "none"},
    }
)
"""1,000 trials of 50 epochs and 3 seeds."""


def make_run(
    directory: Path,
    spec: RunSpec,
    *,
    made_up: bool = False,
    fail: str | None = None,
    leave_running: str | None = None,
    after: int = 1,
    name: str = "run",
) -> RunDir:
    """A finished run, but for a trial that failed or one that a driver left behind.

    Args:
        directory: where to put it.
        spec: of the run.
        made_up: whether nothing is trained: accuracies and data are invented, the ledger and the writers are the real
            ones.
        fail: a trial.
        leave_running: a trial.
        after: so many epochs; of invented ones it is one.
        name: of the run.
    """
    if made_up:
        with patch("os.fsync"):  # a machine that dies in the middle of a test needs no run
            run = create_run(Location.of(directory), name, spec, {"dataset": FINGERPRINT})
            _make_up(run, fail, leave_running)
        return run
    torch.set_num_threads(1)  # the fixtures that call this come before the one that does it for every test
    data = {"dataset": datasets.load_splits(spec.dataset).fingerprint}
    run = create_run(Location.of(directory), name, spec, data)
    drive(run, fail=fail, leave_running=leave_running, after=after)
    return run


def _make_up(run: RunDir, fail: str | None, leave_running: str | None) -> None:
    spec = run.read_spec()
    ledger = Ledger(run.ledger, spec)
    while (issued := ledger.next_trial()) is not None:
        if issued.name == fail:
            ledger.fail(issued.name, REASON)
            continue
        record = made_up_record(issued.name, spec.trial_config(issued.method, issued.params))
        if issued.name == leave_running:
            ledger.report(issued.name, record.objectives()[:1])
            continue
        pruned = ledger.report(issued.name, record.objectives(), finished=spec.scheduler.name == "none")
        close_trial(run.trial(issued.name), record)
        if not pruned:
            ledger.complete(issued.name)


def drive(
    run: RunDir,
    *,
    fail: str | None = None,
    fail_at_the_end: str | None = None,
    leave_running: str | None = None,
    after: int = 1,
    retry_failed: bool = False,
) -> None:
    """Start a run, or go on with it, as the driver and its workers do."""
    spec = run.read_spec()
    ledger = Ledger(run.ledger, spec)
    if retry_failed:
        ledger.retry_failed()
    closing = Closing(run, ledger)
    closing.sweep()
    while (issued := ledger.next_trial()) is not None:
        if issued.name == fail:
            ledger.fail(issued.name, REASON)
            continue
        config = spec.trial_config(issued.method, issued.params)
        prepared = run.prepared if shares_preparation(spec, issued.method) else None
        splits = datasets.splits_by_seed(config)
        trial = Trial(issued.name, config, splits, DEVICE, run.trial(issued.name), prepared)
        told = trial.record.epoch > 0  # what an earlier worker has completed
        while True:
            if not told:
                trial.train_epoch()
            told = False
            if trial.record.epoch == 0 or trial.record.catching_up:
                continue  # it is being prepared, or seeds catch up: there is nothing to tell
            finished = trial.record.finished
            if finished and issued.name == fail_at_the_end:
                ledger.fail(issued.name, "its worker died")
                break
            pruned = ledger.report(issued.name, trial.record.objectives(), finished=finished)
            if finished:
                ledger.complete(issued.name)
            if finished or pruned:
                closing.close(issued.name)
            if finished or pruned or (issued.name == leave_running and trial.record.epoch >= after):
                break


def fast_spec(**options) -> RunSpec:
    """Two methods in seconds."""
    fields = {
        "methods": {"erm": {"epochs": 1}, "erm_target": {}},
        "space": {
            "lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
            "batch_size": {"type": "choice", "values": [32, 64]},
        },
        "num_samples": 3,
        "epochs": 3,
        "seeds": [0, 1],
        "scheduler": {"name": "asha", "grace_period": 1, "reduction_factor": 2},
    }
    return resolved(RunSpec.model_validate(fields | options))
