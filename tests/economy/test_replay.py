"""A replayed search against the ledger that decides in a real one, and against what can be counted by hand."""

import heapq
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scale_tune.economy.lookup import mean_over_seeds
from scale_tune.economy.policy import Policy, Stage
from scale_tune.economy.replay import Orders, random_orders, replay
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, best_trials_first
from scale_tune.spec.scheduler import SchedulerSpec
from tests.support.curves import curves_from, rising
from tests.support.ledgers import spec


def in_ledger(path, curves, order, scheduler, workers=1):
    """A real ledger told what the configs reach, in this order.

    Returns:
        The last epoch and whether it is complete, of each trial, and the position of the best complete one.
    """
    options = asked(curves, scheduler, num_samples=len(order))
    objectives, seconds = (of[order].tolist() for of in told(curves, options.race("erm")))
    path.unlink(missing_ok=True)
    path.touch()
    with patch("os.fsync"):
        ledger, busy = Ledger(path, options), []

        def begin(worker, now):
            if (trial := ledger.next_trial()) is not None:
                heapq.heappush(busy, (now + seconds[trial.number][0], worker, trial, 1))

        for worker in range(workers):
            begin(worker, 0.0)
        while busy:
            now, worker, trial, epoch = heapq.heappop(busy)
            last = epoch == curves.epochs
            stopped = ledger.report(trial.name, objectives[trial.number][:epoch], finished=last)
            if last:
                ledger.complete(trial.name)
            if stopped or last:
                begin(worker, now)
            else:
                heapq.heappush(busy, (now + seconds[trial.number][epoch], worker, trial, epoch + 1))
    trials = ledger.trials()
    complete = [trial for trial in trials if trial.state is LedgerState.COMPLETE]
    return (
        [len(trial.objectives) for trial in trials],
        [trial.state is LedgerState.COMPLETE for trial in trials],
        best_trials_first(complete)[0].number,
    )


def asked(curves, scheduler, **options):
    seeds = range(len(curves.seeds))
    return spec(sampler="random", epochs=curves.epochs, scheduler=scheduler, seeds=list(seeds), **options)


def told(curves, race):
    """What a worker tells of each config after each epoch, and the seconds that it takes to."""
    means, seconds = mean_over_seeds(curves.val), curves.seconds.sum(axis=1)
    if race is not None:
        n, joined = race.first_seeds, race.join_after
        means[:, :joined] = mean_over_seeds(curves.val[:, :n])[:, :joined]
        seconds[:, :joined] = curves.seconds[:, :n, :joined].sum(axis=1)
        seconds[:, joined] += curves.seconds[:, n:, :joined].sum(axis=(1, 2))
    return means, seconds


SCHEDULERS = [
    {"name": "asha", "grace_period": 1, "reduction_factor": 3},
    {"name": "asha", "grace_period": 3, "reduction_factor": 2},
    {"name": "hyperband", "grace_period": 1, "reduction_factor": 3},
    {"name": "hyperband", "grace_period": 2, "reduction_factor": 2},
    {"name": "asha", "grace_period": 2, "reduction_factor": 2, "first_seeds": 1},
    {"name": "hyperband", "grace_period": 1, "reduction_factor": 2, "first_seeds": 2},
    {"name": "median", "grace_period": 2},
    {"name": "none"},
]


def assert_replay_is_ledger(path, curves, order, scheduler, workers=1):
    policy = Policy(
        scheduler=SchedulerSpec.model_validate(scheduler), part=len(order) / len(curves.trials), seeds=len(curves.seeds)
    )
    orders = Orders(configs=np.array([order]), seeds=np.arange(len(curves.seeds))[None])
    replayed = replay(curves, policy, orders, workers)
    epochs, complete, winner = in_ledger(path, curves, order, scheduler, workers)
    assert replayed.epochs[0].tolist() == epochs
    assert replayed.complete[0].tolist() == complete
    assert replayed.selected[0] == order[winner]
    options = asked(curves, scheduler)
    assert replayed.spent[0] == sum(n * options.seeds_in("erm", n) for n in epochs)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda s: "-".join(map(str, s.values())))
