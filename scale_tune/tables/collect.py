"""Tidy tables of a run: from the ledger and the trials' records to parquet and pandas.

Every trial of the ledger is in ``trials``, also failed ones and ones without a result. The schemas are fixed; each
column's unit and meaning are in the metadata of the parquet files' fields.
"""

from collections.abc import Collection
from datetime import UTC
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from scale_tune.ledger.asked_for import check_asked_for
from scale_tune.ledger.studies import LedgerTrial, check_covers, read_trials
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RECORD_FILE, RunDir
from scale_tune.tables.columns import Columns, diagnostic_columns, epoch_columns, group_columns, trial_values
from scale_tune.tables.config_columns import config_columns
from scale_tune.tables.files import read_results
from scale_tune.tables.refits import IS_REFIT, with_refits
from scale_tune.tables.run_schemas import ADDED, OF_RECORDS, SCHEMAS, trials_schema
from scale_tune.tables.schemas import table_of
from scale_tune.tables.unchanged import Joining, read_unchanged
from scale_tune.training.agreement import agreed_record
from scale_tune.training.trialdir import is_features, is_weights

_LONG = {"epochs": epoch_columns, "diagnostics": diagnostic_columns, "groups": group_columns}
"""Those that have many rows of a trial, and what makes them from its record."""


def load_results(run_dir: str | Path | Location) -> dict[str, pd.DataFrame]:
    """The tables of a run as they are now, also while it is searched.

    Returns:
        Data frames by name: ``trials``, ``epochs``, ``diagnostics``, ``groups``, ``dfr``, ``dfr_path``. Their columns
        are explained in the parquet files that ``analyze.py`` writes.

    Raises:
        UserError: this is not the directory of a run, or what it holds is damaged.
    """
    return {name: table.to_pandas() for name, table in collect(RunDir(run_dir)).items()}


def collect(run: RunDir) -> dict[str, pa.Table]:
    """All tables from the ledger, the records, and what analyses have added.

    Records of ended trials are read once: afterwards their rows are taken from the tables in the run's ``results``,
    see :mod:`scale_tune.tables.unchanged`.
    """
    spec = run.read_spec()
    of_records = OF_RECORDS | {"trials": trials_schema(spec)}
    # Before the ledger is read, which may be growing. And stamps are taken before records are read: if one is
    # replaced in between, it is read again next time.
    files = run.trials.names_below()
    ledger = read_trials(run.ledger)
    check_covers(run.ledger, ledger, files)
    check_asked_for(run.spec, spec, ledger)
    stamps = {trial.name: files.get(trial.name, {}).get(RECORD_FILE) for trial in ledger}
    unchanged = read_unchanged(run, of_records, stamps)
    joining = {name: Joining(schema) for name, schema in of_records.items()}
    for trial in ledger:
        known = unchanged.get(trial.name)
        for name, rows in _tables_of(trial, known, spec, run, of_records, files.get(trial.name, {})).items():
            joining[name].add(trial.name, stamps[trial.name], rows)
    tables = {name: of_name.table() for name, of_name in joining.items()}
    tables["groups"] = with_refits(tables["groups"], _read_added(run, "groups", IS_REFIT))
    return tables | {name: _read_added(run, name) for name in ADDED}


def _tables_of(
    trial: LedgerTrial,
    known: dict[str, pa.Table] | None,
    spec: RunSpec,
    run: RunDir,
    schemas: dict[str, pa.Schema],
    files: Collection[str],
) -> dict[str, pa.Table]:
    """A trial's rows of the tables, from its record or from what is known of it, if the ledger still says the same."""
    config = spec.trial_config(trial.method, trial.params)
    values = None if known is None else known["trials"].to_pylist()[0]
    if known is not None and values is not None and _agrees(values, trial, config):
        tables = {name: known[name] for name in _LONG}
    else:
        record = agreed_record(run.trial(trial.name), config, trial.final_objectives, run.ledger)
        values = trial_values(record) if record else _values_without_record(trial)
        tables = {
            name: _part(trial.name, columns_of(record) if record else {}, schemas[name])
            for name, columns_of in _LONG.items()
        }
    row = values | _trial_row(trial, config)
    for column, holds in (("checkpoint", is_weights), ("features", is_features)):
        row[column] = f"trials/{trial.name}" if any(map(holds, files)) else None
    return {"trials": table_of([row], schemas["trials"]), **tables}


def _part(trial: str, columns: Columns, schema: pa.Schema) -> pa.Table:
    """One trial's rows of a table."""
    if not columns:
        return schema.empty_table()
    rows = len(columns["seed"])
    whole = {name: columns.get(name, [None] * rows) for name in schema.names}
    return pa.Table.from_pydict(whole | {"trial": [trial] * rows}, schema=schema)


def _read_added(run: RunDir, name: str, only: Any = None) -> pa.Table:
    """What analyses have added to this run's table so far; columns that an older version lacked are null."""
    found = read_results(run, name, SCHEMAS[name], only)
    return table_of([], SCHEMAS[name]) if found is None else found


def _agrees(values: dict[str, Any], trial: LedgerTrial, config: TrialConfig) -> bool:
    """Whether a trial's row is of what the ledger says of it now; its record is read otherwise."""
    said = {**config_columns(config), "epochs": len(trial.objectives), "objective": trial.objective}
    return all(values[name] == value for name, value in said.items())


def _trial_row(trial: LedgerTrial, config: TrialConfig) -> dict[str, Any]:
    """The columns of ``trials`` that the ledger decides."""
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
