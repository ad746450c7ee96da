"""Tidy tables of a run: from the ledger and the trials' records to parquet and pandas.

Every trial of the ledger is in ``trials``, also failed ones and ones without a result. The schemas are fixed; each
column's unit and meaning are in the metadata of the parquet files' fields.
"""

import io
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from scale_tune.accuracies import ACCURACIES
from scale_tune.errors import UserError
from scale_tune.ledger.studies import LedgerTrial, check_covers, read_trials
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.columns import Columns, diagnostic_columns, epoch_columns, group_columns, trial_values
from scale_tune.tables.config_columns import config_columns, config_fields, own_fields
from scale_tune.tables.refits import IS_REFIT, with_refits
from scale_tune.tables.schemas import GONE, REFITTED
from scale_tune.tables.schemas import field as _field
from scale_tune.tables.schemas import table_of as _table
from scale_tune.tables.unchanged import joined, read_unchanged
from scale_tune.training.records import RECORD_FILE, is_weights, read_record


def _accuracy_fields() -> Iterator[pa.Field]:
    for split in ("val", "test"):
        for accuracy, meaning_of in ACCURACIES.items():
            meaning = f"{meaning_of} on {split}, at each seed's best epoch"
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
        _field("method", pa.string(), "how its networks are trained, as erm"),
        _field("number", pa.int64(), "number of the trial in its method's study, from 0"),
        _field("state", pa.string(), "complete, pruned (stopped early), failed (raised an error), running or waiting"),
        *config_fields(),
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
        _field("fingerprint", pa.string(), "SHA-256 of the splits that it was trained and judged on"),
        _field("node", pa.string(), "host that trained the first epoch"),
        _field("device", pa.string(), "device that trained the first epoch"),
        _field("threads", pa.int64(), "CPU threads of the worker"),
        _field("started", pa.timestamp("us", tz="UTC"), "when the first worker began"),
        _field("seconds", pa.float64(), "training and validation, all seeds", "s"),
        _field("checkpoint", pa.string(), "directory with the best-epoch weights, below the run; null if not kept"),
    ],
    metadata={"name": "trials", "rows": "one per trial of the ledger"},
)

EPOCHS = pa.schema(
    [
        _TRIAL,
        _SEED,
        _EPOCH,
        _field("split", pa.string(), "train and target: while training on their batches; val: after the epoch"),
        _field("loss", pa.float64(), "mean cross-entropy", "nat"),
        *(_field(name, pa.float64(), meaning, "fraction") for name, meaning in ACCURACIES.items()),
        _field("lr", pa.float64(), "learning rate of the epoch"),
        _field("seconds", pa.float64(), "training and validation of the epoch, the same for each of its splits", "s"),
    ],
    metadata={"name": "epochs", "rows": "one per trial, seed, epoch and split"},
)

DIAGNOSTICS = pa.schema(
    [
        _TRIAL,
        _SEED,
        _EPOCH,
        _field("name", pa.string(), "of what the trial's method reports besides its accuracies, as cosine"),
        _field("value", pa.float64(), "its mean over the steps of the epoch"),
    ],
    metadata={
        "name": "diagnostics",
        "rows": "one per trial, seed, epoch and name; none of methods that report nothing",
    },
)

GROUPS = pa.schema(
    [
        _field(
            "trial",
            pa.string(),
            "trial; of a refit the one whose network gives the features, null for the pretrained network",
        ),
        _field("seed", pa.int64(), "seed of the replica; null for a refit of the pretrained network"),
        _field("features", pa.string(), "of a refit as in dfr; null for the trial's own network"),
        _field("protocol", pa.string(), "of a refit as in dfr; null for the trial's own network"),
        _field("fingerprint", pa.string(), "of a refit as in dfr; null for the trial's own network"),
        _field(
            "epoch",
            pa.int64(),
            "the seed's best epoch: the first with the highest validation objective; null for a refit",
        ),
        _field(
            "split",
            pa.string(),
            "train and target: while training; val and test: in eval mode after the epoch, or of the refitted layer",
        ),
        _field("label", pa.int64(), "class"),
        _field("attribute", pa.int64(), "value of the spurious feature"),
        _field("aligned", pa.bool_(), "whether the attribute goes with the label as in training; else it conflicts"),
        _field(
            "evaluation_group",
            pa.string(),
            "group that the cell is judged with, the worst of which is the worst group: aligned or conflicting, or "
            "the cell alone, as 'label 0, attribute 1'",
        ),
        _field("n", pa.int64(), "samples", "count"),
        _field("correct", pa.int64(), "correctly predicted samples", "count"),
        _field("accuracy", pa.float64(), "correct / n; null for an empty group", "fraction"),
    ],
    metadata={
        "name": "groups",
        "rows": "one per trial, seed, split and cell at the seed's best epoch, and per refit, val or test, and cell",
    },
)

