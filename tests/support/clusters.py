"""Real Ray clusters on this machine, of ``ray start``, with each node's processes in a group of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import ray
from ray._raylet import GcsClient

from tests.support.searches import descendants, wait_for

SMALL_STORE = str(2**27)


class RayCluster:
    """A head, and nodes that may join and be killed.

    Args:
        scratch: for the logs; also the current directory of all nodes, so that they don't see this checkout.
        options: of ``ray start`` for the head, besides the ports.
        dashboard: whether jobs can be submitted.
    """

    def __init__(self, scratch: Path, *options: str, dashboard: bool = False) -> None:
        self.scratch = scratch
        self.ip = ray.util.get_node_ip_address()
        gcs, dashboard_port = free_port(), free_port()
        self.address, self.dashboard = f"{self.ip}:{gcs}", f"http://127.0.0.1:{dashboard_port}"
        self.nodes: list[subprocess.Popen] = []
        # Not Ray's own, in which a job looks up the cluster that was started last, and short, for the sake of sockets.
        self.session = TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self.head = self._start(
            "--head", f"--temp-dir={self.session.name}", f"--port={gcs}", f"--ray-client-server-port={free_port()}",
            f"--include-dashboard={'true' if dashboard else 'false'}", f"--dashboard-port={dashboard_port}",
            *options,
        )  # fmt: skip
        wait_for_port(self.ip, gcs)
        wait_for(lambda: self.alive() == 1, 90, lambda: "the head has no node")
        if dashboard:
            wait_for_http(f"{self.dashboard}/api/version")

    def join(self, *options: str) -> subprocess.Popen:
        """Another node, which is part of the cluster on return."""
        before = self.alive()
        node = self._start(f"--address={self.address}", *options)
        wait_for(lambda: self.alive() > before, 90, lambda: "the node has not joined")
        return node

    def alive(self) -> int:
        """How many nodes the head counts."""
        nodes = GcsClient(address=self.address).get_all_node_info(timeout=10).values()
        return sum(node.state == node.ALIVE for node in nodes)

    def _start(self, *options: str) -> subprocess.Popen:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # as if activated
        with (self.scratch / f"node-{len(self.nodes)}.log").open("wb") as log:
            node = subprocess.Popen(
                [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats",
                 f"--runtime-env-agent-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}",
                 f"--object-store-memory={SMALL_STORE}", *options],
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.scratch, env=environment,
            )  # fmt: skip
        self.nodes.append(node)
        return node

    def kill(self, node: subprocess.Popen) -> None:
        """kill -9 of a node: its raylet and whatever runs on it."""
        processes = [node.pid, *descendants(node.pid)]
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait(30)

    def shutdown(self) -> None:
        """End all nodes."""
        for node in reversed(self.nodes):
            if node.poll() is None:
                node.terminate()
                try:
                    node.wait(30)
                except subprocess.TimeoutExpired:
                    self.kill(node)
        self.session.cleanup()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("", 0))
        port: int = unused.getsockname()[1]
        return port


def wait_for_port(host: str, port: int, limit: float = 90) -> None:
    deadline = time.monotonic() + limit
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {host}:{port}"
            time.sleep(0.1)
        else:
            return


def wait_for_http(url: str, limit: float = 90) -> None:
    deadline = time.monotonic() + limit
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (OSError, urllib.error.URLError):
            assert time.monotonic() < deadline, f"no answer from {url}"
            time.sleep(0.2)
        else:
            return
