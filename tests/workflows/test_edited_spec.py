"""A run's spec.yaml that somebody has edited: what it can't be is one clear error, wherever it is read."""

import shutil

import pytest
import yaml

from scale_tune.storage.rundir import RunDir
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunDir:
    spec = fast_spec(num_samples=2, epochs=2, scheduler={"name": "none"})
    return make_run(tmp_path_factory.mktemp("runs"), spec, made_up=True)


@pytest.fixture
def run(made, tmp_path) -> RunDir:
    return RunDir(shutil.copytree(made.path.local, tmp_path / "run"))


def edit(run: RunDir, *path: str, value: object = None) -> None:
    content = yaml.safe_load(run.spec.read())
    below = content
    for key in path[:-1]:
        below = below[key]
    if value is None:
        del below[path[-1]]
    else:
        below[path[-1]] = value
    run.spec.write(yaml.safe_dump(content, sort_keys=False).encode())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param(("spec", "methods", "erm"), None, "it has no method erm", id="a method removed"),
        pytest.param(("spec", "space", "lr"), None, "it has no parameter lr", id="a parameter removed"),
        pytest.param(("spec", "space", "lr"), 0.1, "it has no parameter lr to draw", id="a parameter fixed"),
        pytest.param(
            ("spec", "space", "batch_size", "values"), [8, 16], "it has no choice", id="choices that were not drawn"
        ),
        pytest.param(
            ("spec", "space", "momentum"),
            {"type": "float", "low": 0.1, "high": 0.9},
            "it has no fixed value of momentum",
            id="a parameter more",
        ),
    ],
)
def test_one_that_is_not_of_its_trials_is_refused(run, path, value, message):
    edit(run, *path, value=value)
    result = call("analyze", run.path, "--dfr", "none")
    assert result.returncode == 2
    assert f"error: {run.spec} was changed since erm" in result.stderr
    assert message in result.stderr
    assert not run.results.exists()


@pytest.mark.parametrize("words", [("analyze", "--dfr=none"), ("tune", "--dry-run"), ("tune",)])
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "epochs"), "many", "epochs: must be a valid integer, got 'many'"),
        (("ledger",), "x", "ledger: must be a mapping, got 'x'"),
        (("ledger",), {"url": 3, "run": "x"}, "ledger.url: must be a valid string, got 3"),
        (("ledger",), {"url": "postgresql://h/d"}, "ledger.run: is missing"),
        (("data",), [1], "data: must be a mapping, got [1]"),
        (("provenance", "code"), "x.py", "provenance.code: must be a mapping"),
        (("provenance", "code"), {"../x.py": "abc"}, "provenance.code"),
        (("provenance", "versions"), "1.0", "provenance.versions: must be a mapping"),
        (("provenance", "resumed"), "never", "provenance.resumed: must be"),
    ],
)
def test_a_wrong_type_is_told_with_its_line(run, words, path, value, message):
    edit(run, *path, value=value)
    script, *options = words
    way = (
        [run.path, *options]
        if script == "analyze"
        else ["--resume", run.path, *options]
        if options
        else ["--status", run.path]
    )
    result = call(script, *way)
    assert result.returncode == 2
    assert f"error: {run.spec}:" in result.stderr
    assert message in result.stderr


def test_an_option_that_nobody_has_is_told_before_the_run_goes_on(run):
    edit(run, "spec", "space", "nope", value={"type": "constant", "value": 1})
    result = call("tune", "--resume", run.path, "--dry-run")
    assert result.returncode == 2
    assert "space.nope: unknown parameter" in result.stderr
