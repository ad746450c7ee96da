"""What a command says of itself when it is to run as a job on a cluster."""

import pytest
import typer
from typer.testing import CliRunner

from scale_tune.cli import analyze as analyze_module
from scale_tune.cli import tune as tune_module
from scale_tune.cli.as_job import run_as_job
from tests.conftest import REPOSITORY

DIGITS = REPOSITORY / "search_spaces" / "digits.yaml"
ADDRESS = "http://head:8265"


@pytest.fixture
def submitted(monkeypatch):
    """What the commands would submit, by calls."""
    calls = []

    def note(address, **job):
        calls.append({"address": address} | job)
        return 4

    monkeypatch.setattr(tune_module, "run_as_job", note)
    monkeypatch.setattr(analyze_module, "run_as_job", note)
    return calls


def invoke(app: typer.Typer, *words: object, **environment: str) -> int:
    result = CliRunner().invoke(app, [*map(str, words)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code


def test_a_launch_is_what_was_given_without_the_address_and_with_a_name(submitted):
    words = [DIGITS, f"--address={ADDRESS}", "--storage=/runs", "--set", "space.lr=1e-2", "--set", "epochs=3"]
    assert invoke(tune_module.tune_app, *words, "--gpus-per-trial", 0, "--set", "space.lr=0.1") == 4
    (job,) = submitted
    name = job["arguments"][job["arguments"].index("--name") + 1]
    assert job["arguments"] == [
        DIGITS, "--name", name, "--storage", "/runs", "--gpus-per-trial", "0.0",
        "--set", "space.lr=1e-2", "--set", "epochs=3", "--set", "space.lr=0.1",
    ]  # fmt: skip
    assert name.startswith("digits-2")
    assert (job["works_on"], job["paths"], job["once"]) == (f"/runs/{name}", {"--storage": ["/runs"]}, True)
    assert job["address"] == ADDRESS


def test_earlier_runs_are_the_clusters_and_are_read_there(submitted):
    words = [DIGITS, f"--address={ADDRESS}", "--storage=/runs", "--prior", "/runs/a,s3://lab/b", "--name", "c"]
    assert invoke(tune_module.tune_app, *words) == 4
    (job,) = submitted
    assert job["arguments"] == [DIGITS, "--name", "c", "--storage", "/runs", "--prior", "/runs/a,s3://lab/b"]
    assert job["paths"] == {"--storage": ["/runs"], "--prior": ["/runs/a", "s3://lab/b"]}


@pytest.mark.parametrize("words", [["--address", ADDRESS, "--storage", "/runs"], ["--dry-run"], ["--prepare"]])
def test_a_password_is_refused_before_it_is_sent_anywhere(submitted, words, capfd):
    url = "postgresql://me@host/lab?password=hush"
    assert invoke(tune_module.tune_app, DIGITS, *words, "--ledger", url) == 2
    assert submitted == []
    assert "hush" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("directory", ["/runs/demo", "/runs/demo/", "s3://lab/runs/demo", "s3:/lab/runs/demo"])
def test_a_launch_and_its_resumption_work_on_the_same(submitted, directory):
    invoke(tune_module.tune_app, "--resume", directory, "--address", ADDRESS)
    invoke(tune_module.tune_app, "--resume", directory, "--retry-failed", "--address", ADDRESS)
    storage = directory.rstrip("/").removesuffix("/demo")
    invoke(tune_module.tune_app, DIGITS, "--name", "demo", "--storage", storage, "--address", ADDRESS)
    plain, retrying, launch = submitted
    assert plain["works_on"] == retrying["works_on"] == launch["works_on"]
    assert plain["arguments"] == ["--resume", directory]
    assert retrying["arguments"] == ["--resume", directory, "--retry-failed"]
    assert [job.get("plain", False) for job in submitted] == [True, False, False]


def test_the_address_may_come_from_the_environment_and_dry_runs_stay_here(submitted, tmp_path):
    words = [DIGITS, "--name", "demo", "--storage", tmp_path]
    assert invoke(tune_module.tune_app, *words, "--dry-run", RAY_ADDRESS=ADDRESS) == 0
    assert not submitted
    assert invoke(tune_module.tune_app, *words, RAY_ADDRESS=ADDRESS) == 4
    assert submitted[0]["address"] == ADDRESS


def test_what_is_wrong_is_said_before_anything_is_submitted(submitted):
    words = [DIGITS, "--storage", "/runs", "--address", ADDRESS]
    assert invoke(tune_module.tune_app, *words, "--epochs", 0) == 2
    assert invoke(tune_module.tune_app, *words, "--name", "a/b") == 2
    assert invoke(analyze_module.analyze_app, "/runs/demo", "--dfr", "drf", "--address", ADDRESS) == 2
    assert not submitted


def test_an_analysis_is_what_was_given(submitted):
    words = ["/runs/a", "/runs/b", "--export", "/tables", "--format", "csv", "--latex", "--top-k", 5, "--dfr", "none"]
    assert invoke(analyze_module.analyze_app, *words, "--address", ADDRESS) == 4
    (job,) = submitted
    assert sorted(map(str, job["arguments"])) == sorted(map(str, words))
    assert job["arguments"][:2] == ["/runs/a", "/runs/b"]
    given = {option: paths for option, paths in job["paths"].items() if paths != [None]}
    assert given == {"RUN_DIR": ["/runs/a", "/runs/b"], "--export": ["/tables"]}
    assert job["works_on"] == "/runs/a /runs/b"


@pytest.mark.parametrize(
    ("app", "words", "message"),
    [
        (tune_module.tune_app, [DIGITS], "--storage runs is relative, but with http://head:8265"),
        (tune_module.tune_app, [DIGITS, "--storage", "./x"], "--storage ./x is relative"),
        (tune_module.tune_app, ["--resume", "runs/x"], "--resume runs/x is relative"),
        (analyze_module.analyze_app, ["/runs/x", "runs/y"], "RUN_DIR runs/y is relative"),
        (analyze_module.analyze_app, ["/runs/x", "--export", "tables"], "--export tables is relative"),
        (analyze_module.analyze_app, ["/runs/x", "--report", "x.html"], "--report x.html is relative"),
        (analyze_module.analyze_app, ["/runs/x", "--best", "x"], "--best x is relative"),
        (analyze_module.analyze_app, ["/runs/x", "--optuna", "x.log"], "--optuna x.log is relative"),
    ],
)
def test_a_relative_path_is_refused(app, words, message):
    result = CliRunner().invoke(app, [*map(str, words), "--address", ADDRESS])
    assert result.exit_code == 2
    assert message in result.stderr
    assert "connecting" not in result.stdout


@pytest.mark.parametrize("name", ["SCALE_TUNE_DATA", "SCALE_TUNE_CACHE"])
def test_so_is_one_in_the_environment(name, monkeypatch):
    from scale_tune.errors import UserError

    monkeypatch.setenv(name, "data")
    with pytest.raises(UserError, match=rf"^\${name} data is relative, but with http://head:8265"):
        run_as_job(ADDRESS, command="tune", arguments=[], paths={}, works_on="/runs/x")


@pytest.mark.parametrize("app", [tune_module.tune_app, analyze_module.analyze_app])
@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("ray://10.0.0.1:10001", "http://10.0.0.1:8265"),
        ("ray://head:10001", "http://head:8265"),
        ("ray://", "http://head:8265"),
    ],
)
def test_an_address_of_rays_client_is_refused_and_says_what_to_give(app, address, remedy):
    for words, environment in [(["--address", address], {}), ([], {"RAY_ADDRESS": address})]:
        result = CliRunner().invoke(app, ["/x", *words], env=environment)
        assert result.exit_code == 2
        assert remedy in " ".join(result.stderr.split())
