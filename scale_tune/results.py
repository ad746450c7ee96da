"""Tidy tables of a run: from the ledger and the trials' records to parquet and pandas.

Every trial of the ledger is in ``trials``, also failed ones and ones without a result. The schemas are fixed; each
column's unit and meaning are in the metadata of the parquet files' fields.
"""

import io
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from pydantic import BaseModel

from scale_tune.config import DATASETS, Hyperparameters, ScaleHyperparameters, TrialConfig
from scale_tune.errors import UserError
from scale_tune.files import write_atomically
from scale_tune.ledger import LedgerTrial, read_trials
from scale_tune.records import ReplicaRecord, SplitRecord, TrialRecord, has_weights, read_record
from scale_tune.rundir import RunDir
from scale_tune.schemas import ACCURACIES, ACCURACY_MEANINGS
from scale_tune.schemas import field as _field
from scale_tune.schemas import table_of as _table
from scale_tune.space import RunSpec


def _config_fields() -> list[pa.Field]:
    """One column per value that a search may vary, for every method and dataset, null where it doesn't apply."""
    types: dict[Any, pa.DataType] = {int: pa.int64(), float: pa.float64()}

    def fields(model: type[BaseModel], prefix: str, of: str) -> Iterator[pa.Field]:
        for name, info in model.model_fields.items():
            if name != "name":
                type_ = types.get(info.annotation, pa.string())
                yield _field(f"config.{prefix}{name}", type_, f"{name} of {of}")

    options: dict[str, pa.Field] = {}
    for model in DATASETS.values():
        for field in fields(model, "dataset.", "the dataset; null where the dataset has no such option"):
            options.setdefault(field.name, field)
    return [
        *fields(Hyperparameters, "", "the optimizer or the batches"),
        *fields(ScaleHyperparameters, "", "SCALE; null for other methods"),
        _field("config.epochs", pa.int64(), "epochs that the trial was to train"),
        _field("config.schedule", pa.string(), "learning-rate schedule over the epochs"),
        _field("config.objective", pa.string(), "validation accuracy that was maximised"),
        _field("config.model", pa.string(), "network"),
        _field("config.weights", pa.string(), "its initial weights"),
        _field("config.dataset", pa.string(), "dataset"),
        *options.values(),
    ]


def _accuracy_fields() -> Iterator[pa.Field]:
    for split in ("val", "test"):
        for accuracy in ACCURACIES:
            meaning = f"{ACCURACY_MEANINGS[accuracy]} on {split}, at each seed's best epoch"
            nulls = "null unless every seed has one and none diverged" + (
                "; only of trials that ran to their end" * (split == "test")
            )
            yield _field(f"{split}_{accuracy}_mean", pa.float64(), f"mean over seeds: {meaning}; {nulls}", "fraction")
            yield _field(
                f"{split}_{accuracy}_std",
                pa.float64(),
                f"sample standard deviation over seeds (n - 1): {meaning}; null for one seed",
                "fraction",
            )


_TRIAL = _field("trial", pa.string(), "trial, as scale-00017: method and number in the method's study")
_SEED = _field("seed", pa.int64(), "seed of the replica: its initial weights, batches and augmentation")
_EPOCH = _field("epoch", pa.int64(), "epoch, from 1")

TRIALS = pa.schema(
    [
        _TRIAL,
        _field("method", pa.string(), "erm, erm_target or scale"),
        _field("number", pa.int64(), "number of the trial in its method's study, from 0"),
        _field("state", pa.string(), "complete, pruned (stopped early), failed (raised an error), running or waiting"),
        *_config_fields(),
        _field("seeds", pa.int64(), "seeds with a result: at least one epoch, and not diverged"),
        _field("seeds_asked", pa.int64(), "seeds that the trial trains"),
        _field("epochs", pa.int64(), "completed epochs"),
        _field(
            "objective",
            pa.float64(),
            "mean over all seeds of the best validation objective over the epochs; 0 for a seed without an epoch",
            "fraction",
        ),
        *_accuracy_fields(),
        _field("diverged", pa.int64(), "seeds whose loss became non-finite, which ended them"),
        _field("error", pa.string(), "traceback of a failed trial"),
        _field("node", pa.string(), "host that trained the first epoch"),
        _field("device", pa.string(), "device that trained the first epoch"),
        _field("threads", pa.int64(), "CPU threads of the worker"),
        _field("started", pa.timestamp("us", tz="UTC"), "when the first worker began"),
        _field("seconds", pa.float64(), "training and validation, all seeds", "s"),
        _field("checkpoint", pa.string(), "directory with the best-epoch weights, below the run; null if not kept"),
    ],
    metadata={"table": "trials", "rows": "one per trial of the ledger"},
)

