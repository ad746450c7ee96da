"""Bad input: one clear message, exit code 2, no traceback, and nothing written."""

import importlib.util
import re
import subprocess
import time

import pytest

from scale_tune.spec.loading import load_spec
from scale_tune.tracking import tracker_registry
from tests.conftest import REPOSITORY
from tests.support.commands import call, command, run

DIGITS = REPOSITORY / "search_spaces" / "digits.yaml"


@pytest.fixture
def space(tmp_path):
    def write(text: str):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return path

    return write


def assert_refused(result, message: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: [erm", "not valid YAML"),
        ("methods: [erm]\nepoch: 3", "did you mean 'epochs'?"),
        ("methods: [erm]\nspace: {lr: {type: float, low: 1, high: 0.1}}", "low 1.0 is above high 0.1"),
        ("methods: [erm]\nspace: {lr: {type: float, low: 0.1, high: 0.1}}", "the range is empty"),
        (
            "methods: [erm]\ndataset: {name: digist}",
            "dataset: there is no dataset 'digist'; did you mean 'digits'",
        ),
        ("methods: [ermm]", "did you mean 'erm'?"),
        (
            "methods: [erm]\ntrack: [tensorbord]",
            "track.0: there is no tracker 'tensorbord'; did you mean 'tensorboard'?",
        ),
        ("methods: [erm]\ntrack: [tensorboard, tensorboard]", "track.1: tensorboard stands twice; list it once"),
        ("methods: [erm]\ntrack: tensorboard", "track: must be a list, got 'tensorboard'"),
    ],
)
def test_a_wrong_space_is_refused(space, tmp_path, text, message):
    assert_refused(call("tune", space(text), "--storage", tmp_path / "runs"), message)
    assert not (tmp_path / "runs").exists()


