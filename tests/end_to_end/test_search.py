"""A whole search: the commands as a user starts them, on real workers, told to stop and killed for real."""

import os
import signal
from collections import Counter

import pytest

from scale_tune.ledger.studies import LedgerState
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables import run_schemas
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.searches import (
    LOOPBACK,
    assert_search_is_whole,
    descendants,
    epochs_in_ledger,
    ledger_of,
    listening,
    wait_for_end,
)
from tests.support.trackers import assert_shown_once

pytestmark = pytest.mark.ray

METHODS = ("erm", "erm_target", "scale")


def test_a_search_stopped_and_killed_is_resumed_extended_and_analysed(space, tmp_path):
    """What else may happen to one is in tests/drills."""
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    options = ("--storage", tmp_path / "runs", "--num-samples", 1, "--set", "track=[tensorboard]")
    driver = start("tune", space, "--name", "demo", *options, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 1, driver, log)
    os.kill(driver.pid, signal.SIGTERM)
    assert driver.wait(60) == 3, log.read_text()
    assert f"python tune.py --resume {directory}" in log.read_text()
    assert "Traceback" not in log.read_text()
    before = epochs_in_ledger(directory)
    assert any(not t.state.ended for t in ledger_of(directory))

    driver = start("tune", "--resume", directory, log=log)
    wait_until(lambda: epochs_in_ledger(directory) > before, driver, log)
    processes = descendants(driver.pid)
    assert any("ray::" in command for command in processes.values())
    sockets = listening([driver.pid, *processes])
    assert len(sockets) > 5, "Ray's processes talk to each other by these"
    assert [at for at in sockets if not at.startswith(LOOPBACK)] == [], f"others on the network may, too: {sockets}"
    kill_group(driver)
    wait_for_end(processes)  # a driver that is killed takes its Ray with it
    killed = ledger_of(directory)
    assert any(not t.state.ended for t in killed)

    logged = len((directory / "ray.log").read_text())
    result = run("tune", "--resume", directory, "--num-samples", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (directory / "ray.log").read_text()[logged:] == "", "where nothing goes wrong, Ray has nothing to say"
    assert "epochs, " in result.stdout
    trials = assert_search_is_whole(directory, dict.fromkeys(METHODS, 2), tmp_path / "check")
    kept = {trial.name: trial for trial in trials}
    for trial in killed:
        assert kept[trial.name].objectives[: len(trial.objectives)] == trial.objectives
        assert kept[trial.name].params == trial.params

    assert f"tensorboard has it all: tensorboard --logdir {directory}/tensorboard" in result.stdout
    assert_shown_once(RunDir(directory), "tensorboard")

    result = run("analyze", directory, "--export", tmp_path / "tables")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path.name for path in (tmp_path / "tables").iterdir()} >= {
        f"{name}.parquet" for name in run_schemas.SCHEMAS
    }
    for row in (*METHODS, "dfr (scale)", "dfr (dfr)", "pretrained baseline left out: small_cnn"):
        assert row in result.stdout
    refitted = Counter(results.load_results(directory)["dfr"]["trial"])
    of_erm = [trial.name for trial in trials if trial.method == "erm" and trial.state is LedgerState.COMPLETE]
    seeds = RunDir(directory).read_spec().seeds
    assert refitted == dict.fromkeys(of_erm, 2 * len(seeds)), "every one, each seed by both protocols"
