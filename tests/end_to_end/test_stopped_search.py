"""A search that is told to stop."""

import os
import signal

import pytest

from tests.support.commands import run, start, wait_until
from tests.support.searches import epochs_in_ledger, ledger_of

pytestmark = pytest.mark.ray


def test_a_stopped_search_says_how_to_resume_it(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    options = ["--storage", tmp_path / "runs", "--methods", "erm_target", "--num-samples", 1, "--epochs", 20]
    driver = start("tune", space, "--name", "demo", *options, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 1, driver, log)
    os.kill(driver.pid, signal.SIGTERM)
    assert driver.wait(60) == 3, log.read_text()
    assert f"python tune.py --resume {directory}" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert run("tune", "--resume", directory).returncode == 0
    assert all(trial.state.ended for trial in ledger_of(directory))
