"""A search of which some trials diverge or fail."""

import subprocess
import sys

import pytest

from scale_tune.tables import collect as results
from tests.support.commands import altered_checkout, run

pytestmark = [pytest.mark.ray, pytest.mark.drill]


def test_a_diverging_and_a_failing_trial_do_not_stop_the_search(space, tmp_path):
    """The learning rate of erm is a million, and a worker is made to raise an error."""
    directory = tmp_path / "runs" / "bad"
    line = "epoch = self.record.epoch + 1"
    broken = f'{line}\n        assert self.record.trial != "erm_target-00001", "by design"'
    script = altered_checkout(tmp_path, "training/trial.py", line, broken)
    command = [sys.executable, script, space, "--name", directory.name, "--storage", directory.parent]
    options = ["--methods", "erm,erm_target", "--set", "methods.erm.space.lr=1e6"]
    result = subprocess.run([*command, *options], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 failed" in result.stdout
    assert "erm_target-00001 has failed: AssertionError: by design" in result.stdout
    trials = results.load_results(directory)["trials"].set_index("trial")
    diverged = trials.loc["erm-00000"]
    assert (diverged["state"], diverged["diverged"], diverged["seeds"]) == ("complete", 1, 0)
    assert 0 <= diverged["objective"] <= 1
    failed = trials.loc["erm_target-00001"]
    assert failed["state"] == "failed"
    assert failed["error"].startswith("Traceback")
    assert failed["error"].endswith("AssertionError: by design\n")
    assert trials.loc["erm_target-00000", "state"] == "complete"
    assert trials.loc["erm_target-00000", "diverged"] == 0
    assert len(trials) == 4

    result = run("analyze", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "of the 2 erm_target trials, 1 failed: not selectable" in result.stdout
    assert "of the 2 erm trials, 2 diverged: not selectable" in result.stdout
    assert "none eligible" in result.stdout
