"""The tables of real runs agree with the ledger, with each other, and with what they say of themselves."""

import json

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scale_tune import datasets
from scale_tune.accuracies import ACCURACIES
from scale_tune.datasets.groups import GroupCounts
from scale_tune.errors import UserError
from scale_tune.ledger.studies import read_trials
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables import collect as results
from scale_tune.tables import run_schemas, unchanged
from scale_tune.tables.files import write_tables
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import read_final_record
from tests.conftest import DEVICE
from tests.support.runs import fast_spec, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), fast_spec(), fail="erm-00001", leave_running="erm_target-00000")


@pytest.fixture(scope="module")
def tables(run):
    return results.load_results(run.path)


def test_every_trial_of_the_ledger_has_one_row(run, tables):
    ledger = read_trials(run.ledger)
    trials = tables["trials"]
    assert trials["trial"].tolist() == [t.name for t in ledger]
    assert trials["state"].tolist() == [t.state.value for t in ledger]
    assert set(trials["state"]) == {"complete", "pruned", "failed", "running"}
    for row, trial in zip(trials.to_dict("records"), ledger, strict=True):
        assert row["config.lr"] == trial.params["lr"]
        assert row["epochs"] == len(trial.objectives)
        assert pd.isna(row["objective"]) if trial.objective is None else row["objective"] == trial.objective


def test_a_failed_trial_has_its_traceback(tables):
    failed = tables["trials"].set_index("trial").loc["erm-00001"]
    assert failed["error"].startswith("Traceback")
    assert failed["seeds"] == 0
    assert np.isnan(failed["val_worst_group_mean"])


def test_a_checkpoint_ahead_of_the_ledger_gives_tables_that_agree(tmp_path):
    spec = fast_spec(methods=["erm_target"], num_samples=1)
    run = make_run(tmp_path, spec, leave_running="erm_target-00000")
    trial = read_trials(run.ledger)[0]
    config = spec.trial_config(trial.method, trial.params)
    ahead = Trial(trial.name, config, datasets.splits_by_seed(config), DEVICE, run.trial(trial.name))
    ahead.train_epoch()  # and its driver dies before it hears of it
    tables = results.load_results(run.path)
    (row,) = tables["trials"].to_dict("records")
    assert (row["epochs"], row["objective"]) == (2, ahead.record.objectives()[-1])
    assert tables["epochs"]["epoch"].max() == 2


def test_epochs_have_every_epoch_once_and_without_a_gap(tables):
    epochs, trials = tables["epochs"], tables["trials"].set_index("trial")
    assert not epochs.duplicated(["trial", "seed", "epoch", "split"]).any()
    for (trial, _, _), rows in epochs.groupby(["trial", "seed", "split"]):
        assert rows["epoch"].tolist() == list(range(1, trials.loc[trial, "epochs"] + 1))


def test_diagnostics_are_what_the_records_say(tmp_path):
    run = make_run(tmp_path, fast_spec(methods=["erm", "scale"], num_samples=1, epochs=2), made_up=True)
    table = results.load_results(run.path)["diagnostics"]
    record = read_final_record(run.trial("scale-00000"))
    expected = [
        ("scale-00000", replica.seed, epoch.epoch, "cosine", epoch.diagnostics["cosine"])
        for replica in record.replicas
        for epoch in replica.history
    ]
    assert list(table.itertuples(index=False, name=None)) == expected
    assert len(expected) == 4


def test_the_objective_is_the_mean_of_each_seeds_best_validation_worst_group(tables):
    val = tables["epochs"].query("split == 'val'")
    best = val.groupby(["trial", "seed"])["worst_group"].max().groupby("trial").mean()
    measured = tables["trials"].dropna(subset="objective").set_index("trial")["objective"]
    pd.testing.assert_series_equal(best, measured, check_names=False)


def test_the_best_epochs_numbers_recomputed_from_groups_equal_those_in_trials(tables):
    trials = tables["trials"].set_index("trial")
    groups = datasets.load_dataset("digits").info.groups
    recomputed = {}
    for (trial, split, seed), rows in tables["groups"].groupby(["trial", "split", "seed"]):
        n, correct = (rows.pivot(index="label", columns="attribute", values=v).to_numpy() for v in ("n", "correct"))
        counts = GroupCounts(n=n, correct=correct, groups=groups)
        recomputed[trial, split, seed] = counts.summary()
    for split, states in (("val", {"complete", "pruned", "running"}), ("test", {"complete"})):
        for trial, row in trials.iterrows():
            seeds = [v for (t, s, _), v in recomputed.items() if (t, s) == (trial, split)]
            assert bool(seeds) == (row["state"] in states)
            for name in ACCURACIES:
                if seeds:
                    values = [seed[name] for seed in seeds]
                    assert row[f"{split}_{name}_mean"] == pytest.approx(np.mean(values))
                    assert row[f"{split}_{name}_std"] == pytest.approx(np.std(values, ddof=1))
                else:
                    assert np.isnan(row[f"{split}_{name}_mean"])


