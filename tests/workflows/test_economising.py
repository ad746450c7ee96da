"""What a run cost, by the command: of every kind of run a sensible answer, or a refusal that says why."""

import pyarrow.parquet as pq
import pytest

from scale_tune.economy.economy_schemas import ECONOMIES
from scale_tune.storage.seal import check_seal
from scale_tune.tables.files import KIND
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

RANDOM = {"methods": {"erm": {}}, "num_samples": 6, "epochs": 4, "sampler": "random", "scheduler": {"name": "none"}}


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch):
    """A figure takes a second, and one test draws it."""
    monkeypatch.setattr("scale_tune.report.economy_figure.policy_figure", lambda panel: {"png": b""})


def made(directory, name="run", *, fail=None, leave_running=None, **options):
    make_run(
        directory, fast_spec(**(RANDOM | options)), made_up=True, name=name, fail=fail, leave_running=leave_running
    )
    return directory / name


def economy(*arguments):
    return call("analyze", "economy", *arguments, "--orders", 50)


def test_the_command_prints_a_table_a_recommendation_and_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.undo()
    run = made(tmp_path, methods={"erm": {}, "erm_target": {"epochs": 6}})
    done = economy(run, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "erm on digits: 50 orders" in done.stdout
    assert "erm_target on digits: 50 orders" in done.stdout
    assert "recommended: " in done.stdout
    assert "  scheduler: {name: " in done.stdout
    assert "a prior, the worst first: of searches of " in done.stdout
    written = run / "results" / "economy"
    assert (
        f"wrote {written}: policies.parquet, fidelity.parquet, budgets.parquet, power.parquet, warm_starts.parquet, pol"
        in done.stdout
    )
    names = [*(f"{name}.parquet" for name in ECONOMIES), *(f"policies.{kind}" for kind in ("pdf", "svg", "png"))]
    assert sorted(file.name for file in written.iterdir()) == sorted(names)
    for name, schema in ECONOMIES.items():
        table = pq.read_table(written / f"{name}.parquet")
        assert table.schema.equals(schema)
        assert all(field.metadata[b"meaning"] for field in table.schema)
        assert table.num_rows > 0 or name == "power", "two seeds tell too little"
        check_seal((written / f"{name}.parquet").read_bytes(), KIND)
    rows = pq.read_table(written / "policies.parquet").to_pandas()
    assert set(rows["workers"]) == {2}
    assert set(rows["orders"]) == {50}
    assert set(rows["method"]) == {"erm", "erm_target"}
    before = (written / "policies.parquet").read_bytes()
    monkeypatch.setattr("scale_tune.report.economy_figure.policy_figure", lambda panel: {})
    economy(run, "--workers", 2)
    assert (written / "policies.parquet").read_bytes() == before, "the same run has the same answer"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"scheduler": {"name": "asha", "reduction_factor": 2}},
            "trials were pruned, and what they would have reached",
        ),
        ({"num_samples": 3}, "3 complete trials are too few; 5 are needed"),
    ],
)
def test_a_run_that_can_not_be_replayed_is_refused_with_the_reason(tmp_path, options, reason):
    run = made(tmp_path, **options)
    done = economy(run)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nothing can be told of this search:\nerm: ")
    assert reason in done.stderr
    assert not (run / "results").exists()


def test_of_a_sampler_that_learns_only_ranks_are_told(tmp_path):
    run = made(tmp_path, sampler="tpe")
    done = economy(run)
    assert done.returncode == 0, done.stderr
    assert "rank correlation" in done.stdout
    assert "recommended" not in done.stdout
    assert "expected after" not in done.stdout
    assert "note: erm: what a smaller search would have found is not known: the sampler tpe drew configs" in done.stdout
    tables = {file.stem: pq.read_table(file).num_rows for file in (run / "results" / "economy").glob("*.parquet")}
    assert tables == {"policies": 0, "fidelity": 4, "budgets": 0, "power": 0, "warm_starts": 0}


def test_of_a_pruned_search_it_is_told_what_tells_its_best_methods_apart(tmp_path):
    asha = {"scheduler": {"name": "asha", "reduction_factor": 2}, "seeds": [0, 1, 2]}
    run = made(tmp_path, methods=["erm", "erm_target"], **asha)
    done = economy(run)
    assert done.returncode == 0, done.stderr
    assert "tells the two apart in" in done.stdout
    assert done.stdout.count("note: ") == 1, "the reason is the same for both methods"
    assert "note: erm" in done.stdout


def test_what_can_be_replayed_is_and_the_rest_is_said(tmp_path):
    points = [{"lr": 0.01 * n, "batch_size": 32} for n in range(1, 4)]
    run = made(
        tmp_path,
        methods={"erm": {}, "erm_target": {"try_first": points}},
        try_first=[{"lr": 0.01 * n, "batch_size": 32} for n in range(1, 8)],
        sampler="points",
        fail="erm-00002",
        leave_running="erm-00004",
    )
    done = economy(run)
    assert done.returncode == 0, done.stderr
    assert "note: erm: left out: 1 failed, 1 not ended" in done.stdout
    assert (
        "note: erm_target: what a smaller search would have found is not known: 3 complete trials are too few"
        in done.stdout
    )


def test_a_grid_over_datasets_is_answered_for_each_as_if_it_were_alone(tmp_path):
    space = {
        "lr": {"type": "choice", "values": [0.01, 0.02, 0.03, 0.04, 0.05]},
        "batch_size": 32,
        "dataset.spurious_strength": {"type": "choice", "values": [0.9, 1.0]},
    }
    run = made(tmp_path, sampler="grid", space=space)
    done = economy(run)
    assert done.returncode == 0, done.stderr
    assert "erm on digits (spurious_strength=0.9)" in done.stdout
    assert "erm on digits (spurious_strength=1)" in done.stdout
    assert len(set(pq.read_table(run / "results/economy/policies.parquet")["dataset"].to_pylist())) == 2


def test_one_method_of_one_seed_is_told_without_standard_errors_and_races(tmp_path):
    run = made(tmp_path, seeds=[7])
    done = economy(run)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(run / "results/economy/policies.parquet").to_pandas()
    assert rows["near"].isna().all()
    assert not rows["race"].any()
    assert "race of seeds" not in done.stdout


def test_several_runs_are_written_below_one_directory(tmp_path):
    runs = [made(tmp_path / "runs", name) for name in ("a", "b")]
    done = economy(*runs, "--export", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    # Both have drawn the same configs, since their search spaces are the same.
    assert "a prior, the best of b first: of searches of 3 trials" in done.stdout
    starts = pq.read_table(tmp_path / "out" / "a" / "warm_starts.parquet")["start"].to_pylist()
    assert starts == ["no prior", "the best first", "the worst first", "b"]
    for name in ("a", "b"):
        assert pq.read_table(tmp_path / "out" / name / "policies.parquet")["run"].to_pylist()[0] == name
    assert not (runs[0] / "results").exists()


def test_an_edited_table_is_not_replaced(tmp_path):
    run = made(tmp_path)
    economy(run)
    table = run / "results" / "economy" / "policies.parquet"
    table.write_bytes(table.read_bytes()[:-20] + b"?" * 20)
    done = economy(run)
    assert done.returncode == 2
    assert "policies.parquet is not as analyze.py wrote it" in done.stderr
