"""The scripts of cluster/ as jobs of stand-in schedulers, which run on this machine what they are given."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from scale_tune.ledger.studies import read_trials
from tests.conftest import REPOSITORY
from tests.support.commands import wait_until

CLUSTER = REPOSITORY / "cluster"

SPACE = """\
methods: {erm_target: }
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: 64
num_samples: 2
epochs: 1
seeds: [0]
scheduler: {name: none}
"""


def executable(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


class Job:
    """A job's script, started as its scheduler would, again and again."""

    def __init__(self, directory: Path, script: str, environment: dict[str, str]) -> None:
        self.directory = directory
        self.script = CLUSTER / script
        self.submitted_from = REPOSITORY
        self.log = directory / "log"
        self.run = directory / "runs" / "x"
        self.fakes = directory / "bin"
        self.scripts: list[subprocess.Popen] = []
        self.mark = f"JOB_OF_THIS_TEST={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        self.environment = os.environ | environment | {
            "PATH": f"{self.fakes}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),  # for the workers
            "HOME": str(directory),  # Ray keeps its token there
            name: value,
        }  # fmt: skip
        space = directory / "space.yaml"
        space.write_text(SPACE)
        self.arguments = [space, "--name", "x", "--storage", directory / "runs", "--cpus-per-trial", 1]

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen:
        command = ["bash", self.script, *map(str, (*self.arguments, *arguments))]
        return self.start_command(command, **environment)

    def start_command(self, command: list, **environment: str) -> subprocess.Popen:
        with self.log.open("ab") as log:
            script = subprocess.Popen(
                command, cwd=self.submitted_from, env=self.environment | environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.scripts.append(script)
        return script

    def end(self, process: subprocess.Popen) -> int:
        """Its exit code, when nothing is left of what it started."""
        code = process.wait(180)
        deadline = time.monotonic() + 20
        while self.processes():
            assert time.monotonic() < deadline, f"outlive their job: {self.processes()}\n{self.log.read_text()}"
            time.sleep(0.2)
        return code

    def processes(self, name: str = "") -> list[str]:
        """Command lines of what runs in this job."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it has just ended
                continue
        return [command for command in found if name in command]

    def wait_until(self, condition: Callable[[], object], process: subprocess.Popen) -> None:
        wait_until(lambda: bool(condition()), process, self.log)

    def epochs(self) -> int:
        ledger = self.run / "ledger.log"
        return ledger.read_text().count('"intermediate_value"') if ledger.exists() else 0

    def assert_done(self, epochs: int) -> None:
        trials = read_trials(self.run / "ledger.log")
        assert [(trial.state.value, len(trial.objectives)) for trial in trials] == [("complete", epochs)] * 2

    def kill(self) -> None:
        """kill -9 of whatever is left of it."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                continue
        for script in self.scripts:
            script.wait(10)


class Task(Job):
    """A task of a Slurm array, alone on a node as far as it can see."""

    def __init__(self, directory: Path, number: int, *options: object) -> None:
        self.disk = directory / f"disk-{number}"
        environment = {
            "SLURM_ARRAY_JOB_ID": "17",
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_CPUS_ON_NODE": "1",
            "SLURM_GPUS_ON_NODE": "1",
            "SLURM_SUBMIT_DIR": str(REPOSITORY),
            "SCALE_TUNE_CACHE": str(self.disk),
        }
        super().__init__(directory, "slurm_array.sh", environment)
        self.number = number
        self.log = directory / f"log-{number}"
        self.options = options

    def submit(self, **environment: str) -> None:
        self.process = self.start(*self.options, **environment)

    def says(self, text: str) -> bool:
        return self.log.exists() and text in self.log.read_text()

    def wait_for(self, condition: Callable[[], object]) -> None:
        self.wait_until(condition, self.process)

    def ended(self) -> int:
        """Its exit code, see :meth:`end`."""
        return self.end(self.process)


def array(directory: Path, tasks: int, *options: object) -> list[Task]:
    """The tasks of an array, none of which is submitted yet; what is requeued stands in ``requeued``."""
    executable(directory / "bin", "scontrol", f'echo "$*" >>{directory}/requeued')
    return [Task(directory, number, *options) for number in range(1, tasks + 1)]
