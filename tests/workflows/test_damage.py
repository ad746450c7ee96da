"""What is damaged in a run is one clear error, and nothing is written over what is whole."""

import json
import shutil

import pytest
import yaml

from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import check_covers
from scale_tune.storage.location import Location, write_atomically
from scale_tune.storage.lock import only_analysis
from scale_tune.storage.rundir import RECORD_FILE, RunDir
from scale_tune.tables import collect as results
from scale_tune.workflows.evaluate import check_runs, evaluate
from tests.support.runs import fast_spec, make_run

SPEC = {
    "space": {"lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}, "batch_size": 32, "momentum": 0.7},
    "num_samples": 2,
    "epochs": 2,
    "scheduler": {"name": "none"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunDir:
    run = make_run(tmp_path_factory.mktemp("runs"), fast_spec(**SPEC), made_up=True)
    analyse(run)
    return run


@pytest.fixture
def run(made, tmp_path) -> RunDir:
    shutil.copytree(made.path.local, tmp_path / "run")
    return RunDir(tmp_path / "run")


def analyse(run: RunDir, export: Location | None = None):
    return evaluate([run], (), export, lambda line: None)


def record(run: RunDir, trial: str):
    return run.trial(trial).local / RECORD_FILE


def cut(run: RunDir) -> None:
    """The last trial of each method is gone: their lines come last."""
    lines = run.ledger.read_text().splitlines(keepends=True)
    run.ledger.write_text("".join(lines[: len(lines) // 2]))


def other_record(run: RunDir) -> None:
    shutil.copy(record(run, "erm-00001"), record(run, "erm-00000"))


def no_seeds(run: RunDir) -> None:
    path = record(run, "erm-00000")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"replicas": []}))


def better(run: RunDir) -> None:
    """Somebody liked another accuracy better."""
    path = record(run, "erm-00000")
    content = json.loads(path.read_text())
    content["record"]["replicas"][0]["best"]["test"]["worst_group"] = 0.99
    path.write_text(json.dumps(content, indent=1))


def in_spec(run: RunDir, change) -> None:
    content = yaml.safe_load(run.spec.local.read_text())
    change(content)
    run.spec.local.write_text(yaml.safe_dump(content))


def another_constant(content: dict) -> None:
    assert content["spec"]["space"]["momentum"]["value"] == 0.7
    content["spec"]["space"]["momentum"]["value"] = 0.8


def without_a_format(content: dict) -> None:
    """As runs were before their files held digests."""
    del content["format"], content["id"]


def become_directory(path) -> None:
    path.unlink()
    path.mkdir()


def results_as_a_file(run: RunDir) -> None:
    shutil.rmtree(run.results.local)
    run.results.local.write_text("")


def append(run: RunDir, text: str) -> None:
    with run.ledger.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda run: run.ledger.write_text(""), r"has been cut: it lacks 4 trials", id="an empty ledger"),
        pytest.param(cut, r"has been cut: it lacks \d trials that were trained \(erm", id="a cut ledger"),
        pytest.param(lambda run: append(run, '{"op_code": 99}\n'), "ledger.log can't be read", id="an unknown line"),
        pytest.param(lambda run: become_directory(run.ledger), "there is no ledger", id="a directory as the ledger"),
        pytest.param(lambda run: run.spec.local.write_bytes(b"\xff\xfe"), "can't read .*spec.yaml", id="spec of bytes"),
        pytest.param(other_record, "erm-00000 holds the record of erm-00001", id="another's record"),
        pytest.param(no_seeds, "erm-00000/record.json is damaged", id="a record of no seed"),
        pytest.param(better, r"erm-00000/record.json is damaged .*edited", id="an edited accuracy"),
        pytest.param(
            lambda run: in_spec(run, another_constant),
            "by the ledger the momentum is 0.8, by the record 0.7",
            id="an edited spec",
        ),
        pytest.param(
            lambda run: in_spec(run, without_a_format),
            r"was made by another scale-tune.*, whose files .*search the same anew by",
            id="a run from before",
        ),
        pytest.param(
            lambda run: (run.results.local / "dfr.parquet").write_bytes(b"PAR1 torn"),
            "dfr.parquet is not as analyze.py wrote it.* or delete it: the table is then made again",
            id="a torn table of refits",
        ),
        pytest.param(results_as_a_file, "results", id="results that are a file"),
    ],
)
def test_damage_is_one_clear_error_and_the_tables_stay(run, damage, message):
    damage(run)
    tables = {path: path.read_bytes() for path in run.path.local.glob("results/trials.*")}
    with pytest.raises(UserError, match=message):
        analyse(run)
    assert {path: path.read_bytes() for path in run.path.local.glob("results/trials.*")} == tables


def test_what_is_no_trial_beside_the_trials_is_nobodys_business(run):
    before = results.load_results(run.path)["trials"]
    shutil.copytree(run.trial("erm-00000").local, run.trials.local / "erm-00000-copy")
    assert results.load_results(run.path)["trials"].equals(before)


def test_a_search_does_not_go_on_with_a_ledger_that_was_cut(run):
    names = run.trials.names_below()
    check_covers(run.ledger, Ledger(run.ledger, run.read_spec()).trials(), names)
    run.ledger.write_text("")
    with pytest.raises(UserError, match="has been cut"):
        check_covers(run.ledger, Ledger(run.ledger, run.read_spec()).trials(), names)


def test_a_record_that_is_gone_is_said_to_be(run):
    record(run, "erm-00000").unlink()
    found = analyse(run)
    gone = [note for note in found.notes if "1 complete, but without its record (record.json is gone)" in note]
    assert len(gone) == 1
    assert not any("a seed diverged" in note for note in found.notes)


def test_tables_do_not_go_where_another_run_keeps_its_own(run, made):
    with pytest.raises(UserError, match="holds the tables of the run"):
        check_runs([run], made.results)
    check_runs([run], run.results)
    check_runs([run], run.path.parent / "results")


def test_a_run_and_its_confirmation_are_one(run, made):
    shutil.copytree(made.path.local, run.path.local / "confirm")
    with pytest.raises(UserError, match="leave it out"):
        check_runs([run, RunDir(run.path / "confirm")], None)
    check_runs([RunDir(run.path / "confirm")], None)


def test_one_analysis_of_a_run_at_a_time(run):
    with only_analysis(run), pytest.raises(UserError, match="already being analysed by another process"):
        analyse(run)
    analyse(run)


def test_a_file_does_not_take_the_place_of_what_is_no_file(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        write_atomically(tmp_path, b"")
