"""docs/extending.md: all of its code works, that for users as one search, that for the package in a copy of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scale_tune.spec.loading import load_spec
from scale_tune.tables.collect import load_results
from scale_tune.workflows.resolving import resolved
from tests.conftest import REPOSITORY
from tests.support.commands import call
from tests.support.runs import make_run

PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
FOR_USERS, FOR_THE_PACKAGE = PAGE.split("## One for the package")
SMALL = """
  batch_size: 32
num_samples: 1
epochs: 1
seeds: [0]
"""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def files(text: str) -> list[tuple[str, str]]:
    """Path and content of each Python block; its first line is a comment with the path."""
    return [tuple(block.removeprefix("# ").split("\n", 1)) for block in blocks(text, "python")]


@pytest.fixture
def space(tmp_path) -> Path:
    """The page's method, dataset and network in one search space."""
    for name, text in files(FOR_USERS):
        (tmp_path / name).write_text(text)
    method, dataset, network = blocks(FOR_USERS, "yaml")
    path = tmp_path / "search.yaml"
    path.write_text(method + network + dataset + SMALL.lstrip("\n"))
    return path


def test_what_it_shows_to_users_trains(space, tmp_path):
    run = make_run(tmp_path / "runs", load_spec(space, check=resolved))
    tables = load_results(run.path)
    trials = tables["trials"].set_index("trial")
    assert (trials["state"] == "complete").all()
    assert trials["config.smoothing"].notna().to_dict() == {"erm-00000": False, "smooth-00000": True}
    assert set(trials["config.dataset"]) == {"stripes"}
    assert set(trials["config.dataset.strength"]) <= {0.9, 1.0}
    assert set(trials["config.model"]) == {"narrow.py:narrow"}


def test_its_command_is_one(space):
    (command,) = blocks(PAGE, "bash")
    python, script, *arguments = command.partition("#")[0].split()
    assert (python, script) == ("python", "tune.py")
    result = call("tune", *arguments, cwd=space.parent)
    assert result.returncode == 0, result.stderr
    assert "smooth" in result.stdout


def test_a_method_of_the_package_is_one_file_and_one_line(tmp_path):
    shutil.copytree(REPOSITORY / "scale_tune", tmp_path / "scale_tune")
    (path, content), (registry, line) = files(FOR_THE_PACKAGE)
    (tmp_path / path).write_text(content)
    methods = tmp_path / registry
    text = methods.read_text()
    assert text.count("METHODS = {\n") == 1
    methods.write_text(text.replace("METHODS = {\n", f"METHODS = {{\n{line}"))
    for script in ("tune.py",):
        shutil.copy(REPOSITORY / script, tmp_path)
    command = [sys.executable, "tune.py", str(REPOSITORY / "search_spaces" / "digits.yaml")]
    dry = [*command, "--methods", "erm_both,scale", "--dry-run"]
    result = subprocess.run(dry, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "erm_both" in result.stdout


def test_the_registries_are_where_it_says():
    for path, name in re.findall(r"in `([A-Z]+)` of \[`\w+\.py`\]\(\.\./(.*?)\)", PAGE):
        assert f"\n{path} = {{" in (REPOSITORY / name).read_text()
    assert len(re.findall(r"in `[A-Z]+` of", PAGE)) == 3
