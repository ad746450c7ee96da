"""What a worker would have left of a trial, made up."""

from datetime import UTC, datetime

import numpy as np

from scale_tune import datasets
from scale_tune.datasets.groups import GroupCounts, Groups
from scale_tune.methods import class_of
from scale_tune.spec.config import TrialConfig
from scale_tune.training.records import (
    BestEpoch,
    CellsRecord,
    EpochRecord,
    GroupsRecord,
    KnowledgeRecord,
    ReplicaRecord,
    SplitRecord,
    TrialRecord,
)

FINGERPRINT = "made up"
"""Of the data."""
SIZES = {"train": 4000, "target": 400, "val": 1000, "test": 2000}


def made_up_record(name: str, config: TrialConfig) -> TrialRecord:
    """The record of an ended trial whose accuracies are drawn from a level that its name and seed fix."""
    replicas, groups = [], datasets.dataset_of(config.dataset).info().groups
    aligned = np.arange(groups.num_classes)
    groups = groups.with_train(aligned, np.array(groups.aligned_attributes))
    for seed in config.seeds:
        random = np.random.default_rng([seed, *name.encode()])
        replicas.append(_replica(seed, config, groups, random))
    return TrialRecord(
        trial=name,
        config=config,
        node="node",
        device="cpu",
        threads=1,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        knowledge=_knowledge(config),
        replicas=replicas,
    )


def _knowledge(config: TrialConfig) -> KnowledgeRecord:
    """What the method's class declares."""
    method = class_of(config)
    pooled = ["target"] * method.pools(method.Options.model_validate(config.options))
    told = {"labels_of": method.learns_from, "attributes_of": method.attributes_of}
    return KnowledgeRecord(samples=SIZES, **{what: [*of, *pooled] if of else [] for what, of in told.items()})


def _replica(seed: int, config: TrialConfig, groups: Groups, random: np.random.Generator) -> ReplicaRecord:
    replica = ReplicaRecord(seed=seed, fingerprint=FINGERPRINT, cells=CellsRecord.of(groups))
    level = random.uniform(0.2, 0.8)
    for epoch in range(1, config.epochs + 1):
        counts = {split: _counts(SIZES[split], level, groups, random) for split in ("train", "target", "val")}
        objective = counts["val"].objective(config.objective)
        record = EpochRecord(
            epoch=epoch,
            lr=config.hyperparameters.lr,
            seconds=1.5,
            diagnostics={"cosine": random.uniform(-1, 1)} if config.options else {},
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
