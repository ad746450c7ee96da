"""The examples, by the real commands: what users bring is searched, killed, resumed, analysed and named."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from scale_tune.ledger.studies import LedgerState, read_trials
from scale_tune.spec import usercode
from scale_tune.spec.loading import load_spec
from scale_tune.storage.rundir import RunDir
from scale_tune.workflows.rehearsal import rehearse
from scale_tune.workflows.resolving import resolved
from tests.conftest import REPOSITORY
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.runs import make_run
from tests.support.searches import assert_search_is_whole, epochs_in_ledger, ledger_of

EXAMPLES = REPOSITORY / "examples"


@dataclass(frozen=True, kw_only=True)
class Example:
    """What is to be seen of an example in a small search of it."""

    name: str
    file: str | None
    """The user's file."""
    smaller: str
    """Options that leave a search of seconds, of one trial and one seed."""
    dfr: str = "none"
    """Protocol of the analysis."""
    compared: Mapping[str, str]
    """What some row of the comparison says."""
    trials: Mapping[str, str | None]
    """What some trial says; None: anything."""
    reported: str
    """What the page says."""


OWN_METHOD = Example(
    name="own_method",
    file="group_dro.py",
    smaller="--epochs 4",
    compared={"method": "my_group_dro"},
    trials={"method": "my_group_dro", "config.eta": None},
    reported="my_group_dro",
)
OWN_DATASET = Example(
    name="own_dataset",
    file="coloured_digits.py",
    smaller="--epochs 12 --methods erm,scale",
    dfr="dfr",
    compared={"dataset": "coloured_digits", "method": "dfr (dfr)"},
    trials={"config.dataset": "coloured_digits", "config.dataset.strength": None},
    reported="coloured_digits",
)
OWN_IMAGES = Example(
    name="own_images",
    file=None,
    smaller="--epochs 4 --methods erm,scale",
    dfr="dfr",
    compared={"dataset": "table", "method": "dfr (dfr)"},
    trials={"config.dataset": "table", "config.dataset.csv": "shapes/shapes.csv"},
    reported="shapes/shapes.csv",
)
OWN_NETWORK = Example(
    name="own_network",
    file="residual.py",
    smaller="--epochs 4",
    dfr="dfr",
    compared={"method": "dfr (dfr)"},
    trials={"config.model": "residual.py:small_residual"},
    reported="residual.py:small_residual",
)
ALL = (OWN_METHOD, OWN_DATASET, OWN_IMAGES, OWN_NETWORK)


@pytest.fixture(scope="module", autouse=True)
def _images(tmp_path_factory):
    """The pictures of own_images, drawn by its script."""
    data = tmp_path_factory.mktemp("data")
    made = run(EXAMPLES / "own_images" / "make_images", data / "shapes")
    assert made.returncode == 0, made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALE_TUNE_DATA", str(data))
        yield


def test_every_folder_is_tested():
    assert {example.name for example in ALL} == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    for example in ALL:
        readme = (EXAMPLES / example.name / "README.md").read_text()
        assert f"tune.py examples/{example.name}/search.yaml --name {example.name}\n" in readme
        assert f"analyze.py runs/{example.name}\n" in readme


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_an_example_passes_a_dry_run(example):
    lines: list[str] = []
    spec = load_spec(EXAMPLES / example.name / "search.yaml", check=resolved)
    rehearse(spec, lines.append)
    tried = [f"  of {method} with {spec.model.name}" for method in spec.methods]
    assert lines[: len(tried) + 1] == ["trying a step …", *tried], "the data are there"


@pytest.mark.ray
@pytest.mark.drill
@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_an_example_is_searched_killed_resumed_and_analysed(example, tmp_path):
    folder, directory, log = tmp_path / "mine", tmp_path / "runs" / "demo", tmp_path / "log"
    shutil.copytree(EXAMPLES / example.name, folder)
    small = ["--num-samples", 1, "--seeds", 0, *example.smaller.split()]
    driver = start("tune", folder / "search.yaml", "--name", "demo", "--storage", tmp_path / "runs", *small, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    kill_group(driver)
    assert any(not trial.state.ended for trial in ledger_of(directory))
    if example.file is not None:
        assert_only_the_runs_copy_counts(directory, folder / example.file)

    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    usercode.provide(RunDir(directory).sources())
    spec = RunDir(directory).read_spec()
    assert_search_is_whole(directory, dict.fromkeys(spec.methods, spec.num_samples), tmp_path / "check")

    result = run("analyze", directory, "--top-k", 1, "--dfr", example.dfr)
    assert result.returncode == 0, result.stdout + result.stderr
    assert example.compared["method"] in result.stdout
    comparison = pd.read_parquet(directory / "results" / "comparison.parquet")
    trials = pd.read_parquet(directory / "results" / "trials.parquet")
    assert_some_row_says(comparison, example.compared)
    assert_some_row_says(trials, example.trials)
    assert example.reported in (directory / "report.html").read_text()


@pytest.mark.ray
@pytest.mark.drill
def test_a_confirmation_trains_the_runs_copy_again(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLES / "own_method", folder)
    spec = load_spec(folder / "search.yaml", {"num_samples": 1, "seeds": [0]}, ["my_group_dro"], 2, check=resolved)
    searched = make_run(tmp_path / "runs", spec)
    shutil.rmtree(folder)
    result = run("analyze", searched.path, "--confirm", "--top-k", 1, "--dfr", "none")
    assert result.returncode == 0, result.stdout + result.stderr
    confirmation = RunDir(searched.path / "confirm")
    assert confirmation.sources() == searched.sources()
    assert len(confirmation.sources()) == 1
    assert [trial.state for trial in read_trials(confirmation.ledger)] == [LedgerState.COMPLETE]


def assert_only_the_runs_copy_counts(directory: Path, original: Path) -> None:
    """The run has the file, knows its hash, goes on with nothing else, and no longer needs the user's."""
    text, copy = original.read_text(), directory / "code" / original.name
    assert copy.read_text() == text
    assert RunDir(directory).provenance()["code"] == {original.name: hashlib.sha256(text.encode()).hexdigest()}
    original.write_text("raise RuntimeError('the file beside the YAML is of no concern to a run')")
    copy.write_text(text + "# edited\n")
    result = run("tune", "--resume", directory)
    assert result.returncode == 2
    assert f"{copy} was changed since the run was started" in result.stderr
    copy.write_text(text)


def assert_some_row_says(table: pd.DataFrame, values: Mapping[str, str | None]) -> None:
    rows = pd.Series(True, index=table.index)
    for column, value in values.items():
        # A dataset's name may be followed by the options that differ.
        rows &= table[column].notna() if value is None else table[column].astype(str).str.startswith(value)
    assert rows.any(), table[[*values]]