_REFITTED = (
    _field("trial", pa.string(), "trial whose network gives the features; null for pretrained"),
    _field("seed", pa.int64(), "seed of its replica; null for pretrained"),
    _field(
        "features",
        pa.string(),
        "of which network: of a trial at its best epoch, the trial's method, which is erm; or pretrained, the model's "
        "ImageNet weights or file",
    ),
    _field("protocol", pa.string(), "how the last layer was refitted: scale or dfr"),
)
_FINGERPRINT = _field("fingerprint", pa.string(), "SHA-256 of the splits that it was fitted and judged on")

DFR = pa.schema(
    [
        *_REFITTED,
        _field(
            "status",
            pa.string(),
            f"{REFITTED}; or {GONE}: of a trial that was to be refitted, but did not keep them (keep_top, or "
            "deleted), with nulls for all that follows",
        ),
        _field("C", pa.float64(), "inverse strength of the L1 penalty, chosen by the objective on val"),
        _field("nonzero", pa.int64(), "non-zero coefficients of the refitted layer", "count"),
        *(
            _field(f"{split}_{name}", pa.float64(), f"{meaning}, on {split}", "fraction")
            for split in ("val", "test")
            for name, meaning in ACCURACIES.items()
        ),
        _FINGERPRINT,
    ],
    metadata={"name": "dfr", "rows": "one per network and protocol"},
)

DFR_PATH = pa.schema(
    [
        *_REFITTED,
        _field("C", pa.float64(), "inverse strength of the L1 penalty"),
        _field("chosen", pa.bool_(), "whether val chose it: the highest objective, of equal ones the smallest C"),
        _field("nonzero", pa.int64(), "non-zero coefficients of the one fit that was tried", "count"),
        *(
            _field(f"val_{name}", pa.float64(), f"{meaning}, on val, of the one fit that was tried", "fraction")
            for name, meaning in ACCURACIES.items()
        ),
        _FINGERPRINT,
    ],
    metadata={"name": "dfr_path", "rows": "one per refitted network, protocol and C that was tried"},
)

Format = Literal["parquet", "csv"]

_OF_RECORDS = {"trials": TRIALS, "epochs": EPOCHS, "diagnostics": DIAGNOSTICS, "groups": GROUPS}
"""The tables that are made from the records of trials."""
_LONG = {"epochs": epoch_columns, "diagnostics": diagnostic_columns, "groups": group_columns}
"""Those that have many rows of a trial, and what makes them from its record."""
_ADDED = {"dfr": DFR, "dfr_path": DFR_PATH}
"""The tables that analyses alone add to; they also add the rows of refits to ``groups``."""
SCHEMAS = _OF_RECORDS | _ADDED


def load_results(run_dir: str | Path | Location) -> dict[str, pd.DataFrame]:
    """The tables of a run as they are now, also while it is searched.

    Returns:
        Data frames by name: ``trials``, ``epochs``, ``diagnostics``, ``groups``, ``dfr``, ``dfr_path``. Their columns
        are explained in the parquet files that ``analyze.py`` writes.

    Raises:
        UserError: this is not the directory of a run, or what it holds is damaged.
    """
    return {name: table.to_pandas() for name, table in collect(RunDir(run_dir)).items()}


def trials_schema(spec: RunSpec) -> pa.Schema:
    """Of a run's ``trials``, which has the options of its own methods and dataset besides."""
    own = own_fields(spec, TRIALS)
    at = max(i for i, name in enumerate(TRIALS.names) if name.startswith("config.")) + 1
    fields = [*list(TRIALS)[:at], *own, *list(TRIALS)[at:]]
    return pa.schema(fields, metadata=TRIALS.metadata)