def test_a_replay_ends_as_the_ledger_does(tmp_path, scheduler, workers):
    random = np.random.default_rng(0)
    curves = curves_from(rising(random, 20, 3, 9), seconds=random.uniform(0.5, 2, (20, 3, 9)))
    order = random.permutation(20)[:16].tolist()
    assert_replay_is_ledger(tmp_path / "ledger.log", curves, order, scheduler, workers)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_replay_ends_as_the_ledger_does_whatever_the_curves(tmp_path, data):
    name = data.draw(st.sampled_from(["asha", "hyperband", "median"]))
    scheduler = {
        "name": name,
        "grace_period": data.draw(st.integers(1, 4)),
        "reduction_factor": data.draw(st.integers(2, 4)),
    }
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    configs, epochs = data.draw(st.integers(5, 12)), data.draw(st.integers(1, 6))
    levels = data.draw(st.sampled_from([4, 1000]))  # of 4, most objectives are equal
    curves = curves_from(rising(random, configs, 2, epochs, levels=levels))
    assert_replay_is_ledger(tmp_path / "ledger.log", curves, random.permutation(configs).tolist(), scheduler)


def test_orders_are_random_and_the_same_for_the_same_seed():
    curves = curves_from(rising(np.random.default_rng(0), 6, 3, 4))
    orders = random_orders(curves, 200)
    assert (np.sort(orders.configs, axis=1) == np.arange(6)).all()
    assert len(np.unique(orders.configs[:, 0])) == 6
    assert len(np.unique(orders.seeds, axis=0)) == 6
    assert (orders.configs == random_orders(curves, 200).configs).all()
    assert (orders.configs != random_orders(curves, 200, seed=1).configs).any()


def test_a_whole_search_finds_its_winner_and_spends_everything():
    curves = curves_from(rising(np.random.default_rng(0), 12, 3, 5))
    replayed = replay(curves, Policy(seeds=3), random_orders(curves, 50))
    assert replayed.found.all()
    assert (replayed.spent == 12 * 3 * 5).all()
    assert (replayed.val_loss == 0).all()
    assert (replayed.test_loss == 0).all()
    assert replayed.time == pytest.approx(12 * 3 * 5)


def test_half_of_the_trials_find_the_winner_half_of_the_time():
    curves = curves_from(rising(np.random.default_rng(0), 10, 1, 3))
    replayed = replay(curves, Policy(part=0.5, seeds=1), random_orders(curves, 2000))
    assert replayed.found.mean() == pytest.approx(0.5, abs=0.04)
    assert (replayed.spent == 15).all()
    # The best of five out of ten, by enumeration: C(10 - k, 5 - 1) / C(10, 5) for the k-th best.
    ranked = np.sort(curves.final)[::-1]
    odds = np.array([126, 70, 35, 15, 5, 1]) / 252
    assert replayed.val_loss.mean() == pytest.approx(ranked[0] - odds @ ranked[:6], abs=0.01)
    assert replayed.near is None, "of one seed no standard error is known"


def test_fewer_seeds_select_by_these_and_are_judged_by_all():
    val = np.zeros((5, 3, 2))
    val[0] = 0.5
    val[1] = [[0.9, 0.9], [0.0, 0.0], [0.0, 0.0]]  # the best by its first seed alone
    curves = curves_from(val)
    replayed = replay(curves, Policy(seeds=1), random_orders(curves, 300))
    lucky = replayed.selected == 1
    assert lucky.mean() == pytest.approx(1 / 3, abs=0.1)
    assert replayed.val_loss[lucky] == pytest.approx(0.5 - 0.3)
    assert (replayed.val_loss[~lucky] == 0).all()
    assert (replayed.spent == 10).all()


def test_a_race_spends_what_joins_it_and_ends_with_all_seeds():
    val = np.tile(np.linspace(0.9, 0.1, 6)[:, None, None], (1, 3, 4))
    curves = curves_from(val)
    asha = SchedulerSpec(name="asha", grace_period=1, reduction_factor=2, first_seeds=1)
    race = Policy(scheduler=asha, seeds=3)
    assert race.stages(4, 6) == tuple(Stage(epoch=e, seeds=s) for e, s in [(1, 1), (2, 1), (4, 3)])
    orders = Orders(configs=np.arange(6)[None], seeds=np.arange(3)[None])
    replayed = replay(curves, race, orders)
    # The first is the best: it alone goes on, up to the last rung with one seed; five stop after one epoch.
    assert replayed.spent[0] == 3 * 4 + 5
    assert replayed.complete[0].tolist() == [True] + [False] * 5
    worst_first = Orders(configs=np.arange(6)[::-1][None], seeds=np.arange(3)[None])
    replayed = replay(curves, race, worst_first)
    assert replayed.complete[0].all(), "each is better than all before it"
    assert replayed.spent[0] == 6 * 12


