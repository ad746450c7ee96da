"""A thousand trials."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.commands import kill_group, wait_until
from tests.support.searches import descendants, ledger_of, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.alone, pytest.mark.timeout(1500)]

TRIALS = 1000


def start_near_empty(*arguments: object, log: Path) -> subprocess.Popen:
    script = Path(__file__).with_name("near_empty.py")
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip


def issued(directory: Path) -> int:
    """Counted in the journal's text, as reading it takes its time: Optuna's code 4 creates a trial."""
    ledger = directory / "ledger.log"
    return ledger.read_bytes().count(b'"op_code":4,') if ledger.exists() else 0


def test_a_thousand_trials_are_exactly_a_thousand_and_a_resumed_search_issues_the_next_at_once(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    options = ["--storage", tmp_path / "runs", "--methods", "erm_target,scale", "--num-samples", TRIALS // 2]
    options += ["--epochs", 3, "--set", "sampler=random"]
    driver = start_near_empty(space, "--name", "demo", *options, log=log)
    wait_until(lambda: issued(directory) >= TRIALS // 2, driver, log, limit=900)
    processes = descendants(driver.pid)
    kill_group(driver)
    wait_for_end(processes)

    before = issued(directory)
    running = [trial.name for trial in ledger_of(directory) if not trial.state.ended]
    assert running
    driver = start_near_empty("--resume", directory, log=log)
    wait_until(lambda: issued(directory) > before, driver, log, limit=15)
    assert driver.wait(900) == 0, log.read_text()

    trials = ledger_of(directory)
    assert Counter(trial.method for trial in trials) == {"erm_target": TRIALS // 2, "scale": TRIALS // 2}
    assert all(trial.state.ended for trial in trials)
    assert len({(trial.method, trial.params["lr"]) for trial in trials}) == TRIALS
    for trial in trials:
        drawn = random.Random(trial.name)
        assert trial.objectives == sorted(drawn.random() for _ in range(3))[: len(trial.objectives)]