def collect(run: RunDir) -> dict[str, pa.Table]:
    """All tables from the ledger, the records, and what analyses have added.

    Records of ended trials are read once: afterwards their rows are taken from the tables in the run's ``results``,
    see :mod:`scale_tune.tables.unchanged`.
    """
    spec = run.read_spec()
    of_records = _OF_RECORDS | {"trials": trials_schema(spec)}
    # Before the ledger is read, which may be growing. And stamps are taken before records are read: if one is
    # replaced in between, it is read again next time.
    files = run.trials.names_below()
    ledger = read_trials(run.ledger)
    check_covers(run.ledger, ledger, files)
    stamps = {trial.name: files.get(trial.name, {}).get(RECORD_FILE) if trial.state.ended else None for trial in ledger}
    unchanged = read_unchanged(run.results, of_records, stamps)
    parts: dict[str, dict[str, tuple[str | None, pa.Table]]] = {name: {} for name in _OF_RECORDS}
    for trial in ledger:
        known = unchanged.get(trial.name)
        has_weights = any(map(is_weights, files.get(trial.name, ())))
        for name, rows in _tables_of(trial, known, spec, run, of_records, has_weights=has_weights).items():
            parts[name][trial.name] = (stamps[trial.name], rows)
    tables = {name: joined(parts[name], schema) for name, schema in of_records.items()}
    tables["groups"] = with_refits(tables["groups"], _read_added(run, "groups", IS_REFIT))
    return tables | {name: _read_added(run, name) for name in _ADDED}


def _tables_of(
    trial: LedgerTrial,
    known: dict[str, pa.Table] | None,
    spec: RunSpec,
    run: RunDir,
    schemas: dict[str, pa.Schema],
    *,
    has_weights: bool,
) -> dict[str, pa.Table]:
    """A trial's rows of the tables, from its record or from what is known of it."""
    if known is not None:
        (values,) = known["trials"].to_pylist()
        tables = {name: known[name] for name in _LONG}
    else:
        record = read_record(run.trial(trial.name))
        if record is not None and record.trial != trial.name:
            raise UserError(f"{run.trial(trial.name)} holds the record of {record.trial}; restore it from a copy")
        values = trial_values(record) if record else _values_without_record(trial)
        tables = {
            name: _part(trial.name, columns_of(record) if record else {}, schemas[name])
            for name, columns_of in _LONG.items()
        }
    row = values | _trial_row(trial, spec) | {"checkpoint": f"trials/{trial.name}" if has_weights else None}
    return {"trials": _table([row], schemas["trials"]), **tables}


def _part(trial: str, columns: Columns, schema: pa.Schema) -> pa.Table:
    """One trial's rows of a table."""
    if not columns:
        return schema.empty_table()
    rows = len(columns["seed"])
    whole = {name: columns.get(name, [None] * rows) for name in schema.names}
    return pa.Table.from_pydict(whole | {"trial": [trial] * rows}, schema=schema)


def write_tables(tables: dict[str, pa.Table], directory: Location, format_: Format = "parquet") -> list[Location]:
    """Write each table as ``<name>.parquet`` or ``<name>.csv``.

    Raises:
        UserError: the directory can't be written.
    """
    return write_files({f"{name}.{format_}": _encoded(table, format_) for name, table in tables.items()}, directory)


def write_files(contents: dict[str, bytes], directory: Location) -> list[Location]:
    """Write files by name; a reader sees the old file or the new one, never half of one.

    Raises:
        UserError: the directory can't be written.
    """
    paths = []
    for name, content in contents.items():
        paths.append(directory / name)
        try:
            paths[-1].write(content)
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


def _read_added(run: RunDir, name: str, only: Any = None) -> pa.Table:
    """What analyses have added to this run's table so far; columns that an older version lacked are null."""
    path = run.results / f"{name}.parquet"
    try:
        return pq.read_table(io.BytesIO(path.read()), schema=SCHEMAS[name], filters=only)
    except FileNotFoundError:
        return _table([], SCHEMAS[name])
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"can't read {path}, which remembers refitted layers: {error}; restore it from a copy, or delete it: "
            "they are then refitted again"
        ) from None


def _trial_row(trial: LedgerTrial, spec: RunSpec) -> dict[str, Any]:
    """The columns of ``trials`` that the ledger decides."""
    config = spec.trial_config(trial.method, trial.params)
    return {
        "trial": trial.name,
        "method": trial.method,
        "number": trial.number,
        "state": trial.state.value,
        **config_columns(config),
        "seeds_asked": len(config.seeds),
        "error": trial.error,
    }


def _values_without_record(trial: LedgerTrial) -> dict[str, Any]:
    return {
        "seeds": 0,
        "epochs": len(trial.objectives),
        "objective": trial.objective,
        "started": trial.started.astimezone(UTC) if trial.started else None,
    }