def test_text_that_looks_like_a_number_is_one(space, tmp_path):
    path = space("methods: [erm]\nspace: {lr: {type: float, low: 1e-3, high: 1e-1, log: true}}")
    result = call("tune", path, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "0.001 … 0.1, log" in result.stdout
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["digits", "dominoes_tpe"])
def test_a_dry_run_tries_a_step_of_each_method_with_the_data_or_without(name, tmp_path):
    """That all of the spaces that ship pass is tested where they are validated."""
    space = REPOSITORY / "search_spaces" / f"{name}.yaml"
    result = call("tune", space, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "in all" in result.stdout
    assert re.findall("^  of ([a-z_]+) with", result.stdout, flags=re.MULTILINE) == list(load_spec(space).methods)
    assert ("note: this can't be run yet: the data of" in result.stdout) == (name != "digits")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("space", ["dominoes_erm", "celeba_erm", "waterbirds_erm"])
def test_missing_data_is_refused_before_anything_starts(space, tmp_path):
    path = REPOSITORY / f"search_spaces/{space}.yaml"
    assert_refused(call("tune", path, "--gpus-per-trial", 0, cwd=tmp_path), "is not there")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.yaml"], "there is no search space absent.yaml"),
        ([], "give a search space"),
        ([DIGITS, "--methods", "erm,scal"], "did you mean 'scale'?"),
        ([DIGITS, "--seeds", "0,0"], "0 stands twice"),
        ([DIGITS, "--seeds", "x"], "seeds.0: must be a valid integer, got 'x'"),
        ([DIGITS, "--epochs", "0"], "epochs: must be greater than or equal to 1, got 0"),
        ([DIGITS, "--epochs", "many"], "--epochs: must be a valid integer, got 'many'"),
        ([DIGITS, "--set", "epochs"], "must be KEY=VALUE"),
        ([DIGITS, "--set", "scheduler.nam=asha"], "did you mean 'name'?"),
        ([DIGITS, "--name", "a/b"], "--name: must be up to"),
        ([DIGITS, "--name", ".."], "got '..'"),
        ([DIGITS, "--name", ""], "got ''"),
        ([DIGITS, "--name", "x" * 300], "must be up to 100 letters"),
        ([DIGITS, "--storage", "gs://bucket/x"], "storage is a directory or s3://bucket/path, not gs://"),
        ([DIGITS, "--seeds", "0,x1"], "must be a valid integer, got 'x1'"),
        (["--resume", ".", "--storage", "x"], "--storage can't be given with --resume"),
        ([DIGITS, "--resume", "runs/x"], "SPACE can't be given with --resume"),
        (["--resume", "absent"], "is not the directory of a run"),
        (["--resume", "."], "is not the directory of a run"),
        ([DIGITS, "--unknown"], "--unknown"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, message):
    assert_refused(call("tune", *arguments, cwd=tmp_path), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "is not the directory of a run"),
        (["."], "is not the directory of a run"),
        ([".", "--top-k", "0"], "--top-k: must be greater than or equal to 1, got '0'"),
        ([".", "--dfr", "scale,drf"], "--dfr: there is no protocol 'drf'; did you mean 'dfr'?"),
        ([".", "--confirm", "--dfr", "drf"], "did you mean 'dfr'?"),
        (["absent", "--confirm"], "is not the directory of a run"),
        ([".", "--format", "xml"], "--format: 'xml' is not one of"),
        ([], "RUN_DIR…: is missing"),
        (["/runs/x", "--dfr", "drf", "--address", "http://127.0.0.1:1"], "--dfr: there is no protocol 'drf'"),
        (["/runs/x", "--address", "ray://10.0.0.1:10001"], "as http://10.0.0.1:8265"),
        (["ablation", "absent", "--rows", "lr", "--cols", "momentum"], "is not the directory of a run"),
        (["ablation", "absent"], "--rows: is missing"),
        (["./ablation"], "ablation is not the directory of a run"),
        (["economy", "absent"], "is not the directory of a run"),
        (["economy"], "RUN_DIR…: is missing"),
        (["economy", "absent", "--orders", "0"], "--orders: must be greater than or equal to 1, got '0'"),
        (["./economy"], "economy is not the directory of a run"),
    ],
)
def test_analyze_refuses_what_is_no_run(tmp_path, arguments, message):
    assert_refused(call("analyze", *arguments, cwd=tmp_path), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("tune", ["space.yaml", "--storage", "runs"], "did you mean 'epochs'?"),
        ("tune", [DIGITS, "--epochs", "0"], "epochs: must be greater than or equal to 1, got 0"),
        ("tune", [DIGITS, "--epochs", "many"], "--epochs: must be a valid integer, got 'many'"),
        ("analyze", ["absent"], "is not the directory of a run"),
        ("analyze", ["ablation", "absent", "--rows", "lr", "--cols", "momentum"], "is not the directory of a run"),
    ],
)
def test_so_it_is_of_real_processes(space, tmp_path, script, arguments, message):
    """All the others were called within this one."""
    path = space("methods: [erm]\nepoch: 3")
    assert_refused(run(script, *arguments, cwd=tmp_path), message)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("script", "arguments", "first"),
    [
        ("tune", [DIGITS, "--dry-run"], "checking "),
        ("tune", ["--resume", "absent"], "reading the run absent"),
        ("tune", ["--status", "absent"], "reading the run absent"),
        ("analyze", ["absent"], "reading absent"),
        ("analyze", ["ablation", "absent", "--rows", "lr", "--cols", "momentum"], "reading absent"),
        ("analyze", ["economy", "absent"], "reading absent"),
    ],
)
def test_within_a_second_something_is_on_the_screen(tmp_path, script, arguments, first):
    times = []
    for _ in range(3):
        started = time.monotonic()
        with subprocess.Popen(
            command(script, *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
        ) as process:
            assert process.stdout.readline().startswith(first)
            times.append(time.monotonic() - started)
            process.kill()
    assert min(times) < 1, "the best of three, on a machine that may be busy"


def test_help_answers_in_under_a_second():
    for script in ("tune", "analyze"):
        times = []
        for _ in range(3):
            started = time.monotonic()
            result = run(script, "--help")
            times.append(time.monotonic() - started)
            assert result.returncode == 0
            assert "Usage" in result.stdout
        assert min(times) < 1, "the best of three, on a machine that may be busy"


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_tracker_that_is_not_installed_is_refused_before_anything_starts(space, tmp_path, monkeypatch, options):
    installed = importlib.util.find_spec
    monkeypatch.setattr(tracker_registry, "find_spec", lambda name: None if name == "wandb" else installed(name))
    path = space("methods: [erm]\ntrack: [tensorboard, wandb]\nnum_samples: 1")
    result = call("tune", path, "--storage", tmp_path / "runs", *options)
    assert_refused(result, "track: wandb is not installed; pip install 'scale-tune[wandb]'")
    assert not (tmp_path / "runs").exists()
