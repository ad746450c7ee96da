"""Whole searches: the commands as a user starts them, on real workers, killed for real."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from scale_tune.storage.lock import only_driver
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from tests.support.commands import altered_checkout, kill_group, run, start, wait_until
from tests.support.searches import (
    METHODS,
    SPACE,
    assert_search_is_whole,
    descendants,
    epochs_in_ledger,
    ledger_of,
    wait_for_end,
)

pytestmark = pytest.mark.ray


@pytest.fixture
def space(tmp_path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


def of_each(num_samples: int) -> dict[str, int]:
    return dict.fromkeys(METHODS, num_samples)


def test_a_search_killed_twice_is_resumed_extended_and_analysed(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--num-samples", 2, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    kill_group(driver)
    before = epochs_in_ledger(directory)
    assert any(not t.state.ended for t in ledger_of(directory))

    driver = start("tune", "--resume", directory, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= before + 6, driver, log)
    kill_group(driver)

    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    trials = assert_search_is_whole(directory, of_each(2), tmp_path / "check")

    result = run("tune", "--resume", directory, "--num-samples", 3)
    assert result.returncode == 0, result.stdout + result.stderr
    extended = ledger_of(directory)
    assert Counter(t.method for t in extended) == of_each(3)
    assert [t for t in extended if t.number < 2] == trials

    result = run("tune", "--resume", directory)
    assert result.returncode == 0
    assert ledger_of(directory) == extended, "there was nothing left to do"

    result = run("tune", space, "--name", "demo", "--storage", tmp_path / "runs")
    assert result.returncode == 2
    assert f"python tune.py --resume {directory}" in result.stderr

    with only_driver(RunDir(directory)):
        result = run("tune", "--resume", directory)
    assert result.returncode == 2
    assert "is already being driven by process" in result.stderr

    result = run("analyze", directory, "--top-k", 1, "--export", tmp_path / "tables")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path.name for path in (tmp_path / "tables").iterdir()} >= {f"{name}.parquet" for name in results.SCHEMAS}
    for row in (*METHODS, "dfr (scale)", "dfr (dfr)", "pretrained baseline left out: small_cnn"):
        assert row in result.stdout
    tables = results.load_results(directory)
    assert len(tables["dfr"]) == 4
    assert tables["dfr"]["trial"].nunique() == 1


def test_a_diverging_and_a_failing_trial_do_not_stop_the_search(space, tmp_path):
    directory = tmp_path / "runs" / "bad"
    wild = ["--set", "methods.erm.space.lr=1e6"]
    result = run(
        "tune", space, "--name", "bad", "--storage", tmp_path / "runs", "--num-samples", 1,
        "--methods", "erm,erm_target", *wild,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    trials = results.load_results(directory)["trials"].set_index("trial")
    diverged = trials.loc["erm-00000"]
    assert (diverged["state"], diverged["diverged"], diverged["seeds"]) == ("complete", 2, 0)
    assert 0 <= diverged["objective"] <= 1
    assert trials.loc["erm_target-00000", "diverged"] == 0

    line = "epoch = self.record.epoch + 1"
    broken = f'{line}\n        assert self.record.trial != "erm_target-00001", "by design"'
    script = altered_checkout(tmp_path, "training/trial.py", line, broken)
    command = [sys.executable, script, "--resume", directory, "--num-samples", "3"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 failed" in result.stdout
    assert "erm_target-00001 has failed: AssertionError: by design" in result.stdout
    trials = results.load_results(directory)["trials"].set_index("trial")
    failed = trials.loc["erm_target-00001"]
    assert failed["state"] == "failed"
    assert failed["error"].startswith("Traceback")
    assert failed["error"].endswith("AssertionError: by design\n")
    assert trials.loc["erm_target-00002", "state"] in ("complete", "pruned")
    assert len(trials) == 6

    result = run("analyze", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "of the 3 erm_target trials, 1 failed: not selectable" in result.stdout
    assert "of the 3 erm trials, 3 diverged: not selectable" in result.stdout
    assert "none eligible" in result.stdout


def test_a_stopped_search_says_how_to_resume_it(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    options = ["--storage", tmp_path / "runs", "--methods", "erm_target", "--num-samples", 2, "--epochs", 12]
    driver = start("tune", space, "--name", "demo", *options, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 1, driver, log)
    os.kill(driver.pid, signal.SIGTERM)
    assert driver.wait(60) == 3, log.read_text()
    assert f"python tune.py --resume {directory}" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert run("tune", "--resume", directory).returncode == 0
    assert all(trial.state.ended for trial in ledger_of(directory))


def test_a_killed_driver_takes_its_ray_with_it(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 1, driver, log)
    processes = descendants(driver.pid)
    assert any("ray::" in command for command in processes.values())
    kill_group(driver)
    wait_for_end(processes)
