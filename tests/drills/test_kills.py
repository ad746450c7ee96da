"""Processes killed for real, and the same search at the end as if nothing had happened."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from scale_tune.storage.rundir import RunDir
from tests.drills.conftest import SAMPLES
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.killing import kill_everything, kill_ray
from tests.support.searches import (
    assert_search_is_whole,
    descendants,
    epochs_in_ledger,
    half_written,
    wait_for_end,
    workers_below,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


def go_on(directory: Path, space: Path, log: Path, *options: object):
    """Launch the run, or resume it where there is one, as a user's script would."""
    if directory.exists():
        return start("tune", "--resume", directory, log=log)
    return start("tune", space, "--name", directory.name, "--storage", directory.parent, *options, log=log)


def finish(directory: Path, tmp_path: Path, samples: dict[str, int] = SAMPLES) -> None:
    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, samples, tmp_path / "check")


TWO_STAGES = """\
methods:
  erm_target: {epochs: 6}
  jtt:
    epochs: 2
    space:
      first_epochs: {type: choice, values: [1, 2]}
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: 64
num_samples: 12
seeds: [0]
sampler: tpe
scheduler: {name: asha, grace_period: 1, reduction_factor: 2}
"""
"""Of each method two trials more than TPE draws at random; the ledger knows nothing of the first stage of one."""


def test_the_driver_is_killed_at_ten_random_moments(tmp_path):
    """Two within the first second, three while a checkpoint is being written, five anywhere."""
    directory, log, space = tmp_path / "runs" / "demo", tmp_path / "log", tmp_path / "two-stages.yaml"
    space.write_text(TWO_STAGES)
    drawn = random.Random(4)
    for kill in range(10):
        driver = go_on(directory, space, log)
        if kill < 2:
            time.sleep(drawn.uniform(0, 1))
        elif kill < 5:
            wait_until(lambda: half_written(directory), driver, log, interval=0)  # it lasts for milliseconds
        else:
            before = epochs_in_ledger(directory)
            wait_until(lambda before=before: epochs_in_ledger(directory) > before, driver, log)
            time.sleep(drawn.uniform(0, 2))
        assert driver.poll() is None, f"ended before kill {kill}:\n{log.read_text()}"
        processes = descendants(driver.pid)
        kill_group(driver)
        wait_for_end(processes)
    finish(directory, tmp_path, {"erm_target": 12, "jtt": 12})


@pytest.mark.parametrize("with_driver", [True, False])
def test_the_whole_ray_instance_is_killed(space, tmp_path, with_driver):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = go_on(directory, space, log)
    wait_until(lambda: epochs_in_ledger(directory) >= 3, driver, log)
    (kill_everything if with_driver else kill_ray)(driver)
    code = driver.wait(240)
    assert code in ((-signal.SIGKILL,) if with_driver else (0, 3)), log.read_text()
    finish(directory, tmp_path)


def test_a_worker_is_killed_in_the_middle_of_an_epoch(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = go_on(directory, space, log)
    for epochs in (1, 4, 8):
        wait_until(lambda epochs=epochs: epochs_in_ledger(directory) >= epochs, driver, log)
        wait_until(lambda: any(workers_below(driver.pid)), driver, log)
        for pid in workers_below(driver.pid):
            os.kill(pid, signal.SIGKILL)
    assert driver.wait(240) == 0, log.read_text()
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")
    assert "died unexpectedly" in (directory / "ray.log").read_text()


@pytest.mark.alone
def test_a_worker_is_killed_by_rays_memory_monitor(space, tmp_path, monkeypatch):
    """A process beside the search takes memory until Ray has killed a worker for it, and lets go of it then."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {name: int(kibibytes) * 2**10 for name, kibibytes, *_ in lines}
    room = 4 * 2**30
    threshold = (memory["MemTotal:"] - memory["MemAvailable:"] + room) / memory["MemTotal:"]
    assert threshold < 0.95, "this machine is too full for this drill"
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = go_on(directory, space, log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    hog = bytearray(room + 2**30)
    hog[:: 2**12] = b"x" * len(hog[:: 2**12])
    wait_until(lambda: "memory is short" in log.read_text(), driver, log)
    del hog
    assert driver.wait(240) == 0, log.read_text()
    assert "going on with at most 1 at once" in log.read_text()
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")
    assert RunDir(directory).read_spec().resources.max_concurrent is None, "the next start may use all of the machine"
