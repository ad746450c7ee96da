"""The estimate of the time that is left, on simulated searches whose end is known."""

import heapq
import math
import random

import pytest

from scale_tune.ledger.ledger import Ledger
from scale_tune.search.timeleft import TimeLeft, chances, expected_epochs, luck
from scale_tune.spec.space import RunSpec
from tests.support.ledgers import spec

METHODS = {"erm": {"epochs": 27}, "erm_target": {"epochs": 9}, "scale": {"epochs": 27}}
SECONDS = {"erm": 60.0, "erm_target": 10.0, "scale": 130.0}
"""Of an epoch; that of a trial differs by its config."""
MEDIAN = {"name": "median", "grace_period": 3}
ASHA = {"name": "asha", "grace_period": 3, "reduction_factor": 3}


@pytest.fixture(autouse=True)
def _no_need_of_a_disk(monkeypatch):
    """A machine that dies in the middle of a test needs no ledger."""
    monkeypatch.setattr("os.fsync", lambda file: None)


def searched(path, run: RunSpec, workers: int, *, preparing: int = 0, resumed: bool = False):
    """A search by so many workers, and what is estimated every half minute.

    Yields:
        The time, and the estimate then.
    """
    path.touch()
    ledger, chance = Ledger(path, run), random.Random(1)
    left = TimeLeft(run, 0.0)
    events = [(0.0, number, None, 0) for number in range(workers)]
    rates: dict[str, float] = {}
    looks = 0.0
    while events:
        now, worker, name, epochs = heapq.heappop(events)
        while looks < now:
            yield looks, left.left(ledger.trials(), looks)
            looks += 30.0
        if name is not None and epochs > 0:
            trial = ledger.trial(name)
            left.trained(name, trial.method, epochs, len(trial.objectives), now)
            curve = [rates[name] * (1 - math.exp(-epoch / 5)) for epoch in range(1, epochs + 1)]
            finished = epochs == run.method_epochs(trial.method)
            pruned = ledger.report(name, curve, finished=finished)
            if finished:
                ledger.complete(name)
            if finished or pruned:
                left.ended(name)
                name = None
        elif name is not None:
            left.prepared(name, ledger.trial(name).method, preparing + epochs, preparing, now)
        if name is None:
            trial = ledger.next_trial()
            if trial is None:
                continue
            name, epochs = trial.name, -preparing if trial.method == "erm" else 0
            rates[name] = chance.random()
            left.begun(name, anew=True, now=now)
        seconds = SECONDS[ledger.trial(name).method] * chance.uniform(0.6, 1.6)
        heapq.heappush(events, (now + seconds, worker, name, epochs + 1))
    yield now, 0.0


@pytest.mark.parametrize(("scheduler", "workers"), [(ASHA, 1), (ASHA, 12), (MEDIAN, 1), ({"name": "none"}, 4)], ids=str)
def test_from_the_first_tenth_on_the_time_left_is_about_right_and_never_jumps(tmp_path, scheduler, workers):
    run = spec(methods=METHODS, num_samples=16, epochs=27, scheduler=scheduler, sampler="random")
    estimates = list(searched(tmp_path / "ledger.log", run, workers))
    end = estimates[-1][0]
    before = None
    for now, left in estimates[:-1]:
        if left is None:
            assert now < end / 10, "there has long been something to go by"
            continue
        if end / 10 <= now < 0.75 * end:  # what the last few trials come to is anybody's guess
            assert 0.5 < left / (end - now) < 2, f"{left:.0f} s of {end - now:.0f}, after {now:.0f} s"
        if before is not None and left > 60:
            assert left < 1.5 * before
        before = left


def test_epochs_that_prepare_are_counted_as_well(tmp_path):
    run = spec(methods=METHODS, num_samples=8, epochs=27, scheduler={"name": "none"}, sampler="random")
    estimates = list(searched(tmp_path / "ledger.log", run, 4, preparing=40))
    end = estimates[-1][0]
    for now, left in estimates[:-1]:
        if end / 10 <= now < 0.9 * end:
            assert 0.8 < left / (end - now) < 1.25, f"{left:.0f} s of {end - now:.0f}, after {now:.0f} s"


