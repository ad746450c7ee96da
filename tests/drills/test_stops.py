"""Searches that are told to stop, and what may and may not be different when they go on."""

import os
import signal
import time

import pytest
import yaml
from safetensors.torch import load_file

from scale_tune.ledger.studies import LedgerState
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.training.checkpoint import save_recorded
from scale_tune.training.trialdir import read_header
from tests.drills.conftest import SAMPLES
from tests.support.commands import run, start, wait_until
from tests.support.searches import assert_search_is_whole, epochs_in_ledger, ledger_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


def resume(directory, *options):
    result = run("tune", "--resume", directory, *options)
    return result.returncode, result.stdout + result.stderr


def stop_in_the_middle(space, directory, tmp_path, *options, number=signal.SIGTERM) -> str:
    """Launch, stop once some epochs are in the ledger, and return what was printed."""
    log = tmp_path / "log"
    driver = start("tune", space, "--name", directory.name, "--storage", directory.parent, *options, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    os.kill(driver.pid, number)
    assert driver.wait(60) == 3, log.read_text()
    return log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_the_search_and_what_was_trained_is_kept(space, tmp_path, number):
    directory = tmp_path / "runs" / "demo"
    said = stop_in_the_middle(space, directory, tmp_path, number=number)
    assert f"stopped, as {number.name} was received; go on by\n  python tune.py --resume {directory}" in said
    assert "Traceback" not in said
    kept = {t.name: t.objectives for t in ledger_of(directory)}
    assert resume(directory)[0] == 0
    for trial in assert_search_is_whole(directory, SAMPLES, tmp_path / "check"):
        assert trial.objectives[: len(kept.get(trial.name, []))] == kept.get(trial.name, [])


@pytest.mark.alone
def test_a_second_ctrl_c_ends_at_once(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    os.kill(driver.pid, signal.SIGINT)
    wait_until(lambda: "once more to end at once" in log.read_text(), driver, log)
    pressed = time.monotonic()
    os.kill(driver.pid, signal.SIGINT)
    assert driver.wait(30) == 3
    assert time.monotonic() - pressed < 2
    assert resume(directory)[0] == 0
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


@pytest.mark.alone
def test_ctrl_c_before_there_is_a_run_writes_nothing(space, tmp_path):
    log = tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", log=log)
    time.sleep(2.5)  # any moment before the workers have started will do
    os.kill(driver.pid, signal.SIGINT)
    assert driver.wait(60) == 3, log.read_text()
    assert "stopped, as SIGINT was received; start it again by the same command" in log.read_text()
    assert not (tmp_path / "runs" / "demo").exists()


@pytest.mark.alone
def test_a_time_budget_stops_in_time_and_everything_can_be_resumed(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    started = time.monotonic()
    options = ["--storage", tmp_path / "runs", "--num-samples", 500, "--time-budget", "60s"]
    driver = start("tune", space, "--name", "demo", *options, log=log)
    assert driver.wait(180) == 3, log.read_text()
    assert 60 <= time.monotonic() - started < 75
    assert f"its time is up; go on by\n  python tune.py --resume {directory}" in log.read_text()
    before = epochs_in_ledger(directory)
    assert before > 0
    code, said = resume(directory, "--time-budget", "1m")
    assert code == 3, said
    assert epochs_in_ledger(directory) > before
    numbers = [(t.method, t.number) for t in ledger_of(directory)]
    assert len(set(numbers)) == len(numbers)


def test_retry_failed_reruns_failed_trials_alone(space, tmp_path):
    """A checkpoint whose tensors don't fit fails its trial, as one of another version of the code might."""
    directory = tmp_path / "runs" / "demo"
    stop_in_the_middle(space, directory, tmp_path)
    victim = next(t for t in ledger_of(directory) if t.objectives and not t.state.ended)
    for path in (directory / "trials" / victim.name).glob("checkpoint-*"):
        tensors = {name: t for name, t in load_file(path).items() if "0.weight" not in name}
        location = RunDir(directory).trial(victim.name) / path.name
        save_recorded(location, read_header(location), tensors)
    code, said = resume(directory)
    assert code == 0, said
    assert f"{victim.name} has failed: " in said
    first = {t.name: t for t in ledger_of(directory)}
    assert [t.name for t in first.values() if t.state is LedgerState.FAILED] == [victim.name]
    table = results.load_results(directory)["trials"].set_index("trial")
    assert table.loc[victim.name, "state"] == "failed"
    assert table.loc[victim.name, "error"].startswith("Traceback")

    for path in (directory / "trials" / victim.name).glob("checkpoint-*"):
        path.unlink()
    code, said = resume(directory, "--retry-failed")
    assert code == 0, said
    assert f"trying again: {victim.name}\n" in said
    trials = assert_search_is_whole(directory, SAMPLES, tmp_path / "check")
    assert all(t == first[t.name] for t in trials if t.name != victim.name)
    assert "none, as no trial has failed" in resume(directory, "--retry-failed")[1]


def test_fewer_samples_than_there_are_change_nothing(space, tmp_path):
    directory = tmp_path / "runs" / "demo"
    stop_in_the_middle(space, directory, tmp_path)
    code, said = resume(directory, "--num-samples", 1)
    assert code == 0, said
    assert "--num-samples 1 changes nothing: the run has 3 of each method" in said
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


def test_other_versions_are_named_and_other_data_is_refused(space, tmp_path):
    directory = tmp_path / "runs" / "demo"
    stop_in_the_middle(space, directory, tmp_path)
    spec = directory / "spec.yaml"
    original = spec.read_text()
    content = yaml.safe_load(original)
    content["provenance"]["versions"]["torch"] = "1.2.3"
    content["provenance"]["git_commit"] = "0123abcd"
    spec.write_text(yaml.safe_dump(content, sort_keys=False))
    code, said = resume(directory)
    assert code == 0, said
    warning = next(line for line in said.splitlines() if line.startswith("warning: not what the run was started with"))
    assert "torch 1.2.3, now 2" in warning
    assert "git_commit 0123abcd, now" in warning

    ledger = (directory / "ledger.log").read_bytes()
    content["data"]["dataset"] = "0" * 64
    spec.write_text(yaml.safe_dump(content, sort_keys=False))
    code, said = resume(directory, "--num-samples", 4)
    assert code == 2, said
    assert "the dataset is not what the run" in said
    assert "0000" in said
    assert (directory / "ledger.log").read_bytes() == ledger
    spec.write_text(original)
    assert resume(directory)[0] == 0
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")
    assert len(RunDir(directory).provenance()["resumed"]) == 1


def test_what_hinders_the_machine_and_not_the_config_stops_the_search_without_failing_a_trial(space, tmp_path):
    directory = tmp_path / "runs" / "demo"
    stop_in_the_middle(space, directory, tmp_path, "--methods", "erm_target")
    waiting = directory / "trials" / "erm_target-00002"
    waiting.write_text("in the way")
    code, said = resume(directory)
    assert code == 3, said
    assert "erm_target-00002 goes on elsewhere, as a worker can't train on" in said
    assert str(waiting) in said
    assert not [t for t in ledger_of(directory) if t.state is LedgerState.FAILED]
    waiting.unlink()
    assert resume(directory)[0] == 0
    assert_search_is_whole(directory, {"erm_target": 3}, tmp_path / "check")