EPOCHS = pa.schema(
    [
        _TRIAL,
        _SEED,
        _EPOCH,
        _field("split", pa.string(), "train and target: while training on their batches; val: after the epoch"),
        _field("loss", pa.float64(), "mean cross-entropy", "nat"),
        *(_field(name, pa.float64(), meaning, "fraction") for name, meaning in ACCURACY_MEANINGS.items()),
        _field("cosine", pa.float64(), "mean over steps and groups of cos(g_tr, g_tg); SCALE only; of the epoch"),
        _field("lr", pa.float64(), "learning rate of the epoch"),
        _field("seconds", pa.float64(), "training and validation of the epoch, the same for each of its splits", "s"),
    ],
    metadata={"table": "epochs", "rows": "one per trial, seed, epoch and split"},
)

GROUPS = pa.schema(
    [
        _TRIAL,
        _SEED,
        _field("epoch", pa.int64(), "the seed's best epoch: the first with the highest validation objective"),
        _field("split", pa.string(), "train and target: while training; val and test: in eval mode after the epoch"),
        _field("label", pa.int64(), "class"),
        _field("attribute", pa.int64(), "value of the spurious feature"),
        _field("n", pa.int64(), "samples", "count"),
        _field("correct", pa.int64(), "correctly predicted samples", "count"),
        _field("accuracy", pa.float64(), "correct / n; null for an empty group", "fraction"),
    ],
    metadata={"table": "groups", "rows": "one per trial, seed, split and group at the seed's best epoch"},
)

DFR = pa.schema(
    [
        _TRIAL,
        _SEED,
        _field("protocol", pa.string(), "how the last layer was refitted: scale"),
        _field("C", pa.float64(), "inverse strength of the L1 penalty, chosen by the objective on val"),
        _field("nonzero", pa.int64(), "non-zero coefficients of the refitted layer", "count"),
        *(
            _field(f"{split}_{name}", pa.float64(), f"{meaning}, on {split}", "fraction")
            for split in ("val", "test")
            for name, meaning in ACCURACY_MEANINGS.items()
        ),
    ],
    metadata={"table": "dfr", "rows": "one per checkpoint and protocol"},
)

Format = Literal["parquet", "csv"]

SCHEMAS = {"trials": TRIALS, "epochs": EPOCHS, "groups": GROUPS, "dfr": DFR}


def load(run_dir: str | Path) -> dict[str, pd.DataFrame]:
    """The tables of a run as they are now, also while it is searched.

    Returns:
        Data frames by name: ``trials``, ``epochs``, ``groups``, ``dfr``. Their columns are explained in the
        parquet files that ``analyze.py`` writes.

    Raises:
        UserError: this is not the directory of a run.
    """
    return {name: table.to_pandas() for name, table in collect(RunDir(Path(run_dir))).items()}


def collect(run: RunDir) -> dict[str, pa.Table]:
    """All tables from the ledger, the records, and what analyses have added."""
    spec = run.read_spec()
    trials: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    for trial in read_trials(run.ledger):
        record = read_record(run.trial(trial.name))
        trials.append(_trial_row(trial, record, spec, run))
        for replica in record.replicas if record else ():
            epochs.extend(_epoch_rows(trial.name, replica))
            groups.extend(_group_rows(trial.name, replica))
    return {
        "trials": _table(trials, TRIALS),
        "epochs": _table(epochs, EPOCHS),
        "groups": _table(groups, GROUPS),
        "dfr": read_dfr(run),
    }


def write_tables(tables: dict[str, pa.Table], directory: Path, format_: Format = "parquet") -> list[Path]:
    """Write each table as ``<name>.parquet`` or ``<name>.csv``.

    Raises:
        UserError: the directory can't be written.
    """
    return write_files({f"{name}.{format_}": _encoded(table, format_) for name, table in tables.items()}, directory)


def write_files(contents: dict[str, bytes], directory: Path) -> list[Path]:
    """Write files by name; a reader sees the old file or the new one, never half of one.

    Raises:
        UserError: the directory can't be written.
    """
    paths = []
    for name, content in contents.items():
        paths.append(directory / name)
        try:
            write_atomically(paths[-1], content)
        except OSError as error:
            raise UserError(f"can't write {paths[-1]}: {error}; choose another --export directory") from None
    return paths


