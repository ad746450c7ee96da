"""An array of small jobs, by the script itself on real raylets: tasks come, are killed, run out of time, and come back."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scale_tune.ledger.studies import read_trials
from tests.support.jobs import Job, executable
from tests.support.searches import assert_search_is_whole
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.ray

SAMPLES, EPOCHS = 6, 60
TAKEN_OVER = 60
"""Seconds that a search may be without a head."""


class Task(Job):
    """One task of the array, as Slurm starts it: alone on its node as far as it can see."""

    def __init__(self, directory: Path, number: int) -> None:
        environment = {
            "SLURM_ARRAY_JOB_ID": "17",
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_CPUS_ON_NODE": "1",
            "SLURM_GPUS_ON_NODE": "1",
            "SLURM_SUBMIT_DIR": str(REPOSITORY),
            "SCALE_TUNE_CACHE": str(directory / f"disk-{number}"),
        }
        super().__init__(directory, "slurm_array.sh", environment)
        self.number = number
        self.log = directory / f"log-{number}"

    def submit(self) -> None:
        self.process = self.start("--gpus-per-trial", 1, "--num-samples", SAMPLES, "--epochs", EPOCHS)

    def is_head(self) -> bool:
        return self.process.poll() is None and bool(self.processes("tune.py"))

    def trains(self) -> bool:
        return any("ray::" in command and "train" in command for command in self.processes())


@pytest.fixture
def tasks(tmp_path):
    tasks = [Task(tmp_path, number) for number in range(1, 4)]
    executable(tasks[0].fakes, "scontrol", f'echo "$*" >>{tmp_path}/requeued')
    yield tasks
    for task in tasks:
        task.kill()


def test_tasks_join_as_they_come_and_outlive_their_heads(tasks, tmp_path):
    first, *others = tasks
    first.submit()
    first.wait_until(lambda: first.epochs() > 2, first.process)
    for task in others:
        task.submit()
    for task in others:
        task.wait_until(task.trains, task.process)

    first.kill()
    first.process.wait(10)
    second = next_head(others)
    (third,) = (task for task in others if task is not second)
    third.wait_until(third.trains, third.process)

    os.kill(second.process.pid, signal.SIGUSR1)  # its time is nearly up
    assert second.end(second.process) == 3, second.log.read_text()
    assert (tmp_path / "requeued").read_text() == f"requeue 17_{second.number}\n"
    assert next_head([third]) is third
    second.submit()
    second.wait_until(second.trains, second.process)

    assert [task.end(task.process) for task in (second, third)] == [0, 0], third.log.read_text()
    first.submit()  # as if the queue had let it in only now
    assert first.end(first.process) == 0
    assert_search_is_whole(first.run, {"erm_target": SAMPLES}, tmp_path / "check")


def next_head(tasks: list[Task]) -> Task:
    """Which of them has the search go on, in time."""
    since, before = time.monotonic(), tasks[0].epochs()
    while tasks[0].epochs() <= before:
        assert time.monotonic() - since < TAKEN_OVER, "\n".join(task.log.read_text() for task in tasks)
        time.sleep(0.1)
    print("taken over in", time.monotonic() - since)
    (head,) = (task for task in tasks if task.is_head())
    return head
