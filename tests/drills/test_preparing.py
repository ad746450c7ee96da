"""A search that is killed while its trials prepare, or while seeds catch up, and ends as if nothing had happened."""

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


RACE = SPACE.replace("seeds: [0]", "seeds: [0, 1]").replace("factor: 2}", "factor: 2, first_seeds: 1}")


@pytest.mark.parametrize(
    ("text", "moments", "told"), [(SPACE, (1, 2), 0), (RACE, (5, 6), 1)], ids=["preparing", "catching up"]
)
def test_a_search_that_is_killed_while_it_prepares_goes_on_there(text, moments, told, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(text)
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    command = ["tune", space, "--name", "demo", "--storage", tmp_path / "runs"]
    for epochs in moments:
        driver = start(*command, log=log)
        wait_until(lambda epochs=epochs: prepared(directory) >= epochs, driver, log)
        processes = descendants(driver.pid)
        kill_group(driver)
        wait_for_end(processes)
        assert epochs_in_ledger(directory) == told, "it was killed too late"
        assert epochs <= prepared(directory) < moments[0] + 3
        command = ["tune", "--resume", directory]
    result = run(*command)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, {"jtt": 3}, tmp_path / "check")
    shared = len(list((directory / "prepared").iterdir()))
    assert shared == 1 + told, "the others began where the first one had come to, the seeds of each stage together"
