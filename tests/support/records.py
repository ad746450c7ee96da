"""Runs without training: made-up numbers, written by the real ledger and the real writers."""

from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import numpy as np

from scale_tune import datasets
from scale_tune.datasets.groups import GroupCounts, Groups
from scale_tune.ledger.studies import Ledger
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.training.records import (
    BestEpoch,
    CellsRecord,
    EpochRecord,
    GroupsRecord,
    ReplicaRecord,
    SplitRecord,
    TrialRecord,
    close_trial,
)

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

FINGERPRINT = "made up"
"""Of the data."""
SIZES = {"train": 4000, "target": 400, "val": 1000, "test": 2000}


def make_recorded_run(
    directory: Path, spec: RunSpec, *, fail: tuple[str, ...] = (), leave_running: int = 0, name: str = "run"
) -> RunDir:
    """A run whose trials have all ended, but for the last ``leave_running`` of them, which have reported an epoch."""
    with patch("os.fsync"):  # a machine that dies in the middle of a test needs no run
        return _make(
            create_run(Location.of(directory), name, spec, {"dataset": FINGERPRINT}), spec, fail, leave_running
        )


def _make(run: RunDir, spec: RunSpec, fail: tuple[str, ...], leave_running: int) -> RunDir:
    ledger = Ledger(run.ledger, spec)
    for left in range(spec.total_samples, 0, -1):
        issued = ledger.next_trial()
        assert issued is not None
        if issued.name in fail:
            ledger.fail(issued.name, "Traceback (most recent call last): a reason")
            continue
        record = made_up(issued.name, spec.trial_config(issued.method, issued.params))
        if left <= leave_running:
            ledger.report(issued.name, record.objectives()[:1])
            continue
        if ledger.report(issued.name, record.objectives(), finished=spec.scheduler.name == "none"):
            close_trial(run.trial(issued.name), record)
        else:
            close_trial(run.trial(issued.name), record)
            ledger.complete(issued.name)
    return run


def made_up(name: str, config: TrialConfig) -> TrialRecord:
    """The record of an ended trial whose accuracies are drawn from a level that its name and seed fix."""
    replicas, groups = [], datasets.info_of(config.dataset).groups
    for seed in config.seeds:
        random = np.random.default_rng([seed, *name.encode()])
        replicas.append(_replica(seed, config, groups, random))
    return TrialRecord(
        trial=name,
        config=config,
        fingerprint=FINGERPRINT,
        cells=CellsRecord.of(groups),
        node="node",
        device="cpu",
        threads=1,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        replicas=replicas,
    )


def _replica(seed: int, config: TrialConfig, groups: Groups, random: np.random.Generator) -> ReplicaRecord:
    replica = ReplicaRecord(seed=seed)
    level = random.uniform(0.2, 0.8)
    for epoch in range(1, config.epochs + 1):
        counts = {split: _counts(SIZES[split], level, groups, random) for split in ("train", "target", "val")}
        objective = counts["val"].objective(config.objective)
        record = EpochRecord(
            epoch=epoch,
            lr=config.hyperparameters.lr,
            seconds=1.5,
            diagnostics={"cosine": random.uniform(-1, 1)} if config.method == "scale" else {},
            objective=objective,
            splits={split: SplitRecord(loss=random.exponential(), **c.summary()) for split, c in counts.items()},
        )
        replica.history.append(record)
        if replica.best is None or objective > replica.best.objective:
            best = {split: GroupsRecord.of(c) for split, c in counts.items()}
            replica.best = BestEpoch(epoch=epoch, objective=objective, groups=best)
    assert replica.best is not None
    test = _counts(SIZES["test"], level, groups, random)
    replica.best.test = SplitRecord(loss=random.exponential(), **test.summary())
    replica.best.groups["test"] = GroupsRecord.of(test)
    return replica


def _counts(size: int, level: float, groups: Groups, random: np.random.Generator) -> GroupCounts:
    n = np.full(groups.shape, size // np.prod(groups.shape))
    return GroupCounts(n=n, correct=random.binomial(n, level), groups=groups)