def _encoded(table: pa.Table, format_: Format) -> bytes:
    buffer = io.BytesIO()
    if format_ == "csv":
        csv.write_csv(table, buffer)
    else:
        pq.write_table(table, buffer)
    return buffer.getvalue()


def read_dfr(run: RunDir) -> pa.Table:
    """What DFR has been measured on this run so far, an empty table at first."""
    path = run.results / "dfr.parquet"
    if not path.exists():
        return _table([], DFR)
    return pq.read_table(path, schema=DFR)


def dfr_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """The ``dfr`` table of these rows."""
    return _table(list(rows), DFR)


def _trial_row(trial: LedgerTrial, record: TrialRecord | None, spec: RunSpec, run: RunDir) -> dict[str, Any]:
    config = spec.trial_config(trial.method, trial.params)
    replicas = record.replicas if record else []
    with_result = [r for r in replicas if r.best is not None and r.diverged_epoch is None]
    # A worker writes its checkpoint before it reports: while a trial runs, its record may be ahead of the ledger.
    objectives = record.objectives() if record else trial.objectives
    row: dict[str, Any] = {
        "trial": trial.name,
        "method": trial.method.value,
        "number": trial.number,
        "state": trial.state.value,
        **_config_columns(config),
        "seeds": len(with_result),
        "seeds_asked": len(config.seeds),
        "epochs": len(objectives),
        "objective": objectives[-1] if objectives else None,
        **_accuracy_columns(replicas),
        "error": trial.error,
        "started": trial.started.astimezone(UTC) if trial.started else None,
        "seconds": sum(e.seconds for r in replicas for e in r.history) if record else None,
        "checkpoint": f"trials/{trial.name}" if has_weights(run.trial(trial.name)) else None,
    }
    if record:
        row |= {name: getattr(record, name) for name in ("diverged", "node", "device", "threads", "started")}
    return row


def _config_columns(config: TrialConfig) -> dict[str, Any]:
    values = config.flat() | {
        "epochs": config.epochs,
        "schedule": config.schedule.value,
        "objective": config.objective.value,
        "model": config.model.name,
        "weights": config.model.weights,
        "dataset": config.dataset.name,
    }
    return {f"config.{name}": value for name, value in values.items()}


def _accuracy_columns(replicas: list[ReplicaRecord]) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for split in ("val", "test"):
        measured = [_at_best_epoch(replica, split) for replica in replicas if replica.diverged_epoch is None]
        for accuracy in ACCURACIES:
            values = [getattr(split_record, accuracy, None) for split_record in measured]
            present = [value for value in values if value is not None]
            # A mean over fewer seeds than asked would hide the failed one.
            whole = bool(replicas) and len(present) == len(replicas)
            columns[f"{split}_{accuracy}_mean"] = fmean(present) if whole else None
            columns[f"{split}_{accuracy}_std"] = stdev(present) if whole and len(present) > 1 else None
    return columns


def _at_best_epoch(replica: ReplicaRecord, split: str) -> SplitRecord | None:
    if replica.best is None:
        return None
    return replica.best.test if split == "test" else replica.history[replica.best.epoch - 1].splits[split]


def _epoch_rows(trial: str, replica: ReplicaRecord) -> Iterator[dict[str, Any]]:
    for record in replica.history:
        for split, measured in record.splits.items():
            yield {
                "trial": trial,
                "seed": replica.seed,
                "epoch": record.epoch,
                "split": split,
                **measured.model_dump(),
                "cosine": record.cosine,
                "lr": record.lr,
                "seconds": record.seconds,
            }


def _group_rows(trial: str, replica: ReplicaRecord) -> Iterator[dict[str, Any]]:
    if replica.best is None:
        return
    for split, counts in replica.best.groups.items():
        for label, (n_row, correct_row) in enumerate(zip(counts.n, counts.correct, strict=True)):
            for attribute, (n, correct) in enumerate(zip(n_row, correct_row, strict=True)):
                yield {
                    "trial": trial,
                    "seed": replica.seed,
                    "epoch": replica.best.epoch,
                    "split": split,
                    "label": label,
                    "attribute": attribute,
                    "n": n,
                    "correct": correct,
                    "accuracy": correct / n if n else None,
                }