def test_groups_are_of_the_first_best_epoch(tables):
    val = tables["epochs"].query("split == 'val'")
    first_best = val.loc[val.groupby(["trial", "seed"])["worst_group"].idxmax()].set_index(["trial", "seed"])["epoch"]
    of_groups = tables["groups"].groupby(["trial", "seed"])["epoch"].agg(["min", "max"])
    assert (of_groups["min"] == of_groups["max"]).all()
    pd.testing.assert_series_equal(of_groups["min"], first_best, check_names=False)


def test_only_completed_trials_keep_weights(run, tables):
    for row in tables["trials"].to_dict("records"):
        assert (row["state"] == "complete") == isinstance(row["checkpoint"], str)
        if row["state"] == "complete":
            assert (run.path / row["checkpoint"] / "seed-0.safetensors").is_file()


@pytest.mark.parametrize("name", run_schemas.SCHEMAS)
def test_schemas_are_fixed_and_explain_themselves(run, tmp_path, name):
    write_tables(results.collect(run), Location.of(tmp_path))
    schema = pq.read_schema(tmp_path / f"{name}.parquet")
    assert schema.equals(run_schemas.SCHEMAS[name])
    assert schema.metadata[b"rows"]
    for field in schema:
        assert field.metadata[b"meaning"]
        assert b"unit" in field.metadata


def test_accuracies_and_times_state_their_units():
    for name in ("val_worst_group_mean", "test_average_std", "objective"):
        assert run_schemas.TRIALS.field(name).metadata[b"unit"] == b"fraction"
    assert run_schemas.EPOCHS.field("seconds").metadata[b"unit"] == b"s"


def test_an_empty_run_has_empty_tables_of_the_same_schemas(tmp_path):
    run = create_run(Location.of(tmp_path), "empty", fast_spec(), {})
    for name, table in results.collect(run).items():
        assert table.num_rows == 0
        assert table.schema.equals(run_schemas.SCHEMAS[name])


def test_duckdb_reads_the_tables(run, tmp_path):
    write_tables(results.collect(run), Location.of(tmp_path))
    query = f"""
        select method, max(objective) as best
        from '{tmp_path}/trials.parquet' where state != 'failed' group by method order by method
    """
    expected = [(m, r["objective"].max()) for m, r in results.load_results(run.path)["trials"].groupby("method")]
    assert duckdb.sql(query).fetchall() == expected


def test_a_table_is_written_whole_or_not_at_all(run, tmp_path, monkeypatch):
    write_tables(results.collect(run), Location.of(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="can't write .*trials.parquet.*No space left"):
        write_tables(results.collect(run), Location.of(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_of_something_else_is_refused(tmp_path):
    with pytest.raises(UserError, match="not the directory of a run"):
        results.load_results(tmp_path)
    with pytest.raises(UserError, match="not the directory of a run"):
        results.load_results(tmp_path / "absent")
    run = create_run(Location.of(tmp_path), "started", fast_spec(), {})
    assert results.load_results(run.path)["trials"].empty
    run.ledger.unlink()
    with pytest.raises(UserError, match="there is no ledger"):
        results.load_results(run.path)
    (tmp_path / "spec.yaml").write_text("a: 1")
    with pytest.raises(UserError, match="is not the spec of a run"):
        RunDir(tmp_path).read_spec()


def test_trials_say_what_they_were_told_and_how_they_were_prepared(tmp_path):
    methods = {"erm": {}, "group_dro": {"space": {"with_target": True}}, "scale": {}}
    run = make_run(tmp_path, fast_spec(methods=methods, num_samples=1), made_up=True, fail="scale-00000")
    trials = results.load_results(run.path)["trials"].set_index("method")
    columns = ["preparation", "labels_of", "attributes_of", "train_n", "target_n", "val_n"]
    assert trials.loc["erm", columns].tolist() == [0, "train", "none", 4000, 400, 1000]
    assert trials.loc["group_dro", columns[:3]].tolist() == [0, "train, target", "train, target"]
    assert trials.loc["scale", columns].isna().all(), "it has no record"


def test_rows_that_are_put_together_on_the_way_stay_in_order(monkeypatch):
    monkeypatch.setattr(unchanged, "TOGETHER", 2)
    schema = pa.schema([pa.field("n", pa.int64())], metadata={"name": "numbers"})
    joining = unchanged.Joining(schema)
    for trial, rows in enumerate([[0], [1, 2], [], [3], [4, 5]]):
        joining.add(f"erm-{trial}", "stamp", pa.table({"n": rows}, schema=schema))
    table = joining.table()
    assert table["n"].to_pylist() == [0, 1, 2, 3, 4, 5]
    told = json.loads(table.schema.metadata[unchanged.KEY])["trials"]
    assert told == [[f"erm-{trial}", "stamp", rows] for trial, rows in enumerate([1, 2, 0, 1, 2])]
