"""The estimators against all subsets of small tables, and what they refuse."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest

from scale_tune.economy.budgets import Drawn, Images, affordable, best_of_drawn, drawn_of, expected
from tests.support.curves import curves_from, rising

MANY = Images(smallest=1e12, groups=1)


def drawn(val, test=None, selectable=None, epochs=10, images=MANY) -> Drawn:
    """Configs with a row of seeds each."""
    val = np.array(val, float)
    test = val if test is None else np.array(test, float)
    selectable = np.ones(len(val), bool) if selectable is None else np.array(selectable)
    return Drawn(val=val, test=test, selectable=selectable, epochs=epochs, val_images=images, test_images=images)


def random_table(seed: int, trials: int = 7, seeds: int = 3) -> Drawn:
    random = np.random.default_rng(seed)
    return drawn(random.random((trials, seeds)), random.random((trials, seeds)))


def enumerated(table: Drawn, n: int) -> tuple[float, float, float, float]:
    """Mean and spread of the best on val, and of its test, over all searches of n; the first drawn wins a tie."""
    val, test = (values.mean(axis=1) for values in (table.val, table.test))
    best = [max(order, key=lambda i: val[i]) for order in permutations(range(len(val)), n)]
    return val[best].mean(), test[best].mean(), val[best].std(), test[best].std()


@pytest.mark.parametrize("n", range(1, 8))
def test_the_expected_best_is_the_mean_over_all_searches_that_might_have_been(n):
    table = random_table(n)
    found = expected(table, n)
    assert (found.val, found.test, found.val_over_searches, found.test_over_searches) == pytest.approx(
        enumerated(table, n)
    )


@pytest.mark.parametrize("n", range(1, 6))
def test_of_equal_configs_each_is_selected_as_often(n):
    table = drawn([[0.5], [0.7], [0.7], [0.2], [0.7]], [[0.1], [0.9], [0.3], [0.4], [0.6]])
    found = expected(table, n)
    assert (found.val, found.test) == pytest.approx(enumerated(table, n)[:2])


def test_one_trial_is_the_mean_and_all_trials_are_the_best():
    table = random_table(0)
    means, test = table.val.mean(axis=1), table.test.mean(axis=1)
    one, all_ = expected(table, 1), expected(table, 7)
    assert (one.val, one.val_over_searches) == pytest.approx((means.mean(), means.std()))
    assert (all_.val, all_.test) == pytest.approx((means.max(), test[means.argmax()]))
    assert all_.val_over_searches == all_.test_over_searches == 0


def test_the_estimate_has_no_bias_where_the_published_one_has():
    """Over all tables of 4 that may be drawn from 7 values, the mean is that of the best of 3 of the 7."""
    values = np.random.default_rng(3).random(7)
    tables = [drawn(values[list(chosen), None]) for chosen in combinations(range(7), 4)]
    truth = expected(drawn(values[:, None]), 3).val
    assert np.mean([expected(table, 3).val for table in tables]) == pytest.approx(truth)
    i = np.arange(1, 5)
    published = np.mean([np.sort(table.val[:, 0]) @ ((i / 4) ** 3 - ((i - 1) / 4) ** 3) for table in tables])
    assert published < truth - 0.01


def test_the_spread_of_seeds_is_that_of_the_selected_config():
    table = drawn([[0.1, 0.3], [0.6, 0.7], [0.5, 0.9]])
    assert expected(table, 3).val_over_seeds == pytest.approx(np.std([0.5, 0.9], ddof=1))
    squares = np.mean([np.var(row, ddof=1) for row in table.val])
    assert expected(table, 1).val_over_seeds == pytest.approx(math.sqrt(squares))
    assert expected(drawn([[0.1], [0.2]]), 1).val_over_seeds is None


def test_a_config_that_diverged_takes_its_trial_and_counts_as_nothing():
    table = drawn([[0.6, 0.6], [0.9, np.nan], [0.4, 0.4]], [[0.5, 0.5], [0.9, np.nan], [0.3, 0.3]], [True, False, True])
    assert expected(table, 1).val == pytest.approx(1 / 3)
    assert (expected(table, 3).val, expected(table, 3).test) == pytest.approx((0.6, 0.5))
    none = drawn([[np.nan]], selectable=[False])
    assert (expected(none, 1).val, expected(none, 1).test) == (0, 0)


def test_one_config_and_equal_configs():
    assert expected(drawn([[0.4, 0.6]]), 1).val == pytest.approx(0.5)
    found = expected(drawn([[0.3]] * 5), 2)
    assert (found.val, found.val_over_searches) == (pytest.approx(0.3), 0)


@pytest.mark.parametrize(("trials", "n"), [(5, 0), (5, 6), (5, -1), (0, 1)])
def test_more_trials_than_there_are_can_not_be_drawn(trials, n):
    with pytest.raises(ValueError, match=f"of {trials} trials 1 to {trials} can be drawn, got {n}"):
        best_of_drawn(trials, n)


def test_the_chances_of_many_trials_are_whole():
    for n in (1, 400, 1000):
        assert best_of_drawn(1000, n).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val": np.empty((0, 3)), "test": np.empty((0, 3)), "selectable": np.empty(0, bool)}, "no config to draw"),
        ({"test": np.ones((2, 2))}, "of the same configs and seeds"),
        ({"selectable": np.ones(3, bool)}, "of the same configs and seeds"),
        ({"val": np.array([[0.5, np.nan, 0.5], [0.1, 0.1, 0.1]])}, "no number from 0 to 1"),
        ({"test": np.array([[0.5, 50.0, 0.5], [0.1, 0.1, 0.1]])}, "no number from 0 to 1"),
        ({"epochs": 0}, "an epoch or more"),
    ],
)
def test_what_is_no_table_of_accuracies_is_refused(changed, message):
    whole = {"val": np.full((2, 3), 0.5), "test": np.full((2, 3), 0.5), "selectable": np.ones(2, bool), "epochs": 3}
    with pytest.raises(ValueError, match=message):
        Drawn(**(whole | changed), val_images=MANY, test_images=MANY)
    with pytest.raises(ValueError, match="numbers above 0"):
        Images(smallest=0, groups=2)


def test_a_budget_pays_for_whole_trials():
    table = drawn([[0.1], [0.2], [0.3]], epochs=10)
    assert [affordable(table, budget) for budget in (5, 10, 19, 20, 1000)] == [0, 1, 1, 2, 3]


def test_of_a_lookup_what_was_drawn_counts_and_points_to_try_first_do_not():
    val = rising(np.random.default_rng(0), 6, 3, 4)
    first = np.array([True, False, False, False, False, False])
    diverged = np.array([False, False, True, False, False, False])
    curves = curves_from(val, drawn=~first, selectable=~diverged, images={"val": 40, "test": 90})
    table = drawn_of(curves)
    assert (table.trials, table.epochs, table.val_images.smallest, table.test_images.groups) == (5, 4, 40, 2)
    means = np.where(diverged, 0, val[:, :, -1].mean(axis=1))[1:]
    assert expected(table, 1).val == pytest.approx(means.mean())
    with pytest.raises(ValueError, match="no config to draw"):
        drawn_of(curves_from(val, drawn=np.zeros(6, bool)))
