"""Last layers refitted on real workers: beside each other, killed for real, interrupted, or on other data."""

import os
import shutil
import signal
from dataclasses import replace

import pytest

from scale_tune.dfr.protocols import refit_trial
from scale_tune.ledger.studies import read_trials
from scale_tune.spec.config import DfrProtocol
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.training.kept_features import load_features, save_features
from tests.support.commands import run as command
from tests.support.commands import start, wait_until
from tests.support.runs import fast_spec, make_run
from tests.support.searches import descendants, wait_for_end

pytestmark = pytest.mark.ray

WHAT_IS_WRITTEN = {"trials.parquet", "comparison.tex"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunDir:
    """Two seeds."""
    fixed = {"space": {"lr": 0.01, "batch_size": 256}, "num_samples": 1, "epochs": 1, "scheduler": {"name": "none"}}
    return make_run(tmp_path_factory.mktemp("runs"), fast_spec(methods={"erm": {}}, **fixed))


@pytest.fixture
def run(made, tmp_path) -> RunDir:
    return RunDir(shutil.copytree(made.path.local, tmp_path / "run"))


def refitting_below(pid: int) -> list[int]:
    """Workers that refit at the moment."""
    return [child for child, name in descendants(pid).items() if name.startswith("ray::_called")]


def test_a_killed_workers_refit_is_done_again_and_equals_one_without_workers(run, tmp_path):
    log = tmp_path / "log"
    process = start("analyze", run.path, "--dfr", "scale,dfr,class", log=log)
    wait_until(lambda: refitting_below(process.pid), process, log)
    for pid in refitting_below(process.pid):
        os.kill(pid, signal.SIGKILL)
    assert process.wait(240) == 0, log.read_text()
    assert "2 of 2: DFR (scale and dfr and class protocol) on erm-00000, seed 1" in log.read_text()
    table = results.load_results(run.path)["dfr"]
    config = run.read_spec().trial_config("erm", read_trials(run.ledger)[0].params)
    asked = (DfrProtocol.SCALE, DfrProtocol.DFR, DfrProtocol.CLASS)
    for seed in config.seeds:
        fingerprint = load_features(run.trial("erm-00000"), seed).fingerprint
        for result in refit_trial(run.trial("erm-00000"), seed, config, fingerprint, asked):
            (row,) = table[(table["seed"] == seed) & (table["protocol"] == result.protocol)].to_dict("records")
            assert (row["C"], row["nonzero"]) == (result.C, result.classifier.nonzero)
            assert row["test_worst_group"] == pytest.approx(result.test.summary()["worst_group"])


def test_an_interrupted_analysis_goes_on_by_the_same_command(run, tmp_path):
    log = tmp_path / "log"
    process = start("analyze", run.path, log=log)
    wait_until(lambda: refitting_below(process.pid), process, log)
    processes = descendants(process.pid)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 3, log.read_text()
    assert "stopped; the same command goes on" in log.read_text()
    assert "Traceback" not in log.read_text()
    wait_for_end(processes)
    assert not WHAT_IS_WRITTEN & set(run.results.names())

    result = command("analyze", run.path)
    assert result.returncode == 0, result.stderr
    assert set(run.results.names()) >= WHAT_IS_WRITTEN
    again = command("analyze", run.path)
    assert again.returncode == 0
    assert "refitting" in result.stdout
    assert "refitting" not in again.stdout
    assert "dfr (scale)" in again.stdout


def test_features_of_other_data_than_was_trained_on_are_refused_by_the_worker(run):
    kept = load_features(run.trial("erm-00000"), 0)
    save_features(run.trial("erm-00000"), replace(kept, fingerprint="of other splits"))
    result = command("analyze", run.path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "was trained on other splits" in result.stderr
    assert "Traceback" not in result.stderr
