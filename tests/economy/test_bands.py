"""Intervals of budget curves: their parts, how often they hold, and where there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, t

from scale_tune.analysis.intervals import MISSES, ONE_SEED, TOO_FEW, score_interval
from scale_tune.economy.bands import ALL_PARTS, NOT_SEEDS, band, configs_part, difference
from scale_tune.economy.budgets import Drawn, Images, expected
from tests.economy.test_budgets import drawn
from tests.support.simulated_searches import LOUD, QUIET, SPACES, Noise, searches, truths

OUTCOMES = 150
"""Of each case; ``benchmarks/budget_coverage.py`` has more of both."""
HELD = 0.93 - 2 * math.sqrt(0.93 * 0.07 / OUTCOMES)
"""Two standard errors below the least that is promised."""


@pytest.mark.parametrize(
    ("space", "noise", "trials"), [("peak of 4", LOUD, 24), ("8 of 10 fail", QUIET, 30), ("bell", QUIET, 16)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(space, noise, trials):
    numbers = [1, trials // 4, trials // 2]
    true = truths(SPACES[space], noise, 3, numbers)
    found = searches(SPACES[space], noise, trials, 3, OUTCOMES, np.random.default_rng(5))
    for (n, split), truth in true.items():
        ends = [band(table, n, split) for table in found]
        assert np.mean([end.low <= truth <= end.high for end in ends]) > HELD, (n, split)
        assert all(end.interval == ALL_PARTS for end in ends)


def test_equal_methods_are_seldom_told_apart_and_unequal_ones_are():
    one, same = (searches(SPACES["peak of 2"], QUIET, 24, 3, 80, np.random.default_rng(s)) for s in (1, 2))
    ends = [difference(a, 4, b, 4, "test") for a, b in zip(one, same, strict=True)]
    assert np.mean([end.low > 0 or end.high < 0 for end in ends]) < 0.07
    worse = [replace(table, val=0.6 * table.val, test=0.6 * table.test) for table in same]
    ends = [difference(a, 4, b, 4, "test") for a, b in zip(one, worse, strict=True)]
    assert np.mean([end.low > 0 for end in ends]) > 0.9


def table(trials: int = 24, seeds: int = 3, images: Images | None = None) -> Drawn:
    (found,) = searches(SPACES["peak of 2"], QUIET, trials, seeds, 1, np.random.default_rng(0))
    return found if images is None else replace(found, val_images=images, test_images=images)


def test_the_part_of_configs_is_gaffkes_bound_for_a_single_trial():
    """Of values 0 and 1 that is the interval of Clopper and Pearson (1934)."""
    ones = drawn([[0.0]] * 14 + [[1.0]] * 6)
    part = configs_part(ones, 1, "val", 0.3)
    exact = beta.ppf(MISSES / 2, 6, 15), beta.ppf(1 - MISSES / 2, 7, 14)
    assert (0.3 - part.below, 0.3 + part.above) == pytest.approx(exact, abs=0.01)


def test_the_parts_add_up_in_their_squares():
    few = table(images=Images(smallest=100, groups=4))
    mean, found = expected(few, 5).test, band(few, 5, "test")
    of_seeds = few.chances(5) @ few.ordered["test"]
    seeds = t.ppf(0.975, 2) * of_seeds.std(ddof=1) / math.sqrt(3)
    share, n = np.array(mean), np.array(100)
    low, high = score_interval(share, n, MISSES / 2)[0], score_interval(share, n, MISSES / 2 / 4)[1]
    part = configs_part(few, 5, "test", mean)
    below = math.sqrt(part.below**2 + seeds**2 + (mean - low) ** 2)
    above = math.sqrt(part.above**2 + seeds**2 + (high - mean) ** 2)
    assert (found.low, found.high) == pytest.approx((mean - below, mean + above))


def test_fewer_images_and_fewer_trials_make_intervals_longer():
    def length(of: Drawn) -> float:
        found = band(of, 10, "test")
        return found.high - found.low

    assert length(table(200)) < length(table(60)) < length(table(20))
    assert length(table()) < length(table(images=Images(smallest=50, groups=4)))


def test_half_of_the_trials_and_no_more_have_an_interval():
    assert band(table(24), 12, "val").low is not None
    none = band(table(24), 13, "val")
    assert (none.low, none.high) == (None, None)
    assert none.interval == "no interval: 13 trials are more than half of the 24 that were drawn"
    few = band(table(15), 1, "val")
    assert few.interval == "no interval: 15 random trials tell too little of others; 16 are needed"
    with pytest.raises(ValueError, match="of 24 trials 1 to 24 can be drawn, got 25"):
        band(table(24), 25, "val")


def test_one_seed_has_an_interval_of_the_rest_and_two_have_none():
    assert band(table(seeds=1), 3, "val").interval == NOT_SEEDS
    assert band(table(seeds=2), 3, "val").interval == TOO_FEW
    assert difference(table(seeds=1), 3, table(seeds=1), 3, "val").interval == ONE_SEED
    assert difference(table(seeds=2), 3, table(seeds=2), 3, "val").interval == TOO_FEW
    with pytest.raises(ValueError, match="seeds are paired, but there are 3 of one and 1 of other"):
        difference(table(), 3, table(seeds=1), 3, "val")


def test_a_difference_turns_with_its_methods():
    one, other = (searches(SPACES["peak of 4"], LOUD, 20, 3, 1, np.random.default_rng(s))[0] for s in (1, 2))
    there, back = difference(one, 3, other, 5, "test"), difference(other, 5, one, 3, "test")
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_configs_that_are_all_equal_leave_seeds_and_images(value):
    found = band(drawn([[value] * 3] * 20), 3, "val")
    assert found.high == pytest.approx(value, abs=1e-4)
    assert 0 <= found.low <= value, "that others are worse can't be excluded"


def test_what_diverged_counts_in_the_interval_too():
    values = np.full((20, 3), 0.5)
    diverged = drawn(values, selectable=np.arange(20) > 9)
    part = configs_part(diverged, 1, "val", 0.25)
    assert 0.25 - part.below == pytest.approx(0.5 * beta.ppf(MISSES / 2, 10, 11), abs=0.01)


def test_an_interval_holds_its_mean_and_lies_between_0_and_1():
    noise = Noise(of_config=0.3, of_epoch=0.2, of_seed=0.1, images=20)
    for number, found in enumerate(searches(SPACES["bell"], noise, 16, 3, 30, np.random.default_rng(8))):
        for split in ("val", "test"):
            n = number % 8 + 1
            end = band(found, n, split)
            assert 0 <= end.low <= getattr(expected(found, n), split) <= end.high <= 1
