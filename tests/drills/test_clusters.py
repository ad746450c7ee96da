"""Clusters of several nodes, which are raylets of their own, and the ways to reach one."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scale_tune.storage.rundir import RunDir
from scale_tune.training.records import read_record
from tests.conftest import REPOSITORY
from tests.drills.conftest import SAMPLES
from tests.support.clusters import RayCluster, wait_for_port
from tests.support.commands import altered_checkout, kill_group, run, start, wait_until
from tests.support.runs import fast_spec, make_run
from tests.support.searches import assert_search_is_whole, epochs_in_ledger, is_alive, wait_for, workers_below

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
    options += ["--epochs", 20, "--set", "scheduler.name=none"]
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


@pytest.mark.parametrize("cluster", [ONE_CPU], indirect=True)
def test_a_search_is_driven_from_outside_by_a_ray_client(space, tmp_path, cluster):
    wait_for_port(cluster.ip, cluster.client_port)
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    address = f"ray://{cluster.ip}:{cluster.client_port}"
    refused = run("tune", space, "--name", "demo", "--storage", "runs", "--address", address)
    assert refused.returncode == 2
    assert "give a path that all of its nodes share" in refused.stderr
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--address", address, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 2, driver, log)
    os.kill(driver.pid, signal.SIGINT)
    assert driver.wait(120) == 3, log.read_text()
    assert f"python tune.py --resume {directory}" in log.read_text()

    log.write_text("")
    driver = start("tune", "--resume", directory, "--address", address, log=log)
    before = epochs_in_ledger(directory)
    wait_until(lambda: epochs_in_ledger(directory) > before, driver, log)
    there = int(RunDir(directory).path.local.joinpath("driver.json").read_text().partition('"pid": ')[2].split(",")[0])
    assert there != driver.pid
    kill_group(driver)
    wait_for(lambda: not is_alive(there), 120, lambda: "the driver on the head outlives the one outside")

    result = run("tune", "--resume", directory, "--address", address)
    assert result.returncode == 0, result.stdout + result.stderr
    # Its last line. Nothing need have been left to do: Ray gives a client that is gone 30 s to come back.
    assert f"compare the methods by\n  python analyze.py {directory}" in result.stdout
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


@pytest.mark.parametrize("cluster", [WITH_JOBS], indirect=True)
def test_a_search_is_submitted_as_a_ray_job(space, tmp_path, cluster):
    working_directory = tmp_path / "job"
    shutil.copytree(REPOSITORY / "scale_tune", working_directory / "scale_tune")
    shutil.copy(REPOSITORY / "tune.py", working_directory)
    shutil.copy(space, working_directory)
    submit = [Path(sys.executable).with_name("ray"), "job", "submit", "--working-dir", working_directory]
    address = ["--address", f"http://127.0.0.1:{cluster.dashboard_port}", "--", sys.executable, "tune.py", space.name]
    options = ["--name", "demo", "--storage", tmp_path / "runs", "--methods", "erm_target", "--num-samples", "1"]
    result = subprocess.run([*submit, *address, *options], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(tmp_path / "runs" / "demo", {"erm_target": 1}, tmp_path / "check")


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


@pytest.mark.parametrize("cluster", [ONE_CPU], indirect=True)
def test_last_layers_are_refitted_on_a_cluster_and_from_outside_it(tmp_path, cluster):
    made = make_run(tmp_path / "runs", fast_spec(methods=["erm"], num_samples=1, epochs=1))
    result = run("analyze", made.path, "--dfr", "scale", "--address", cluster.address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 2: DFR (scale protocol) on erm-00000, seed 1" in result.stdout
    wait_for_port(cluster.ip, cluster.client_port)
    address = f"ray://{cluster.ip}:{cluster.client_port}"
    result = run("analyze", made.path, "--export", tmp_path / "tables", "--address", address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 2: DFR (dfr protocol) on erm-00000, seed 1" in result.stdout
    assert "dfr (dfr)" in result.stdout
    assert (tmp_path / "tables" / "comparison.csv").exists()