def test_a_diverged_seed_costs_what_it_trained_and_never_wins():
    val = rising(np.random.default_rng(0), 8, 3, 6)
    val[2, 1, 2:] = 1.0
    val[2, [0, 2]] = 1.0
    trained = np.full((8, 3), 6)
    trained[2, 1] = 3
    selectable = np.arange(8) != 2
    curves = curves_from(val, trained=trained, selectable=selectable)
    assert curves.winner != 2
    replayed = replay(curves, Policy(seeds=3), random_orders(curves, 20))
    assert (replayed.spent == 8 * 18 - 3).all()
    assert replayed.found.all()


def test_a_trial_whose_seeds_have_all_diverged_ends_there_and_is_compared_with_nobody(tmp_path):
    val = rising(np.random.default_rng(3), 6, 2, 8)
    val[0] = 0.99
    trained = np.full((6, 2), 8)
    trained[0] = 2
    curves = curves_from(val, trained=trained, selectable=np.arange(6) > 0)
    policy = Policy(scheduler=SchedulerSpec(name="asha", grace_period=2, reduction_factor=2), seeds=2)
    replayed = replay(curves, policy, Orders(configs=np.arange(6)[None], seeds=np.arange(2)[None]))
    assert replayed.epochs[0, 0] == 3
    assert replayed.complete[0, 0], "nothing stopped it: it had nothing left to train"
    assert replayed.selected[0] not in (0, -1)
    assert replayed.epochs[0, 1:].max() == 8, "at its fourth epoch nothing is above the second trial"


def test_others_do_not_join_where_the_seeds_that_go_ahead_have_diverged():
    val = rising(np.random.default_rng(3), 6, 3, 8)
    val[0] = 0.99
    trained = np.full((6, 3), 8)
    trained[0, 0] = 3
    curves = curves_from(val, trained=trained, selectable=np.arange(6) > 0)
    race = Policy(scheduler=SchedulerSpec(name="asha", grace_period=2, reduction_factor=2, first_seeds=1), seeds=3)
    by_seeds = {}
    for seeds in ([0, 1, 2], [1, 0, 2]):
        replayed = replay(curves, race, Orders(configs=np.array([[0]]), seeds=np.array([seeds])))
        by_seeds[seeds[0]] = (replayed.epochs[0, 0], replayed.complete[0, 0], replayed.spent[0], replayed.selected[0])
    assert by_seeds == {0: (4, True, 3, -1), 1: (8, True, 8 + 3 + 8, -1)}


def test_a_search_that_can_select_nothing_loses_all():
    val = np.full((5, 1, 4), 0.5)
    val[0] = 0.9
    trained = np.full((5, 1), 4)
    trained[0] = 2  # it diverged, and leads
    curves = curves_from(val, trained=trained, selectable=np.arange(5) > 0)
    policy = Policy(scheduler=SchedulerSpec(name="asha", grace_period=1, reduction_factor=4), seeds=1)
    replayed = replay(curves, policy, Orders(configs=np.arange(5)[None], seeds=np.zeros((1, 1), int)))
    assert replayed.selected.tolist() == [-1]
    assert replayed.val_loss[0] == 0.5
    assert not replayed.found[0]


def test_workers_overtake_each_other_by_the_seconds_that_epochs_took():
    val = np.tile(np.array([0.5, 0.4, 0.9])[:, None, None], (1, 1, 3))
    seconds = np.ones((3, 1, 3))
    seconds[0] = 10.0
    policy = Policy(scheduler=SchedulerSpec(name="asha", grace_period=1, reduction_factor=2), seeds=1)
    order = Orders(configs=np.arange(3)[None], seeds=np.zeros((1, 1), int))
    curves = curves_from(val, seconds=seconds)
    assert replay(curves, policy, order, workers=1).complete[0].tolist() == [True, False, True]
    two = replay(curves, policy, order, workers=2)
    # The slow first one comes to its rung when both others have ended, and is below one of them.
    assert two.complete[0].tolist() == [False, True, True]
    assert two.time[0] == 10
    unknown = curves_from(val, seconds=np.full((3, 1, 3), np.nan))
    assert replay(unknown, policy, order, workers=1).time[0] == 7, "an epoch is a unit"
