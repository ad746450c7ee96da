"""Runs made without Ray: a loop takes the part of the workers, everything else is real."""

from pathlib import Path

import torch

from scale_tune import datasets
from scale_tune.ledger.studies import Ledger
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.training.records import close_trial
from scale_tune.training.trial import Trial
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
    ledger = Ledger(run.ledger, spec)
    while (issued := ledger.next_trial()) is not None:
        config = spec.trial_config(issued.method, issued.params)
        trial = Trial(issued.name, config, datasets.load_splits(config.dataset), DEVICE, run.trial(issued.name))
        if issued.name == fail:
            ledger.fail(issued.name, "Traceback (most recent call last): a reason")
            continue
        while not trial.record.finished:
            trial.train_epoch()
            stopped = ledger.report(issued.name, trial.record.objectives(), finished=trial.record.finished)
            if stopped:
                close_trial(run.trial(issued.name), trial.record)
            if stopped or issued.name == leave_running:
                break
        else:
            ledger.complete(issued.name)
    return run


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
    return RunSpec.model_validate(fields | options)