def test_there_is_no_estimate_before_an_epoch_was_seen(tmp_path):
    (tmp_path / "ledger.log").touch()
    run = spec()
    ledger, left = Ledger(tmp_path / "ledger.log", run), TimeLeft(run, 0.0)
    assert left.left(ledger.trials(), 1.0) is None
    left.begun(ledger.next_trial().name, anew=True, now=1.0)
    assert left.left(ledger.trials(), 100.0) is None
    left.trained("erm-00000", "erm", 1, 0, 101.0)
    ledger.report("erm-00000", [0.5])
    # Two epochs are left of this trial, three of each of the other 15, by the one worker.
    assert left.left(ledger.trials(), 101.0) == pytest.approx(100 * (2 + 15 * 3))


def test_of_a_race_seeds_that_catch_up_are_counted(tmp_path):
    (tmp_path / "ledger.log").touch()
    run = spec(num_samples=1, epochs=9, scheduler=ASHA | {"first_seeds": 1})
    ledger, left = Ledger(tmp_path / "ledger.log", run), TimeLeft(run, 0.0)
    left.begun(ledger.next_trial().name, anew=True, now=0.0)
    for epoch in (1, 2, 3):
        left.trained("erm-00000", "erm", epoch, epoch - 1, 10.0 * epoch)
        ledger.report("erm-00000", [0.5] * epoch)
    # An epoch of one seed takes 10 s. Two more train 3 to catch up, then three train 6.
    assert left.left(ledger.trials(), 30.0) == pytest.approx(3 * 20 + 6 * 30)
    left.caught_up("erm-00000", 1, 3, 50.0)
    assert left.left(ledger.trials(), 50.0) == pytest.approx(2 * 20 + 6 * 30)
    left.caught_up("erm-00000", 3, 3, 90.0)
    left.trained("erm-00000", "erm", 4, 3, 120.0)
    ledger.report("erm-00000", [0.5] * 3 + [0.4])
    assert left.left(ledger.trials(), 120.0) == pytest.approx(5 * 30)


def test_what_an_earlier_worker_trained_takes_no_time(tmp_path):
    """A worker that takes a trial up tells again what is known of it; that says nothing of how long an epoch takes."""
    (tmp_path / "ledger.log").touch()
    run = spec(num_samples=1)
    ledger, left = Ledger(tmp_path / "ledger.log", run), TimeLeft(run, 0.0)
    ledger.next_trial()
    ledger.report("erm-00000", [0.5])
    left.begun("erm-00000", anew=False, now=0.0)
    left.trained("erm-00000", "erm", 1, 1, 0.5)
    assert left.left(ledger.trials(), 0.5) is None
    left.trained("erm-00000", "erm", 2, 1, 60.5)
    ledger.report("erm-00000", [0.5, 0.6])
    assert left.left(ledger.trials(), 60.5) == pytest.approx(60)
    assert left.left(ledger.trials(), 80.5) == pytest.approx(40), "it runs down while an epoch is trained"


def test_trials_are_expected_to_be_stopped_as_the_scheduler_and_their_fellows_make_likely(tmp_path):
    (tmp_path / "ledger.log").touch()
    run = spec(epochs=9, scheduler={"name": "asha", "grace_period": 1, "reduction_factor": 3})
    unseen = chances([], run, "erm")
    assert unseen == pytest.approx([1, 1 / 3, 1, 1 / 3, *[1] * 5, 0])
    expected = [expected_epochs(unseen, 0, luck(number)) for number in range(900)]
    assert sorted(set(expected)) == [1, 3, 9]
    assert [expected.count(epochs) for epochs in (1, 3, 9)] == pytest.approx([600, 200, 100], abs=3)
    assert expected_epochs(unseen, 3, 0.9) == 6, "what has passed a rung trains to the next one, here the end"
    assert expected_epochs(unseen, 9, 0.5) == 0
    ledger = Ledger(tmp_path / "ledger.log", run)
    for _ in range(10):
        ledger.report(ledger.next_trial().name, [0.5])  # equal ones all go on
    assert chances(ledger.trials(), run, "erm")[1] > 0.8
    assert chances([], spec(epochs=9), "erm") == [*[1] * 9, 0], "without a scheduler"
