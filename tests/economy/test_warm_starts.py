"""Replays in which a prior's configs come first."""

import numpy as np
import pytest

from scale_tune.economy.policy import Policy
from scale_tune.economy.replay import Orders, random_orders
from scale_tune.economy.warm_starts import (
    BEST_FIRST,
    NO_PRIOR,
    WORST_FIRST,
    said,
    shared_best,
    warm_starts,
    with_first,
)
from scale_tune.spec.scheduler import SchedulerSpec
from tests.support.curves import curves_from, rising


def lookup(**fields):
    return curves_from(rising(np.random.default_rng(1), 20, 3, 9), **fields)


def test_given_configs_come_first_and_the_others_keep_their_order():
    orders = Orders(configs=np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]), seeds=np.array([[0, 1], [1, 0]]))
    found = with_first(orders, [3, 1])
    assert found.configs.tolist() == [[3, 1, 0, 2, 4], [3, 1, 4, 2, 0]]
    assert found.seeds is orders.seeds
    assert with_first(orders, []).configs.tolist() == orders.configs.tolist()
    for wrong in ([1, 1], [5], [-1]):
        with pytest.raises(ValueError, match="different positions of a lookup"):
            with_first(orders, wrong)


@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_a_good_prior_finds_the_winner_and_a_misleading_one_costs_as_many_trials_as_it_has(scheduler):
    curves = lookup()
    orders = random_orders(curves, 400)
    policy = Policy(seeds=3, part=0.5, scheduler=SchedulerSpec(name=scheduler, grace_period=1, reduction_factor=3))
    found = warm_starts(curves, policy, orders)
    assert found[BEST_FIRST].found.all()
    assert found[BEST_FIRST].spent.mean() <= found[NO_PRIOR].spent.mean() <= found[WORST_FIRST].spent.mean()
    if scheduler == "none":
        # Of 10 trials 3 are wasted: 7 draws are left for the one of 17 that wins.
        assert found[WORST_FIRST].found.mean() == pytest.approx(7 / 17, abs=0.08)
        assert found[NO_PRIOR].found.mean() == pytest.approx(10 / 20, abs=0.08)


def test_the_whole_search_finds_the_same_whatever_comes_first():
    curves = lookup()
    found = warm_starts(curves, Policy(seeds=3), random_orders(curves, 20))
    assert all((each.selected == curves.winner).all() for each in found.values())


def test_another_runs_best_are_found_by_their_parameters():
    curves = lookup(selectable=np.arange(20) != 5)
    other = curves_from(rising(np.random.default_rng(7), 20, 3, 9), run="other", params=curves.params[::-1])
    ranked = np.argsort(-other.final)
    assert shared_best(curves, other) == tuple(19 - ranked[:3])
    absent = curves_from(other.val, run="absent", params=tuple({"lr": 7.0 + i} for i in range(20)))
    assert shared_best(curves, absent) == ()
    found = warm_starts(curves, Policy(seeds=3), random_orders(curves, 5), priors=[other, absent])
    assert list(found) == [NO_PRIOR, BEST_FIRST, WORST_FIRST, "other"]
    assert (found["other"].configs[:, :3] == 19 - ranked[:3]).all()


def test_what_may_not_win_is_no_prior():
    curves = lookup(selectable=np.arange(20) < 2)
    found = warm_starts(curves, Policy(seeds=3), random_orders(curves, 5))
    assert set(found[BEST_FIRST].configs[:, :2].ravel()) == {0, 1}


def test_sentences_have_the_numbers():
    curves = lookup()
    found = warm_starts(curves, Policy(seeds=3, part=0.5), random_orders(curves, 50), priors=[lookup(run="b")])
    best, worst, other = said([found, found])
    without = found[NO_PRIOR].near.mean()
    assert best == (
        "a prior, the best first: of searches of 10 trials (to the end) 100% end within a standard error of the winner "
        f"for 0.50 of the epochs, and {without:.0%} for 0.50 without it"
    )
    assert f"the worst first: of searches of 10 trials (to the end) {found[WORST_FIRST].near.mean():.0%} end" in worst
    assert other.startswith("a prior, the best of b first: of searches of 10 trials (to the end) 100% end within ")
    one = curves_from(rising(np.random.default_rng(1), 8, 1, 3))
    assert " end with the winner for " in said([warm_starts(one, Policy(seeds=1), random_orders(one, 5))])[0]
