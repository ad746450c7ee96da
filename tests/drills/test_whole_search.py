"""A whole search of three methods, several samples and seeds: killed twice, resumed, extended, analysed, refused."""

from collections import Counter
from pathlib import Path

import pytest

from scale_tune.ledger.studies import LedgerState
from scale_tune.storage.lock import only_driver
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables import run_schemas
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.searches import assert_search_is_whole, descendants, epochs_in_ledger, ledger_of, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

METHODS = ("erm", "erm_target", "scale")
SPACE = """\
methods:
  erm: {epochs: 2}
  erm_target: {epochs: 6}
  scale:
    space:
      group_size: {type: choice, values: [4, 64]}
      regularize_mode: {type: choice, values: [linear, step]}
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: 64
num_samples: 3
epochs: 3
seeds: [0, 1]
scheduler: {name: asha, grace_period: 1, reduction_factor: 2}
"""


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
    processes = descendants(driver.pid)
    assert any("ray::" in command for command in processes.values())
    kill_group(driver)
    wait_for_end(processes)  # a driver that is killed takes its Ray with it
    before = epochs_in_ledger(directory)
    assert any(not t.state.ended for t in ledger_of(directory))

    driver = start("tune", "--resume", directory, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= before + 4, driver, log)
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

    result = run("analyze", directory, "--export", tmp_path / "tables")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path.name for path in (tmp_path / "tables").iterdir()} >= {
        f"{name}.parquet" for name in run_schemas.SCHEMAS
    }
    for row in (*METHODS, "dfr (scale)", "dfr (dfr)", "pretrained baseline left out: small_cnn"):
        assert row in result.stdout
    tables = results.load_results(directory)
    seeds = RunDir(directory).read_spec().seeds
    of_erm = [trial.name for trial in extended if trial.method == "erm" and trial.state is LedgerState.COMPLETE]
    refitted = tables["dfr"].groupby("trial").size()
    assert refitted.to_dict() == dict.fromkeys(of_erm, 2 * len(seeds)), "every one, each seed by both protocols"
