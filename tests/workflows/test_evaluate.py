"""Runs from their directories to one comparison, and what is written where."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from scale_tune.accuracies import ACCURACIES
from scale_tune.analysis.comparison import compare
from scale_tune.errors import UserError
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables import collect as results
from scale_tune.tables import run_schemas
from scale_tune.tables.schemas import COMPARISONS
from scale_tune.workflows.evaluate import evaluate
from tests.support.runs import fast_spec, make_run

COMPARISON_FILES = {"comparison.parquet", "comparison.csv", "comparison.tex", "differences.parquet", "differences.csv"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return [
        make_run(tmp_path_factory.mktemp("one") / "x", fast_spec(methods=["erm_target"]), made_up=True),
        make_run(tmp_path_factory.mktemp("two") / "x", fast_spec(methods=["scale"], num_samples=1), made_up=True),
    ]


def silent(line: str) -> None:
    pass


def test_several_runs_make_one_comparison(runs, tmp_path):
    found = evaluate(runs, (), Location.of(tmp_path), silent)
    assert set(found.comparison["method"]) == {"erm_target", "scale"}
    names = [run.name for run in found.runs]
    assert set(found.comparison["run"]) == set(names)
    assert len(found.differences) == len(ACCURACIES)
    written = {str(path.local.relative_to(tmp_path)) for path in found.written}
    tables = {f"{name}/{table}.parquet" for name in names for table in run_schemas.SCHEMAS}
    assert written == tables | COMPARISON_FILES
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == written


def test_the_files_hold_the_comparison(runs, tmp_path):
    found = evaluate(runs[:1], (), Location.of(tmp_path), silent)
    for name, schema in COMPARISONS.items():
        assert pq.read_schema(tmp_path / f"{name}.parquet").equals(schema, check_metadata=True)
    expected = found.comparison
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "comparison.parquet"), expected)
    read = pd.read_csv(tmp_path / "comparison.csv", keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(read, expected, check_dtype=False)


def test_one_run_has_its_comparison_beside_its_tables(runs):
    found = evaluate(runs[:1], (), None, silent)
    assert {path.parent for path in found.written} == {runs[0].results}
    assert set(runs[0].results.names()) > COMPARISON_FILES


def test_several_runs_write_no_comparison_unless_told_where(runs):
    found = evaluate(runs, (), None, silent)
    assert {path.name for path in found.written} == {f"{name}.parquet" for name in run_schemas.SCHEMAS}


def test_csv_holds_what_parquet_holds(runs, tmp_path):
    evaluate(runs[:1], (), Location.of(tmp_path), silent, "csv")
    assert {path.name for path in tmp_path.glob("*.csv")} >= {f"{name}.csv" for name in run_schemas.SCHEMAS}
    assert not (tmp_path / "trials.parquet").exists()
    for name, table in results.load_results(runs[0].path).items():
        read = pd.read_csv(tmp_path / f"{name}.csv", parse_dates=["started"] if name == "trials" else [])
        # CSV has one kind of nothing, pandas has three.
        empty = table.columns[table.isna().all()]
        assert read[empty].isna().all(axis=None)
        pd.testing.assert_frame_equal(read.drop(columns=empty), table.drop(columns=empty), check_dtype=False)


def test_the_same_run_twice_is_refused(runs, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(runs[0].path.local)
    with pytest.raises(UserError, match="is given twice"):
        evaluate([runs[0], RunDir(link)], (), None, silent)


def test_a_run_that_has_not_begun_is_an_empty_comparison_with_notes(tmp_path):
    found = evaluate([create_run(Location.of(tmp_path), "new", fast_spec(), {})], (), None, silent)
    assert found.comparison.empty
    assert compare(found.runs).empty
    assert found.notes[0] == "the run has no trials yet"
    assert (tmp_path / "new" / "results" / "comparison.tex").exists()
