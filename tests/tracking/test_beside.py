"""The process beside a search: it follows, ends with the driver, and hurts nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

from scale_tune.tracking import beside
from scale_tune.tracking.beside import Beside
from tests.conftest import REPOSITORY
from tests.support.searches import descendants, is_alive, wait_for
from tests.support.trackers import Life, assert_shown_once, in_tensorboard

DRIVER = """
import sys, time
from scale_tune.storage.rundir import RunDir
from scale_tune.tracking.beside import Beside
run = RunDir(sys.argv[1])
with Beside(run, run.read_spec().track, print):
    print("driving", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def life(tmp_path) -> Life:
    return Life(tmp_path, track=["tensorboard"])


def test_a_search_is_followed_and_its_last_trials_are_there_when_it_is_done(life):
    said, stages = [], life.stages()
    next(stages)
    with Beside(life.run, ("tensorboard",), said.append) as trackers:
        wait_for(lambda: in_tensorboard(life.run), 60)
        for _ in stages:
            pass
        trackers.finish()
        wait_for(lambda: said, 10)
    assert_shown_once(life.run, "tensorboard")
    assert said == [f"tensorboard has it all: tensorboard --logdir {life.run.path}/tensorboard"]


def test_without_trackers_nothing_is_started(life):
    before = descendants(os.getpid()).keys()
    with Beside(life.run, (), print) as trackers:
        assert descendants(os.getpid()).keys() <= before
        trackers.finish()


def test_it_ends_with_a_driver_that_is_killed(life):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(life.run.path)], cwd=REPOSITORY)
    try:
        wait_for(lambda: "follower" in str(descendants(driver.pid)), 60)
        followers = [pid for pid, command in descendants(driver.pid).items() if "follower" in command]
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: not any(map(is_alive, followers)), 20)


def test_a_search_that_stops_does_not_wait_for_a_tracker_that_hangs(life):
    said = []
    with Beside(life.run, ("tensorboard",), said.append) as trackers:
        process = trackers._process
        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert process.returncode == -signal.SIGKILL
    assert said == []


def test_a_search_that_is_done_waits_for_a_while_and_then_says_what_to_do(life, monkeypatch):
    monkeypatch.setattr(beside, "LAST_ROUND_SECONDS", 0.2)
    monkeypatch.setattr(beside, "SAY_SECONDS", 0.1)
    said = []
    with Beside(life.run, ("tensorboard",), said.append) as trackers:
        os.kill(trackers._process.pid, signal.SIGSTOP)
        trackers.finish()
    assert said[0] == "the last trials are on their way to tensorboard"
    assert said[-1] == (
        f"not everything has reached tensorboard; make up for it by\n  python analyze.py {life.run.path} "
        "--track tensorboard"
    )


def test_a_tracker_that_crashes_is_told_of_once(life):
    said = []
    with Beside(life.run, ("tensorboard",), said.append) as trackers:
        trackers._process.kill()
        wait_for(lambda: said, 10)
        trackers.finish()
    (line,) = said
    assert line.startswith("warning: trackers are no longer brought up, see")
    assert "python analyze.py" in line


def test_what_a_tracker_can_not_do_is_a_warning_once(life):
    (life.run.path.local / "tensorboard").write_text("in the way")
    for _ in life.stages():
        pass
    said = []
    with Beside(life.run, ("tensorboard",), said.append) as trackers:
        wait_for(lambda: said, 60)
        trackers.finish()
        wait_for(lambda: len(said) > 1, 10)
    assert said[0].startswith("warning: tensorboard lags behind: ")
    assert "not everything has reached tensorboard" in said[-1]
    assert len([line for line in said if line.startswith("warning")]) == 1
    assert "Traceback" in (life.run.path.local / "tracking.log").read_text()
