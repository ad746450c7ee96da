"""Clusters of several nodes, which are raylets of their own, and the ways to reach one."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scale_tune.storage.rundir import RunDir
from scale_tune.training.trialdir import read_record
from tests.drills.conftest import SAMPLES
from tests.support.clusters import RayCluster
from tests.support.commands import altered_checkout, kill_group, run, start, wait_until
from tests.support.runs import fast_spec, make_run
from tests.support.searches import assert_search_is_whole, epochs_in_ledger, ledger_of, workers_below

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture
def cluster(tmp_path, request, monkeypatch):
    """A head that trains nothing, unless the test says otherwise."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    options = getattr(request, "param", {"options": ["--num-cpus=0"]})
    cluster = RayCluster(tmp_path, *options["options"], dashboard=options.get("dashboard", False))
    yield cluster
    cluster.shutdown()


ONE_CPU = {"options": ["--num-cpus=1"]}
WITH_JOBS = {"options": ["--num-cpus=1"], "dashboard": True}


def test_a_killed_node_loses_nothing_and_one_that_joins_later_is_used(space, tmp_path, cluster):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    first, second = cluster.join("--num-cpus=1"), cluster.join("--num-cpus=1")
    options = ["--storage", tmp_path / "runs", "--address", cluster.address]
    options += ["--epochs", 30, "--set", "scheduler.name=none"]
    driver = start("tune", space, "--name", "demo", *options, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 3, driver, log)
    cluster.kill(first)
    before = epochs_in_ledger(directory)
    wait_until(lambda: epochs_in_ledger(directory) >= before + 3, driver, log)
    third = cluster.join("--num-cpus=1")
    wait_until(lambda: training(third), driver, log)
    assert training(second)
    assert driver.wait(300) == 0, log.read_text()
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


def training(node: subprocess.Popen) -> int:
    """How many of the node's processes work on trials."""
    return len(list(workers_below(node.pid)))


def test_when_the_head_is_killed_the_run_goes_on_on_another_cluster(space, tmp_path, cluster):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    cluster.join("--num-cpus=1")
    driver = start(
        "tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--address", cluster.address, log=log
    )
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    for node in list(cluster.nodes):
        cluster.kill(node)
    assert driver.wait(300) == 3, log.read_text()
    assert f"python tune.py --resume {directory}" in log.read_text()
    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


@pytest.mark.parametrize("cluster", [ONE_CPU], indirect=True)
def test_the_package_is_shipped_to_workers(space, tmp_path, cluster):
    """A copy of the package that writes another node's name is what the workers run, not what is installed there."""
    script = altered_checkout(tmp_path, "training/trial.py", "node=platform.node()", 'node="shipped"')
    command = [sys.executable, script, space, "--name", "demo", "--storage", tmp_path / "runs"]
    options = ["--address", cluster.address, "--methods", "erm_target", "--num-samples", "1", "--epochs", "1"]
    # Workers on the driver's own machine would look into its current directory first.
    result = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert read_record(RunDir(tmp_path / "runs" / "demo").trial("erm_target-00000")).node == "shipped"
    joined, _, waited = result.stdout.partition("trying a step of each method")
    assert f"connected to the Ray cluster at {cluster.address}: 1 node, 1 CPUs\n" in joined, "said before it waits"
    assert waited


@pytest.mark.parametrize("cluster", [WITH_JOBS], indirect=True)
def test_a_search_submits_itself_as_a_job_and_is_found_again(space, tmp_path, cluster):
    """From a copy of the package that writes another node's name: driver and workers run the submitter's code."""
    directory, first, second = tmp_path / "runs" / "demo", tmp_path / "first", tmp_path / "second"
    script = altered_checkout(tmp_path, "training/trial.py", "node=platform.node()", 'node="shipped"')
    search = [sys.executable, script, space.name, "--name", "demo", "--storage", tmp_path / "runs"]
    options = ["--address", cluster.dashboard, "--num-samples", 2, "--epochs", 12, "--set", "scheduler.name=none"]

    follower = outside(*search, *options, log=first)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, follower, first)
    kill_group(follower)
    before = epochs_in_ledger(directory)
    follower = outside(*search, *options, log=second)
    wait_until(lambda: "found the job" in second.read_text(), follower, second)
    refused = outside(*search, *options, "--seeds", 1, log=tmp_path / "refused")
    assert refused.wait(60) == 2
    assert "works on" in (tmp_path / "refused").read_text()
    assert follower.wait(300) == 0, second.read_text()
    assert epochs_in_ledger(directory) > before
    assert submitted(first) == submitted(second)
    log = second.read_text()
    assert log.count("Running entrypoint") == log.count(f"compare the methods by\n  python analyze.py {directory}") == 1
    trials = assert_search_is_whole(directory, {"erm_target": 2, "scale": 2}, tmp_path / "check")
    assert {read_record(RunDir(directory).trial(trial.name)).node for trial in trials} == {"shipped"}

    again = outside(*search, *options, log=tmp_path / "again")
    assert again.wait(60) == 0
    assert submitted(tmp_path / "again") == submitted(first)
    extended = outside(
        sys.executable, script, "--resume", directory, "--num-samples", 3, "--address", cluster.dashboard,
        log=tmp_path / "extended",
    )  # fmt: skip
    assert extended.wait(240) == 0
    assert submitted(tmp_path / "extended") != submitted(first)
    assert len(ledger_of(directory)) == 6


