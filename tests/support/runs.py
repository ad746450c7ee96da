"""Runs made without Ray: a loop takes the part of the workers, everything else is real."""

from pathlib import Path

import torch

from scale_tune import datasets
from scale_tune.ledger.ledger import Ledger
from scale_tune.search.closing import Closing
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.training.trial import Trial
from scale_tune.workflows.resolving import resolved
from tests.conftest import DEVICE


def make_run(
    directory: Path,
    spec: RunSpec,
    *,
    fail: str | None = None,
    leave_running: str | None = None,
    name: str = "run",
) -> RunDir:
    """A finished run, but for a trial that failed or one that a driver left behind after an epoch."""
    torch.set_num_threads(1)  # the fixtures that call this come before the one that does it for every test
    data = {"dataset": datasets.load_splits(spec.dataset).fingerprint}
    run = create_run(Location.of(directory), name, spec, data)
    drive(run, fail=fail, leave_running=leave_running)
    return run


def drive(
    run: RunDir,
    *,
    fail: str | None = None,
    fail_at_the_end: str | None = None,
    leave_running: str | None = None,
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
            ledger.fail(issued.name, "Traceback (most recent call last): a reason")
            continue
        config = spec.trial_config(issued.method, issued.params)
        trial = Trial(issued.name, config, datasets.load_splits(config.dataset), DEVICE, run.trial(issued.name))
        told = trial.record.epoch > 0  # what an earlier worker has completed
        while True:
            if not told:
                trial.train_epoch()
            told = False
            finished = trial.record.finished
            if finished and issued.name == fail_at_the_end:
                ledger.fail(issued.name, "its worker died")
                break
            pruned = ledger.report(issued.name, trial.record.objectives(), finished=finished)
            if finished:
                ledger.complete(issued.name)
            if finished or pruned:
                closing.close(issued.name)
            if finished or pruned or issued.name == leave_running:
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
