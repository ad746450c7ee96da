"""A search that is killed while its trials still prepare, and ends as if nothing had happened."""

from pathlib import Path

import pytest

from scale_tune.storage.rundir import RunDir
from scale_tune.training.trialdir import read_record
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.searches import assert_search_is_whole, descendants, epochs_in_ledger, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SPACE = """\
methods:
  jtt:
    space:
      first_epochs: 4
      upweight: {type: choice, values: [2, 3, 5]}
space: {lr: 0.02, batch_size: 64}
sampler: grid
epochs: 2
seeds: [0]
scheduler: {name: asha, grace_period: 1, reduction_factor: 2}
resources: {max_concurrent: 1}
"""
FIRST = "jtt-00000"


def prepared(directory: Path) -> int:
    """Epochs of preparation that the first trial has a checkpoint of."""
    record = read_record(RunDir(directory).trial(FIRST)) if (directory / "trials" / FIRST).exists() else None
    return 0 if record is None else record.prepared


def test_a_search_that_is_killed_while_it_prepares_goes_on_there(tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(SPACE)
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    command = ["tune", space, "--name", "demo", "--storage", tmp_path / "runs"]
    for epochs in (1, 2):
        driver = start(*command, log=log)
        wait_until(lambda epochs=epochs: prepared(directory) >= epochs, driver, log)
        processes = descendants(driver.pid)
        kill_group(driver)
        wait_for_end(processes)
        assert epochs_in_ledger(directory) == 0, "it was killed too late"
        assert epochs <= prepared(directory) < 4
        command = ["tune", "--resume", directory]
    result = run(*command)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, {"jtt": 3}, tmp_path / "check")
    assert len(list((directory / "prepared").iterdir())) == 1, "the others began where the first one had come to"