@pytest.mark.parametrize("cluster", [WITH_JOBS], indirect=True)
def test_a_job_is_left_stopped_and_resumed(space, tmp_path, cluster):
    directory, log, found = tmp_path / "runs" / "demo", tmp_path / "log", tmp_path / "found"
    address = ["--address", cluster.dashboard]
    search = [space, "--name", "demo", "--storage", tmp_path / "runs", "--num-samples", 2]
    search += ["--epochs", 12, "--set", "scheduler.name=none"]
    follower = start("tune", *search, *address, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, follower, log)
    os.kill(follower.pid, signal.SIGINT)
    assert follower.wait(30) == 3, log.read_text()
    assert "left the job, which goes on" in log.read_text()
    before = epochs_in_ledger(directory)

    follower = start("tune", "--resume", directory, *address, log=found)
    wait_until(lambda: "found the job" in found.read_text(), follower, found)
    wait_until(lambda: epochs_in_ledger(directory) > before, follower, found)
    assert submitted(found) == submitted(log)
    (stop,) = {line.split(":  ")[1].strip() for line in found.read_text().splitlines() if "to stop it:" in line}
    ray, *words = stop.split()
    stopped = subprocess.run([Path(sys.executable).with_name(ray), *words], capture_output=True, text=True, timeout=120)
    assert "was stopped" in stopped.stdout + stopped.stderr
    assert follower.wait(30) == 3, found.read_text()
    # The driver said so itself: it was told, and had the time.
    assert f"stopped, as SIGTERM was received; go on by\n  python tune.py --resume {directory}" in found.read_text()
    assert any(not trial.state.ended for trial in ledger_of(directory))

    refused = run("tune", *search, *address)
    assert refused.returncode == 2
    assert f"the run {directory} exists; go on with it by" in refused.stdout
    result = run("tune", "--resume", directory, *address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, {"erm_target": 2, "scale": 2}, tmp_path / "check")


@pytest.mark.parametrize("cluster", [WITH_JOBS], indirect=True)
def test_what_a_job_refuses_is_refused_here(space, tmp_path, cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # which Ray itself would prefer to the address it is given
    search = [space, "--name", "demo", "--storage", tmp_path / "runs", "--address", cluster.dashboard]
    for _ in range(2):  # what has failed may be tried again
        result = run("tune", *search, "--gpus-per-trial", 1)
        assert result.returncode == 2
        assert "the largest node has 1 CPUs and 0 GPUs" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert not (tmp_path / "runs").exists()
    assert run("analyze", tmp_path / "absent", "--address", cluster.dashboard).returncode == 2


def outside(*command: object, log: Path) -> subprocess.Popen:
    """A command with another current directory than the package's."""
    with log.open("ab") as output:
        words = [*map(str, command)]
        return subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=log.parent)


def submitted(log: Path) -> str:
    """The id of the job that a command has submitted or found."""
    found = re.search(r"(?:submitted|found) the job (\S+),", log.read_text())
    assert found, log.read_text()
    return found[1]


@pytest.mark.parametrize("cluster", [{"options": ["--num-cpus=4", "--num-gpus=1"]}], indirect=True)
@pytest.mark.parametrize(("gpus", "seen"), [(0.25, "0"), (0, "")])
def test_four_trials_share_a_gpu_and_trials_without_one_see_none(space, tmp_path, cluster, gpus, seen):
    """The GPU is only declared; each worker writes down which ones Ray let it see."""
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    seen_by_worker = 'node=__import__("os").environ.get("CUDA_VISIBLE_DEVICES", "all")'
    script = altered_checkout(tmp_path, "training/trial.py", "node=platform.node()", seen_by_worker)
    command = [sys.executable, script, space, "--name", "demo", "--storage", tmp_path / "runs"]
    options = ["--address", cluster.address, "--methods", "erm_target", "--num-samples", 4, "--gpus-per-trial", gpus]
    options += ["--epochs", 25, "--set", "scheduler.name=none"]
    with log.open("wb") as output:
        arguments = [*map(str, command + options)]
        driver = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path)
    wait_until(lambda: training(cluster.head) == 4, driver, log)
    assert driver.wait(240) == 0, log.read_text()
    run_dir = RunDir(directory)
    assert [read_record(run_dir.trial(f"erm_target-{n:05d}")).node for n in range(4)] == [seen] * 4
    assert ("torch finds none" in log.read_text()) == (gpus > 0)


@pytest.mark.parametrize("cluster", [ONE_CPU], indirect=True)
def test_what_the_cluster_cannot_give_is_an_error_before_anything_starts(space, tmp_path, cluster):
    options = ["--storage", tmp_path / "runs", "--name", "demo", "--address", cluster.address]
    result = run("tune", space, *options, "--gpus-per-trial", 1)
    assert result.returncode == 2
    assert "the largest node has 1 CPUs and 0 GPUs" in result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("cluster", [WITH_JOBS], indirect=True)
def test_last_layers_are_refitted_on_a_cluster_and_from_outside_it(tmp_path, cluster):
    made = make_run(tmp_path / "runs", fast_spec(methods=["erm"], num_samples=1, epochs=1))
    result = run("analyze", made.path, "--dfr", "scale", "--address", cluster.address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 2: DFR (scale protocol) on erm-00000, seed 1" in result.stdout
    address = cluster.dashboard
    result = run("analyze", made.path, "--export", tmp_path / "tables", "--address", address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 2: DFR (dfr protocol) on erm-00000, seed 1" in result.stdout
    assert "dfr (dfr)" in result.stdout
    assert (tmp_path / "tables" / "comparison.csv").exists()
