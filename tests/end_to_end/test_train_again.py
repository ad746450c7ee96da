"""The command that a report gives for a trial trains that trial's config, whatever kind of value it has."""

import shlex
from datetime import UTC, datetime
from unittest.mock import patch

import pytest

from scale_tune.report.html import Analysis, again
from scale_tune.report.html.opened import opened
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.loading import load_spec
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables.collect import load_results
from scale_tune.training.trialdir import read_final_record
from scale_tune.workflows.resolving import resolved
from tests.conftest import REPOSITORY
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

KINDS = {
    "methods": {
        "erm": {"space": {"batch_size": 32}},
        "scale": {
            "epochs": 1,
            "space": {
                "regularize_mode": {"type": "choice", "values": ["linear", "step"]},
                "group_size": {"type": "int", "low": 1, "high": 64, "log": True},
            },
        },
        "rwg": {"space": {"with_target": {"type": "choice", "values": [True, False]}}},
        "erm_target": {"space": {"lr": 0.01, "weight_decay": 0.001, "batch_size": 16, "dataset.target_size": 400}},
    },
    "space": {
        "lr": {"type": "float", "low": 1e-7, "high": 1e-1, "log": True},
        "batch_size": {"type": "choice", "values": [16, 32]},
        "weight_decay": {"type": "choice", "values": [0.0, 1e-5, 1.0]},
        "dataset.target_size": {"type": "choice", "values": [200, 400]},
    },
    "num_samples": 4,
    "epochs": 2,
    "splits": "per_seed",
}


def analysed(run: RunDir) -> Analysis:
    tables, spec = load_results(run.path), run.read_spec()
    nothing = tables["trials"].iloc[:0]
    return Analysis(
        name=run.path.name,
        where=str(run.path),
        spec=spec,
        tables=tables,
        comparison=nothing,
        differences=nothing,
        made=datetime.now(UTC),
    )


def asked_for(command: str) -> RunSpec:
    """The search that the real command line understands."""
    python, script, *words = shlex.split(command)
    assert (python, script) == ("python", "tune.py")
    with patch("scale_tune.cli.tune._launch", return_value=True) as launch:
        done = call("tune", *words, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    return launch.call_args.args[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDir:
    spec = resolved(RunSpec.model_validate(KINDS))
    return make_run(tmp_path_factory.mktemp("my runs"), spec, made_up=True, fail="scale-00001")


def test_the_command_trains_exactly_the_config_of_its_trial(run):
    found = opened(analysed(run)).trials
    assert len(found) == 4 * 4
    for name, trial in found.items():
        spec = asked_for(trial["command"])
        (method,) = spec.methods
        assert spec.total_samples == 1, name
        points = spec.method_points(method) or ({},)
        config = spec.trial_config(method, dict(points[0]))
        if trial["state"] == "failed":  # which has no record
            assert config == run.read_spec().trial_config(method, trial["config"])
        else:
            assert config == record_of(run, name), name
        assert spec.scheduler.name == "none"


def record_of(run: RunDir, trial: str) -> TrialConfig:
    record = read_final_record(run.trial(trial))
    assert record is not None
    return record.config


def test_the_command_is_one_that_a_dry_run_accepts(run):
    trial = opened(analysed(run)).trials["scale-00000"]
    done = call("tune", *shlex.split(trial["command"])[2:], "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "regularize_mode" in done.stdout


def test_a_method_of_the_users_own_is_taken_from_the_run(tmp_path):
    example = REPOSITORY / "examples" / "own_method"
    (space,) = example.glob("*.yaml")
    spec = load_spec(space, check=resolved)
    made = create_run(Location.of(tmp_path), "run", spec, {})
    (own,) = [method for method, of in spec.methods.items() if of.file]
    config = {n: p.extremes()[0] for n, p in spec.method_space(own).items() if p.type != "constant"}
    again_spec = asked_for(again.command(analysed(made), own, f"{own}-00003", config))
    assert again_spec.methods[own].file == spec.methods[own].file
    assert again_spec.trial_config(own, config) == spec.trial_config(own, config)


def test_a_mistake_in_a_runs_spec_is_named_with_its_line(run):
    lines = run.spec.read().decode().splitlines()
    line = next(i for i, text in enumerate(lines, start=1) if text.strip() == "num_samples: 4")
    copy = run.path.local.parent / "copy.yaml"
    copy.write_text("\n".join(lines).replace("num_samples: 4", "num_samples: none"))
    done = call("tune", copy, "--dry-run")
    assert done.returncode == 2
    assert f"{copy}:{line}: num_samples" in done.stderr


def test_of_a_run_in_an_object_store_a_copy_is_needed_and_said():
    spec = fast_spec(methods=["erm"])
    given = Analysis(
        name="run",
        where="s3://lab/run",
        spec=spec,
        tables={},
        comparison=None,
        differences=None,
        made=datetime.now(UTC),
    )
    assert "tune.py spec.yaml --methods erm" in again.command(given, "erm", "erm-00000", {"lr": 0.1, "batch_size": 32})
    assert again.note(given).startswith("The run’s spec.yaml (s3://lab/run) must be copied here before.")
    assert "copied" not in again.note(Analysis(**{**vars(given), "where": "/lab/run"}))


def test_a_name_that_no_run_may_have_is_made_one_that_it_may(tmp_path):
    spec = fast_spec(methods=["erm"])
    for name in ("<b>&'run'", "one/two", "x" * 120):
        given = Analysis(
            name=name, where="/r", spec=spec, tables={}, comparison=None, differences=None, made=datetime.now(UTC)
        )
        words = shlex.split(again.command(given, "erm", "erm-00000", {}))
        made = create_run(Location.of(tmp_path), words[words.index("--name") + 1], spec, {})
        assert made.path.name.endswith("erm-00000")
        made.path.local.rename(tmp_path / f"moved{len(name)}")
