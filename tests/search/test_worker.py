"""What a worker tells the driver, without Ray's workers: Ray's class takes its steps in this process."""

import errno
import gc
import os
import weakref

import pytest

from scale_tune.search.messages import CaughtUp, Failed, Full, Progressed, Report, Unfit, decode
from scale_tune.search.worker import TuneTrial
from scale_tune.training.replica import Replica
from tests.support.runs import fast_spec


def settings(directory, name: str = "erm_target-00000", **options) -> dict:
    """What the driver gives a worker."""
    config = fast_spec(**{"epochs": 2} | options).trial_config("erm_target", {"lr": 0.01, "batch_size": 64})
    return {
        "trial": name,
        "config": config.model_dump_json(),
        "directory": str(directory / name),
        "prepared": None,
        "threads": 1,
        "gpus": 0,
        "sources": {},
    }


def step(worker: TuneTrial) -> Report:
    return decode(worker.train())


def test_each_step_tells_all_epochs_and_whether_any_is_left(tmp_path):
    worker = TuneTrial(settings(tmp_path))
    first, second = step(worker).outcome, step(worker).outcome
    assert isinstance(first, Progressed)
    assert isinstance(second, Progressed)
    assert (len(first.objectives), first.finished) == (1, False)
    assert (second.objectives[:1], len(second.objectives), second.finished) == (first.objectives, 2, True)
    assert worker.reset(settings(tmp_path, "erm_target-00001"))
    assert step(worker).outcome == first, "the same config in another directory, from its beginning"


def test_nothing_of_a_trial_is_held_once_its_worker_has_another(tmp_path):
    worker = TuneTrial(settings(tmp_path))
    step(worker)
    replicas = worker._trial.replicas
    held = [weakref.ref(thing) for r in replicas for thing in (r, r.method, r.method.network, r.splits.train.images)]
    del replicas
    gc.disable()  # by luck it may look just then
    try:
        worker.reset(settings(tmp_path, "erm_target-00001"))
    finally:
        gc.enable()
        gc.unfreeze()
    assert not any(ref() is not None for ref in held)


@pytest.mark.parametrize("epochs", [1, 2])
def test_what_an_earlier_worker_trained_is_told_before_anything_is_trained(tmp_path, monkeypatch, epochs):
    worker = TuneTrial(settings(tmp_path))
    told = [step(worker).outcome for _ in range(epochs)][-1]
    with monkeypatch.context() as patch:
        patch.setattr(Replica, "train_epoch", None)
        next_worker = TuneTrial(settings(tmp_path))
        assert step(next_worker).outcome == told
    if not told.finished:
        assert step(next_worker).outcome.finished


def test_seeds_that_catch_up_are_told_without_an_objective_and_again_by_the_next_worker(tmp_path):
    asha = {"name": "asha", "grace_period": 1, "reduction_factor": 2, "first_seeds": 1}
    race = settings(tmp_path, methods=["erm_target"], scheduler=asha)
    worker = TuneTrial(race)
    (passed,) = step(worker).outcome.objectives
    assert step(worker).outcome == CaughtUp(epochs=1, of=1)
    next_worker = TuneTrial(race)
    assert step(next_worker).outcome == CaughtUp(epochs=1, of=1), "the ledger is not asked about the rung again"
    last = step(next_worker).outcome
    assert (last.objectives[0], len(last.objectives), last.finished) == (passed, 2, True)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("a config that can't be"), Failed),
        (PermissionError("a file that can't be read"), Unfit),
        (OSError(errno.ENOSPC, "No space left on device", os.sep), Full),
    ],
)
def test_trouble_is_told_apart_by_whose_fault_it_is_and_ends_the_process(tmp_path, monkeypatch, error, outcome):
    worker = TuneTrial(settings(tmp_path))

    def raise_error(*arguments):
        raise error

    monkeypatch.setattr(Replica, "train_epoch", raise_error)
    told = step(worker).outcome
    assert isinstance(told, outcome)
    assert str(error) in str(told).replace("\\", "")
    with pytest.raises(RuntimeError, match="ends this process"):
        step(worker)


def test_a_trial_that_cannot_be_opened_is_told_in_the_first_step(tmp_path):
    (tmp_path / "erm_target-00000").mkdir()
    (tmp_path / "erm_target-00000" / "record.json").write_text("{}")
    told = step(TuneTrial(settings(tmp_path))).outcome
    assert isinstance(told, Unfit)
    assert "record.json is damaged" in told.why


def test_warnings_go_along_with_the_next_report_and_with_no_other(tmp_path):
    step(TuneTrial(settings(tmp_path)))
    damaged = tmp_path / "erm_target-00000" / "checkpoint-00001.safetensors"
    damaged.write_bytes(b"")
    worker = TuneTrial(settings(tmp_path))
    assert [f"{damaged} is damaged" in note for note in step(worker).notes] == [True]
    assert step(worker).notes == []
