"""Trackers that are brought up to a run hold each point once, whatever became of the search and of earlier writers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scale_tune.spec.config import TrackerName
from scale_tune.tracking.to_tensorboard import FILE
from tests.conftest import REPOSITORY
from tests.support.trackers import Life, assert_shown_once, bring_up, expected, in_tensorboard, mlflow_runs, wandb_runs

QUIET = pytest.mark.filterwarnings("ignore")
"""Others' packages warn of each other."""
HEAVY = [pytest.param(name, marks=[pytest.mark.drill, QUIET]) for name in TrackerName if name != "tensorboard"]
NAMES = ["tensorboard", *HEAVY]
KILLED = """
import importlib, os, signal, sys
from scale_tune.storage.rundir import RunDir
from tests.support.trackers import bring_up

run, name, module, owner, method, calls = sys.argv[1:]
cls, left = getattr(importlib.import_module(module), owner), int(calls)
original = getattr(cls, method)

def counted(*arguments, **named):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **named)

setattr(cls, method, counted)
bring_up(RunDir(run), name)
"""
"""A process that dies at a call of a method, when what is below it is half done."""
DEATHS = [
    ("mlflow", "mlflow", "MlflowClient", "log_batch", 3),
    ("mlflow", "mlflow", "MlflowClient", "set_tag", 7),
    ("wandb", "wandb.sdk.wandb_run", "Run", "log", 4),
    ("wandb", "pathlib", "Path", "rename", 2),
    ("trackio", "trackio.sqlite_storage", "SQLiteStorage", "_insert_trace_rows", 2),
]


@pytest.fixture
def life(tmp_path) -> Life:
    return Life(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_was_followed_all_along_is_shown_once(life, name):
    for _ in life.stages():
        bring_up(life.run, name)
    assert_shown_once(life.run, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_tracker_that_comes_late_has_it_all(life, name):
    for _ in life.stages():
        pass
    bring_up(life.run, name)
    assert_shown_once(life.run, name)


@pytest.mark.drill
@QUIET
@pytest.mark.parametrize(("name", "module", "owner", "method", "calls"), DEATHS)
def test_what_a_killed_writer_left_is_made_whole(life, name, module, owner, method, calls):
    command = [sys.executable, "-c", KILLED, str(life.run.path), name, module, owner, method, str(calls)]
    alone = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}  # that of this process
    stages = life.stages()
    for _ in range(2):
        next(stages), next(stages)
        died = subprocess.run(command, cwd=REPOSITORY, env=alone, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    bring_up(life.run, name)
    assert_shown_once(life.run, name)


def test_an_event_file_may_be_torn_anywhere(life):
    for _ in life.stages():
        pass
    bring_up(life.run, "tensorboard")
    (file,) = (life.run.path.local / "tensorboard" / "scale-00000" / "seed-0").iterdir()
    whole = file.read_bytes()
    for kept in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:kept])
        bring_up(life.run, "tensorboard")
        assert file.read_bytes() == whole


def test_an_open_event_file_grows_at_its_end(life):
    """So that a TensorBoard that has it open sees what comes."""
    stages = life.stages()
    next(stages)
    bring_up(life.run, "tensorboard")
    file = life.run.path.local / "tensorboard" / "scale-00000" / "seed-0" / FILE
    began, inode = file.read_bytes(), file.stat().st_ino
    next(stages)
    bring_up(life.run, "tensorboard")
    assert file.read_bytes().startswith(began)
    assert len(file.read_bytes()) > len(began)
    assert file.stat().st_ino == inode


def test_a_failed_trial_is_shown_as_failed_and_a_seed_has_its_config(life):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    stages = life.stages()
    next(stages)
    bring_up(life.run, "tensorboard")
    contents = _hparams(life.run.path.local / "tensorboard" / life.names[3] / "seed-1")
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info
    assert start.group_name == life.names[3]
    params = life.ledger.trial(life.names[3]).params
    assert start.hparams["lr"].number_value == params["lr"]
    assert start.hparams["dataset"].string_value == "digits"
    assert start.hparams["seed"].number_value == 1
    end = HParamsPluginData.FromString(contents["_hparams_/session_end_info"]).session_end_info
    assert end.status == 2  # failure
    assert "_hparams_/session_end_info" not in _hparams(life.run.path.local / "tensorboard" / life.names[0] / "seed-1")


def _hparams(directory: Path) -> dict[str, bytes]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return dict(EventAccumulator(str(directory)).Reload().PluginTagToContent("hparams"))


@pytest.mark.drill
@QUIET
def test_mlflow_and_wandb_know_states_errors_and_configs(life):
    for _ in life.stages():
        bring_up(life.run, "mlflow", "wandb")
    runs = {each.info.run_name: each for each in mlflow_runs(life.run)}
    assert {name: runs[f"{name}-seed-0"].data.tags["state"] for name in life.names} == dict(
        zip(life.names, ("complete", "complete", "pruned", "failed"), strict=True)
    )
    assert [runs[f"{name}-seed-1"].info.status for name in life.names] == ["FINISHED", "FINISHED", "FINISHED", "FAILED"]
    assert "a reason" in runs[f"{life.names[3]}-seed-0"].data.tags["error"]
    assert float(runs["scale-00000-seed-0"].data.params["lr"]) == life.ledger.trial("scale-00000").params["lr"]
    exits = {}
    for records in wandb_runs(life.run):
        (of_run,) = [record.run for record in records if record.HasField("run")]
        exits[of_run.display_name] = [record.exit.exit_code for record in records if record.HasField("exit")]
        assert of_run.run_group in life.names
    assert exits == {f"{name}-seed-{seed}": [int(name == life.names[3])] for name in life.names for seed in (0, 1)}


def test_two_processes_do_not_write_one_tracker(life, monkeypatch):
    from scale_tune.storage import lock

    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.1)
    next(life.stages())
    with lock.only_tracking(life.run, "tensorboard"):
        failures = bring_up(life.run, "tensorboard", tolerant=True)
    assert "another process brings tensorboard up to the run" in str(failures["tensorboard"])
    assert in_tensorboard(life.run) == {}


def test_a_tracker_that_fails_does_not_keep_others_from_being_whole_and_is_whole_the_next_time(life, monkeypatch):
    from scale_tune.tracking import tracker_registry
    from scale_tune.tracking.to_tensorboard import TensorBoard

    class Unreachable(TensorBoard):
        reachable = False

        def write(self, curves):
            if not self.reachable:
                raise ConnectionError("no route to host")
            super().write(curves)

        @property
        def _directory(self):
            return self.run.path / "elsewhere"

    monkeypatch.setattr(
        "scale_tune.tracking.bringing_up.tracker_class",
        lambda name: Unreachable if name == "mlflow" else tracker_registry.tracker_class(name),
    )
    for _ in life.stages():
        pass
    failures = bring_up(life.run, "mlflow", "tensorboard", tolerant=True)
    assert list(map(str, failures.values())) == ["no route to host"]
    assert_shown_once(life.run, "tensorboard")
    assert not (life.run.path.local / "elsewhere").exists()
    Unreachable.reachable = True
    bring_up(life.run, "mlflow")
    assert len(list((life.run.path.local / "elsewhere").glob("*/*/*"))) == 2 * len(life.names)


def test_what_is_expected_is_not_nothing(life):
    for _ in life.stages():
        pass
    names = {name for _, _, name, _ in expected(life.run)}
    assert {"val/worst_group", "train/loss", "lr", "diagnostics/cosine", "test/average"} <= names
