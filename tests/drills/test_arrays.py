"""An array of small jobs, by its script on real raylets: tasks come, are killed, run out of time, and come back."""

import os
import signal
import time

import pytest

from scale_tune.ledger.studies import LedgerState
from scale_tune.spec import usercode
from scale_tune.storage.rundir import RunDir
from tests.support.jobs import SPACE, Task, array
from tests.support.searches import assert_trained_as_if_never_interrupted, ledger_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SAMPLES, EPOCHS = 6, 40
SLOW = """
import os, time

from scale_tune import Method, Step, descend
from torch.nn.functional import cross_entropy


class Slow(Method):
    learns_from = ("target",)

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())

    def begin_epoch(self, epoch):
        if not os.path.exists({go!r}):
            time.sleep(1.5)

    def step(self, batches):
        batch = batches["target"]
        descend(cross_entropy(self.network(batch.images), batch.labels), self.optimizer)
        return Step()
"""
"""A method that takes its time until a file is there: the search can't have ended before all tasks have had theirs."""
TAKEN_OVER = 60
"""Seconds that a search may be without a head."""


@pytest.fixture
def tasks(tmp_path):
    tasks = array(tmp_path, 3, "--gpus-per-trial", 1, "--num-samples", SAMPLES, "--epochs", EPOCHS)
    (tmp_path / "slow.py").write_text(SLOW.format(go=str(tmp_path / "go")))
    (tmp_path / "space.yaml").write_text(SPACE.replace("{erm_target: }", "{slow: {file: slow.py}}"))
    yield tasks
    for task in tasks:
        task.kill()


def test_a_search_goes_on_whichever_tasks_of_an_array_come_and_go(tasks, tmp_path):
    first, *others = tasks
    first.submit()
    first.wait_for(lambda: first.epochs() > 2)
    for task in others:
        task.submit()
    for task in others:
        task.wait_for(lambda task=task: trains(task))

    first.kill()  # or its node is lost
    interrupted = next(trial for trial in ledger_of(first.run) if trial.state is LedgerState.RUNNING)
    second = next_head(others)
    (third,) = (task for task in others if task is not second)
    third.wait_for(lambda: trains(third))

    os.kill(second.process.pid, signal.SIGUSR1)  # its time is nearly up
    assert next_head([third]) is third
    assert second.ended() == 3, second.log.read_text()
    assert (tmp_path / "requeued").read_text() == f"requeue 17_{second.number}\n"
    second.submit()
    (tmp_path / "go").touch()

    assert [task.ended() for task in (second, third)] == [0, 0], third.log.read_text()
    first.submit()  # the queue lets it in only now
    assert first.ended() == 0
    trials = ledger_of(first.run)
    assert [(trial.state, len(trial.objectives)) for trial in trials] == [(LedgerState.COMPLETE, EPOCHS)] * SAMPLES
    usercode.provide(RunDir(first.run).sources())
    assert_trained_as_if_never_interrupted(RunDir(first.run), trials[interrupted.number], tmp_path / "check")
    assert all(any(task.disk.iterdir()) for task in tasks), "a task has used another's cache"


def trains(task: Task) -> bool:
    return any("ray::" in command and "train" in command for command in task.processes())


def next_head(tasks: list[Task]) -> Task:
    """Which of them becomes the head in time; the search has gone on then."""
    since, before = time.monotonic(), tasks[0].epochs()
    while not (heads := [task for task in tasks if task.says("this task is the head")]):
        assert time.monotonic() - since < TAKEN_OVER, "\n".join(task.log.read_text() for task in tasks)
        time.sleep(0.1)
    print(f"head after {time.monotonic() - since:.1f} s")
    (head,) = heads
    head.wait_for(lambda: head.epochs() > before)
    print(f"training after {time.monotonic() - since:.1f} s")
    return head
