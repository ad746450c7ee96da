"""A confirmation that is killed goes on by the same command."""

import re

import pandas as pd
import pytest

from scale_tune.storage.rundir import RunDir
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.searches import assert_search_is_whole, descendants, epochs_in_ledger, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_a_killed_confirmation_goes_on_and_stands_beside_the_search(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    confirmation = directory / "confirm"
    assert run("tune", space, "--name", "demo", "--storage", tmp_path / "runs").returncode == 0
    command = ["analyze", directory, "--confirm", "--top-k", 1, "--dfr", "none"]
    driver = start(*command, log=log)
    wait_until(lambda: epochs_in_ledger(confirmation) >= 2, driver, log)
    processes = descendants(driver.pid)
    kill_group(driver)
    wait_for_end(processes)

    result = run(*command)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(confirmation, {"erm_target": 1, "scale": 1}, tmp_path / "check")
    assert RunDir(confirmation).read_spec().seeds == (1,)
    comparison = pd.read_parquet(directory / "results" / "comparison.parquet")
    assert sorted(zip(comparison["method"], comparison["seeds_kind"], strict=True)) == [
        ("erm_target", "confirmed"),
        ("erm_target", "searched"),
        ("scale", "confirmed"),
        ("scale", "searched"),
    ]
    assert (comparison.groupby("method")["config"].nunique() == 1).all()

    result = run(*command[:-3], 2, *command[-2:])
    assert result.returncode == 0, result.stdout + result.stderr
    # Some trials were pruned, so a method need not have a second one.
    assert re.search(
        rf"{confirmation} was begun with other configs, and lacks [12] of the best 2 of each method", result.stdout
    )
