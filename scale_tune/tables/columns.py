"""What the tables say of one trial's record: columns rather than rows, since a long run has millions of those."""

from collections import defaultdict
from statistics import fmean, stdev
from typing import Any

from scale_tune.accuracies import ACCURACIES
from scale_tune.training.records import ReplicaRecord, SplitRecord, TrialRecord

Columns = dict[str, list[Any]]


def trial_values(record: TrialRecord) -> dict[str, Any]:
    """The columns of ``trials`` that the record alone decides."""
    replicas = record.replicas
    objectives = record.objectives()
    return {
        "seeds": sum(r.best is not None and r.diverged_epoch is None for r in replicas),
        "epochs": len(objectives),
        "objective": objectives[-1] if objectives else None,
        **_accuracy_values(replicas),
        **{name: getattr(record, name) for name in ("diverged", "fingerprint", "node", "device", "threads", "started")},
        "seconds": sum(epoch.seconds for r in replicas for epoch in r.history),
    }


def epoch_columns(record: TrialRecord) -> Columns:
    """The trial's rows of ``epochs``, by column."""
    columns: Columns = defaultdict(list)
    for replica in record.replicas:
        for epoch in replica.history:
            for split, measured in epoch.splits.items():
                columns["seed"].append(replica.seed)
                columns["split"].append(split)
                for name in ("loss", *ACCURACIES):
                    columns[name].append(getattr(measured, name))
                for name in ("epoch", "cosine", "lr", "seconds"):
                    columns[name].append(getattr(epoch, name))
    return dict(columns)


def group_columns(record: TrialRecord) -> Columns:
    """The trial's rows of ``groups``, by column."""
    columns: Columns = defaultdict(list)
    for replica in record.replicas:
        for split, counts in replica.best.groups.items() if replica.best else ():
            cells = [
                (label, attribute, n, correct)
                for label, (n_row, correct_row) in enumerate(zip(counts.n, counts.correct, strict=True))
                for attribute, (n, correct) in enumerate(zip(n_row, correct_row, strict=True))
            ]
            same = {"seed": replica.seed, "epoch": replica.best.epoch if replica.best else None, "split": split}
            for name, value in same.items():
                columns[name] += [value] * len(cells)
            for name, values in zip(("label", "attribute", "n", "correct"), zip(*cells, strict=True), strict=True):
                columns[name] += values
            columns["accuracy"] += [correct / n if n else None for _, _, n, correct in cells]
    return dict(columns)


def _accuracy_values(replicas: list[ReplicaRecord]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for split in ("val", "test"):
        measured = [_at_best_epoch(replica, split) for replica in replicas if replica.diverged_epoch is None]
        for accuracy in ACCURACIES:
            of_seeds = [getattr(split_record, accuracy, None) for split_record in measured]
            present = [value for value in of_seeds if value is not None]
            # A mean over fewer seeds than asked would hide the failed one.
            whole = bool(replicas) and len(present) == len(replicas)
            values[f"{split}_{accuracy}_mean"] = fmean(present) if whole else None
            values[f"{split}_{accuracy}_std"] = stdev(present) if whole and len(present) > 1 else None
    return values


def _at_best_epoch(replica: ReplicaRecord, split: str) -> SplitRecord | None:
    if replica.best is None:
        return None
    return replica.best.test if split == "test" else replica.history[replica.best.epoch - 1].splits[split]
