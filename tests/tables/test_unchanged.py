"""Repeated exports read only what is new, and never tell anything that has changed since."""

import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.storage.rundir import RECORD_FILE, RunDir
from scale_tune.tables import collect as results
from scale_tune.tables import run_schemas
from scale_tune.tables import unchanged as exported
from scale_tune.tables.files import of_run, write_tables
from scale_tune.tables.refits import with_refits
from scale_tune.tables.schemas import table_of
from scale_tune.training.trialdir import close_trial, drop_weights, read_final_record
from tests.support.records import made_up_record
from tests.support.runs import fast_spec, make_run

SPEC = {"methods": ["erm_target", "scale"], "num_samples": 3, "epochs": 2, "scheduler": {"name": "none"}}


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = make_run(tmp_path, fast_spec(**SPEC), made_up=True, fail="scale-00001", leave_running="scale-00002")
    export(run)
    return run


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The trials whose records are read from now on."""
    names = []
    original = results.agreed_record

    def agreed_record(directory, *arguments):
        names.append(directory.name)
        return original(directory, *arguments)

    monkeypatch.setattr(results, "agreed_record", agreed_record)
    return names


def export(run: RunDir) -> dict[str, pa.Table]:
    tables = results.collect(run)
    write_tables(of_run(run, tables), run.results)
    return tables


def read_afresh(run: RunDir) -> dict[str, pa.Table]:
    """The tables as they are without an earlier export."""
    hidden = run.results.local.rename(run.path.local / "hidden")
    try:
        return results.collect(run)
    finally:
        hidden.rename(run.results.local)


def assert_equal(found: dict[str, pa.Table], expected: dict[str, pa.Table]) -> None:
    for name, table in expected.items():
        assert found[name].equals(table), name


def change(run: RunDir, name: str, **fields) -> None:
    record = read_final_record(run.trial(name))
    close_trial(run.trial(name), record.model_copy(update=fields))


def test_records_of_ended_trials_are_read_once(run, read):
    expected = read_afresh(run)
    assert len(read) == 6
    read.clear()
    assert_equal(results.collect(run), expected)
    assert set(read) == {"scale-00001", "scale-00002"}, "the failed one has no record; the other one is running"


def test_a_record_that_was_replaced_is_read_again_and_no_other(run, read):
    change(run, "erm_target-00001", node="another")
    found = results.collect(run)
    assert found["trials"].to_pandas().set_index("trial").loc["erm_target-00001", "node"] == "another"
    assert set(read) == {"erm_target-00001", "scale-00001", "scale-00002"}
    assert_equal(found, read_afresh(run))


def test_a_record_that_is_gone_takes_its_rows_with_it(run):
    (run.trial("erm_target-00000") / RECORD_FILE).delete()
    found = results.collect(run)
    assert "erm_target-00000" not in found["epochs"]["trial"].to_pylist()
    assert_equal(found, read_afresh(run))


def test_weights_that_were_dropped_are_no_longer_told(run):
    directory = run.trial("scale-00000")
    (directory / "seed-0.safetensors").write(b"")
    assert export(run)["trials"].to_pandas().set_index("trial").loc["scale-00000", "checkpoint"] == "trials/scale-00000"
    drop_weights(directory)
    assert_equal(results.collect(run), read_afresh(run))
    assert results.collect(run)["trials"]["checkpoint"].null_count == 6


def test_trials_that_ended_since_are_added_in_the_order_of_the_ledger(run, read):
    ledger = Ledger(run.ledger, run.read_spec())
    issued = ledger.next_trial()
    record = made_up_record(issued.name, run.read_spec().trial_config(issued.method, issued.params))
    ledger.report(issued.name, record.objectives(), finished=True)
    close_trial(run.trial(issued.name), record)
    ledger.complete(issued.name)
    found = export(run)
    assert_equal(found, read_afresh(run))
    assert found["trials"]["trial"].to_pylist() == sorted(found["trials"]["trial"].to_pylist())
    read.clear()
    results.collect(run)
    assert read == ["scale-00001"]


def path_of(run: RunDir, name: str) -> Path:
    return run.results.local / f"{name}.parquet"


def rewrite(run: RunDir, name: str, changed) -> None:
    """Change a table and keep what its metadata say."""
    table = pq.read_table(path_of(run, name))
    pq.write_table(changed(table).replace_schema_metadata(table.schema.metadata), path_of(run, name))


def best_one(table: pa.Table) -> pa.Table:
    """A number that its reader liked better."""
    column = next(name for name in ("objective", "loss", "value", "correct") if name in table.column_names)
    values = [table[column].type.to_pandas_dtype()(1), *table[column].to_pylist()[1:]]
    edited = pa.array(values, table[column].type)
    return table.set_column(table.column_names.index(column), table.schema.field(column), edited)


SPOILED = {
    "a number edited": lambda run, name: rewrite(run, name, best_one),
    "first row removed": lambda run, name: rewrite(run, name, lambda table: table.slice(1)),
    "sorted": lambda run, name: rewrite(run, name, lambda table: table.sort_by([("trial", "descending")])),
    "written again": lambda run, name: rewrite(run, name, lambda table: table),
    "torn": lambda run, name: path_of(run, name).write_bytes(path_of(run, name).read_bytes()[:-100]),
    "another table": lambda run, name: pd.DataFrame({"a": [1]}).to_parquet(path_of(run, name)),
}


@pytest.mark.parametrize(("name", "how"), list(product(["trials", "epochs", "diagnostics", "groups", "dfr"], SPOILED)))
def test_a_table_that_is_not_as_it_was_written_is_neither_believed_nor_replaced(run, name, how):
    tables = results.collect(run)
    row = table_of([REFIT], run_schemas.DFR)
    write_tables(of_run(run, tables | {"dfr": row}), run.results)
    if name == "dfr" and how == "a number edited":
        rewrite(run, name, lambda table: table.set_column(1, "seed", pa.array([7])))
    else:
        SPOILED[how](run, name)
    spoiled = path_of(run, name).read_bytes()
    with pytest.raises(UserError, match=rf"{name}.parquet is not as analyze.py wrote it.*move it away to keep it"):
        results.collect(run)
    with pytest.raises(UserError, match=rf"{name}.parquet is not as analyze.py wrote it"):
        write_tables(tables, run.results)
    assert path_of(run, name).read_bytes() == spoiled
    path_of(run, name).unlink()
    assert_equal(results.collect(run), tables | ({} if name == "dfr" else {"dfr": row}))


def test_tables_of_another_run_are_not_believed(run, tmp_path):
    other = make_run(tmp_path, fast_spec(**SPEC), made_up=True, name="other")
    export(other)
    for name in ("trials", "dfr"):
        shutil.copy(path_of(other, name), path_of(run, name))
        with pytest.raises(UserError, match=rf"{name}.parquet is of another run; move it away"):
            results.collect(run)
        path_of(run, name).unlink()
        export(run)


def test_a_table_under_the_name_of_another_is_not_believed(run):
    shutil.copy(path_of(run, "diagnostics"), path_of(run, "dfr"))
    with pytest.raises(UserError, match=r"dfr.parquet holds the table diagnostics; move it away"):
        results.collect(run)


def test_the_rows_of_a_trial_of_which_the_ledger_says_something_else_now_are_not_taken(run, monkeypatch):
    original = results.read_trials
    edited = [
        replace(trial, params=trial.params | {"lr": 0.5}) if trial.name == "scale-00000" else trial
        for trial in original(run.ledger)
    ]
    monkeypatch.setattr(results, "read_trials", lambda where: edited)
    with pytest.raises(UserError, match=r"ledger .* and the record in .*scale-00000 disagree: by the ledger the lr is"):
        results.collect(run)


REFIT = {"trial": "erm_target-00000", "seed": 0, "features": "erm", "protocol": "scale", "fingerprint": "made up"}
PRETRAINED = REFIT | {"trial": None, "seed": None, "features": "pretrained"}


def add_refits(run: RunDir) -> pa.Table:
    cell = {"split": "test", "label": 0, "attribute": 0, "aligned": True, "evaluation_group": "aligned", "n": 9}
    rows = table_of([key | cell | {"correct": 4, "accuracy": 4 / 9} for key in (REFIT, PRETRAINED)], run_schemas.GROUPS)
    tables = results.collect(run)
    write_tables(of_run(run, tables | {"groups": with_refits(tables["groups"], rows)}), run.results)
    return rows


def test_refits_stay_in_groups_after_the_trials_whatever_is_exported(run, read):
    expected = read_afresh(run)
    rows = add_refits(run)
    for _ in range(2):
        found = export(run)
        assert_equal(found, expected | {"groups": pa.concat_tables([expected["groups"], rows])})
    read.clear()
    results.collect(run)
    assert set(read) == {"scale-00001", "scale-00002"}, "the trials' rows are still taken from the tables"
    change(run, "erm_target-00001", node="another")
    assert refits_in(export(run)) == rows.to_pylist()


def refits_in(tables: dict[str, pa.Table]) -> list[dict]:
    return [row for row in tables["groups"].to_pylist() if row["protocol"] is not None]


def test_refits_are_found_also_where_the_rest_of_the_file_is_not_used(run, monkeypatch):
    rows = add_refits(run)
    fields = [f.with_metadata({"meaning": "another", "unit": ""}) for f in run_schemas.GROUPS]
    monkeypatch.setitem(run_schemas.OF_RECORDS, "groups", pa.schema(fields, metadata=run_schemas.GROUPS.metadata))
    assert refits_in(results.collect(run)) == rows.to_pylist()


def test_tables_of_another_version_are_not_used(run, read, monkeypatch):
    fields = [
        f if f.name != "loss" else f.with_metadata({"meaning": "another", "unit": ""}) for f in run_schemas.EPOCHS
    ]
    monkeypatch.setitem(run_schemas.OF_RECORDS, "epochs", pa.schema(fields, metadata=run_schemas.EPOCHS.metadata))
    results.collect(run)
    assert len(read) == 6


def test_what_is_not_asked_for_is_not_taken(run):
    assert exported.read_unchanged(run, {"epochs": run_schemas.EPOCHS}, {"scale-00000": None, "no-trial": "1"}) == {}
