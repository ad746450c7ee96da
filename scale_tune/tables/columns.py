"""What the tables say of one trial's record: columns rather than rows, since a long run has millions of those."""

from collections import defaultdict
from statistics import fmean, stdev
from typing import Any

from scale_tune.accuracies import ACCURACIES
from scale_tune.datasets.splits import SPLIT_NAMES
from scale_tune.training.records import CellsRecord, GroupsRecord, ReplicaRecord, SplitRecord, TrialRecord

Columns = dict[str, list[Any]]


def trial_values(record: TrialRecord) -> dict[str, Any]:
    """The columns of ``trials`` that the record alone decides."""
    replicas = record.replicas
    objectives = record.objectives()
    return {
        "seeds": sum(r.best is not None and r.diverged_epoch is None for r in replicas),
        "epochs": len(objectives),
        **_knowledge_values(record),
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
                for name in ("epoch", "lr", "seconds"):
                    columns[name].append(getattr(epoch, name))
    return dict(columns)


def diagnostic_columns(record: TrialRecord) -> Columns:
    """The trial's rows of ``diagnostics``, by column."""
    columns: Columns = defaultdict(list)
    for replica in record.replicas:
        for epoch in replica.history:
            for name, value in epoch.diagnostics.items():
                row = {"seed": replica.seed, "epoch": epoch.epoch, "name": name, "value": value}
                for column, cell in row.items():
                    columns[column].append(cell)
    return dict(columns)


def group_columns(record: TrialRecord) -> Columns:
    """The trial's rows of ``groups``, by column."""
    columns: Columns = defaultdict(list)
    for replica in record.replicas:
        if replica.best is None:
            continue
        for split, counts in replica.best.groups.items():
            cells = cell_columns(counts, replica.cells)
            same = {"seed": replica.seed, "epoch": replica.best.epoch, "split": split}
            same["fingerprint"] = replica.fingerprint
            for name, value in same.items():
                columns[name] += [value] * len(cells["n"])
            for name, values in cells.items():
                columns[name] += values
    return dict(columns)


def cell_columns(counts: GroupsRecord, cells: CellsRecord) -> Columns:
    """A row of ``groups`` for each cell: what it is, how it is judged, and how many of its samples are right."""
    n, correct = _flat(counts.n), _flat(counts.correct)
    labels, attributes = zip(*((y, a) for y, row in enumerate(counts.n) for a in range(len(row))), strict=True)
    return {
        "label": list(labels),
        "attribute": list(attributes),
        "aligned": _flat(cells.aligned),
        "evaluation_group": _flat(cells.evaluation_group),
        "train_n": _flat(cells.train_n),
        "n": n,
        "correct": correct,
        "accuracy": [right / of if of else None for right, of in zip(correct, n, strict=True)],
    }


def _knowledge_values(record: TrialRecord) -> dict[str, Any]:
    told = record.knowledge
    return {
        "preparation": min(record.prepared, record.preparation),
        "labels_of": ", ".join(split for split in SPLIT_NAMES if split in told.labels_of),
        "attributes_of": ", ".join(split for split in SPLIT_NAMES if split in told.attributes_of) or "none",
        **{f"{split}_n": told.samples[split] for split in ("train", "target", "val")},
    }


def _flat(rows: list[list[Any]]) -> list[Any]:
    return [value for row in rows for value in row]


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
