"""Whole searches: the commands as a user starts them, on real workers, killed for real."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from scale_tune import datasets, results
from scale_tune.ledger import LedgerState, LedgerTrial, read_trials
from scale_tune.records import TrialRecord, read_record
from scale_tune.rundir import RunDir
from scale_tune.trial import Trial
from tests.commands import kill_group, run, start, wait_until

pytestmark = pytest.mark.ray

SPACE = """\
methods:
  erm:
  erm_target: {epochs: 6}
  scale:
    space:
      group_size: {type: choice, values: [4, 64]}
      regularize_mode: {type: choice, values: [linear, step]}
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: 64
num_samples: 3
epochs: 4
seeds: [0, 1]
scheduler: {name: asha, grace_period: 2, reduction_factor: 2}
"""
METHODS = ("erm", "erm_target", "scale")
EPOCHS = {"erm": 4, "erm_target": 6, "scale": 4}
RUNGS = (2, 4)


@pytest.fixture
def space(tmp_path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


def epochs_in_ledger(directory: Path) -> int:
    ledger = directory / "ledger.log"
    return ledger.read_text().count('"intermediate_value"') if ledger.exists() else 0


def assert_ledger_is_whole(directory: Path, num_samples: int) -> list[LedgerTrial]:
    """Exactly the trials asked for, all ended, every history 1..n, early stops at rungs alone."""
    trials = read_trials(directory / "ledger.log")
    assert Counter(t.method.value for t in trials) == dict.fromkeys(METHODS, num_samples)
    assert all(t.state.ended for t in trials)
    epochs = results.load(directory)["epochs"]
    for trial in trials:
        n = len(trial.objectives)
        assert n == EPOCHS[trial.method] if trial.state is LedgerState.COMPLETE else n in RUNGS
        for (_, _), rows in epochs[epochs["trial"] == trial.name].groupby(["seed", "split"]):
            assert rows["epoch"].tolist() == list(range(1, n + 1))
    return trials


def assert_trained_as_if_never_interrupted(directory: Path, trial: LedgerTrial, scratch: Path) -> None:
    """The same config trained here, in one go, has the same history to the last bit."""
    config = RunDir(directory).read_spec().trial_config(trial.method, trial.params)
    again = Trial(trial.name, config, datasets.load_splits(config.dataset), torch.device("cpu"), scratch / trial.name)
    for _ in trial.objectives:
        again.train_epoch()
    assert again.record.objectives() == trial.objectives
    assert timeless(again.record) == timeless(read_record(directory / "trials" / trial.name))


def timeless(record: TrialRecord) -> dict:
    """A record without what depends on the clock and the machine."""
    fields = record.model_dump(exclude={"started", "node", "device", "threads"})
    for replica in fields["replicas"]:
        for epoch in replica["history"]:
            del epoch["seconds"]
    return fields


def test_a_search_killed_twice_is_resumed_extended_and_analysed(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    kill_group(driver)
    before = epochs_in_ledger(directory)
    assert any(not t.state.ended for t in read_trials(directory / "ledger.log"))

    driver = start("tune", "--resume", directory, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= before + 6, driver, log)
    kill_group(driver)

    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    trials = assert_ledger_is_whole(directory, 3)
    for trial in trials:
        assert_trained_as_if_never_interrupted(directory, trial, tmp_path / "again")

    result = run("tune", "--resume", directory, "--num-samples", 4)
    assert result.returncode == 0, result.stdout + result.stderr
    extended = assert_ledger_is_whole(directory, 4)
    assert [t for t in extended if t.number < 3] == trials

    result = run("tune", "--resume", directory)
    assert result.returncode == 0
    assert assert_ledger_is_whole(directory, 4) == extended, "there was nothing left to do"

    result = run("tune", space, "--name", "demo", "--storage", tmp_path / "runs")
    assert result.returncode == 2
    assert f"python tune.py --resume {directory}" in result.stderr

    with RunDir(directory).only_driver():
        result = run("tune", "--resume", directory)
    assert result.returncode == 2
    assert "is already being driven by process" in result.stderr

    result = run("analyze", directory, "--top-k", 1, "--export", tmp_path / "tables")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path.name for path in (tmp_path / "tables").iterdir()} >= {f"{name}.parquet" for name in results.SCHEMAS}
    for row in (*METHODS, "dfr (scale)"):
        assert row in result.stdout
    tables = results.load(directory)
    assert len(tables["dfr"]) == 2
    assert tables["dfr"]["trial"].nunique() == 1


def test_a_diverging_and_a_failing_trial_do_not_stop_the_search(space, tmp_path):
    directory = tmp_path / "runs" / "bad"
    wild = ["--set", "methods.erm.space.lr=1e6"]
    result = run(
        "tune", space, "--name", "bad", "--storage", tmp_path / "runs", "--num-samples", 1,
        "--methods", "erm,erm_target", *wild,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    trials = results.load(directory)["trials"].set_index("trial")
    diverged = trials.loc["erm-00000"]
    assert (diverged["state"], diverged["diverged"], diverged["seeds"]) == ("complete", 2, 0)
    assert 0 <= diverged["objective"] <= 1
    assert trials.loc["erm_target-00000", "diverged"] == 0

    # A file where the next trial's directory should be: its worker can't write its checkpoint.
    (directory / "trials" / "erm_target-00001").write_text("in the way")
    result = run("tune", "--resume", directory, "--num-samples", 3)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 failed" in result.stdout
    trials = results.load(directory)["trials"].set_index("trial")
    failed = trials.loc["erm_target-00001"]
    assert failed["state"] == "failed"
    assert failed["error"].startswith("Traceback")
    assert "erm_target-00001" in failed["error"]
    assert trials.loc["erm_target-00002", "state"] in ("complete", "pruned")
    assert len(trials) == 6

    result = run("analyze", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "of the 3 erm_target trials, 1 failed: not selectable" in result.stdout
    assert "of the 3 erm trials, 3 diverged: not selectable" in result.stdout
    assert "none eligible" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_search_says_how_to_resume_it(space, tmp_path, number):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    options = ["--storage", tmp_path / "runs", "--methods", "erm_target", "--num-samples", 2, "--epochs", 12]
    driver = start("tune", space, "--name", "demo", *options, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 1, driver, log)
    os.kill(driver.pid, number)
    assert driver.wait(60) == 3, log.read_text()
    assert f"python tune.py --resume {directory}" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert run("tune", "--resume", directory).returncode == 0
    assert all(trial.state.ended for trial in read_trials(directory / "ledger.log"))


def test_a_trial_whose_worker_is_killed_goes_on_in_another(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--num-samples", 1, log=log)
    for epochs in (1, 3):
        wait_until(lambda epochs=epochs: epochs_in_ledger(directory) >= epochs, driver, log)
        for pid, name in descendants(driver.pid).items():
            if "ray::" in name and "train" in name:
                os.kill(pid, signal.SIGKILL)
    assert driver.wait(120) == 0, log.read_text()
    for trial in assert_ledger_is_whole(directory, 1):
        assert_trained_as_if_never_interrupted(directory, trial, tmp_path / "again")
    assert "died unexpectedly" in (directory / "ray.log").read_text()


def test_a_killed_driver_takes_its_ray_with_it(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 1, driver, log)
    processes = descendants(driver.pid)
    assert any("ray::" in command for command in processes.values())
    kill_group(driver)
    deadline = time.monotonic() + 60
    while alive := [processes[pid] for pid in processes if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"outlive their driver: {alive}"
        time.sleep(0.1)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below one, by their ids."""
    parents, commands = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(process.name)] = (process / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
    found: dict[int, str] = {}
    below = {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found |= {child: commands[child] for child in below if child in commands}
    return found
