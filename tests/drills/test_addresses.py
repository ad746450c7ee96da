"""Clusters that can't be reached, or no longer; the sockets and the Rays are real."""

import os
import signal
import socket
import time

import pytest

from tests.support.clusters import RayCluster
from tests.support.commands import run, start, wait_until
from tests.support.searches import descendants

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_where_nobody_says_anything_is_an_error_in_time_and_ctrl_c_works_all_along(space, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as mute:
        host = f"127.0.0.1:{mute.getsockname()[1]}"
        for waits in (False, True):
            logs = {address: tmp_path / f"{waits}-{address[:4]}" for address in (host, f"http://{host}")}
            words = ["tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--address"]
            processes = {address: start(*words, f"{address}\n", log=log) for address, log in logs.items()}
            for address, process in processes.items():
                log = logs[address]
                wait_until(lambda log=log: "connecting to" in log.read_text(), process, log)
                began = time.monotonic()
                if not waits:
                    process.send_signal(signal.SIGINT)
                assert process.wait(60) == (2 if waits else 3), log.read_text()
                assert time.monotonic() - began < (30 if waits else 10)
                said = log.read_text()
                assert f"--address {address}: " in said if waits else "stopped, as SIGINT was received" in said
                assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


def test_a_head_that_hangs_is_an_error_in_time(space, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = RayCluster(tmp_path, "--num-cpus=1")
    try:
        (head,) = (pid for pid, name in descendants(cluster.head.pid).items() if "gcs_server" in name)
        os.kill(head, signal.SIGSTOP)
        began = time.monotonic()
        monkeypatch.setenv("RAY_ADDRESS", f" {cluster.address}\n")
        result = run("tune", space, "--name", "demo", "--storage", tmp_path / "runs", "--address", "auto")
        assert result.returncode == 2, result.stdout + result.stderr
        assert f"--address auto, which is {cluster.address}: " in result.stderr
        assert time.monotonic() - began < 40
        os.kill(head, signal.SIGCONT)
    finally:
        cluster.shutdown()
