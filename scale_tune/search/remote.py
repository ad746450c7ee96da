"""A driver on a cluster's head node, started from outside by ``ray://``.

Ray Tune can't be driven over a client connection. So the command itself is carried to the head node and runs there,
with the paths of the cluster; its output and exit code come back. If this process or the connection dies, the driver
there is told to stop, and the run can be resumed.
"""

import ctypes
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from scale_tune.search.cluster import cluster
from scale_tune.search.stopping import Stop

COMMANDS = {
    "tune": "import sys; sys.argv[0] = 'tune.py'; from scale_tune.cli.tune import tune_app; tune_app()",
    "analyze": "import sys; sys.argv[0] = 'analyze.py'; from scale_tune.cli.analyze import main; main()",
}
SPACE = "{space}"
"""Stands for the search space among the arguments, which is a file there."""
PR_SET_PDEATHSIG = 1


def run_on_head(
    command: str, address: str, arguments: list[str], space: Path | None, say: Callable[[str], None]
) -> int:
    """Run ``tune.py`` or ``analyze.py`` on the head node.

    Args:
        command: ``tune`` or ``analyze``.
        address: as ``ray://host:10001``.
        arguments: of the command, without an address; :data:`SPACE` in place of the search space.
        space: the search space, a file here.
        say: called with each line that it prints.

    Returns:
        Its exit code.

    Raises:
        UserError: there is no cluster at the address.
    """
    stop = Stop()
    with cluster(address, stop):
        head = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        remote = ray.remote(_Driver).options(num_cpus=0, max_concurrency=2, scheduling_strategy=head)
        driver: Any = remote.remote()
        file = None if space is None else (space.name, space.read_bytes())
        ray.get(driver.start.remote(COMMANDS[command], arguments, file))
        output = driver.read.remote()
        while True:
            try:
                lines, code = ray.get(output)
            except KeyboardInterrupt:
                driver.stop.remote()
                continue  # with what is being read: asking anew would lose it
            for line in lines:
                say(line)
            if code is not None:
                return int(code)
            output = driver.read.remote()


class _Driver:
    """On the head node: the process of the command."""

    def start(self, command: str, arguments: list[str], space: tuple[str, bytes] | None) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._scratch = tempfile.TemporaryDirectory(prefix="scale-tune-")
        if space is not None:
            path = Path(self._scratch.name) / space[0]
            path.write_bytes(space[1])
            arguments = [str(path) if argument == SPACE else argument for argument in arguments]
        address = ray.get_runtime_context().gcs_address
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", command, *arguments, "--address", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            preexec_fn=_end_with_parent,
        )
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._process.wait()
        self._lines.put(None)

    def read(self) -> tuple[list[str], int | None]:
        """The lines since the last call, after a second at most; with the last ones the exit code."""
        lines: list[str] = []
        try:
            line = self._lines.get(timeout=1)
            while line is not None:
                lines.append(line)
                line = self._lines.get_nowait()
        except queue.Empty:
            return lines, None
        return lines, self._process.returncode

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)


def _end_with_parent() -> None:
    """In the new process: be told to stop when the process above it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
