"""Intervals in cases whose answer is known."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from scale_tune.accuracies import Cells
from scale_tune.analysis.bootstrap import RESAMPLES, Counts, Measured, intervals, paired_bootstrap


def cells_of(aligned, groups) -> Cells:
    """Groups of one class, each as large in train as any other."""
    groups = np.array(groups)
    return Cells(labels=0 * groups, aligned=np.array(aligned), evaluation_groups=groups, train_n=np.ones_like(groups))


def of_counts(correct, n=100, seeds=None) -> Measured:
    """Seeds by groups of n images each; the first group is the conflicting one."""
    correct = np.array(correct)
    groups = np.arange(correct.shape[1])
    counts = Counts(n=np.full(len(groups), n), correct=correct, cells=cells_of(groups > 0, groups))
    return Measured(seeds=tuple(seeds or range(len(correct))), counts=counts)


def of_values(*values, seeds=None) -> Measured:
    """Seeds whose accuracies are these to the image: there are so many that resampling them changes nothing."""
    return of_counts([[round(value * MANY)] for value in values], MANY, seeds)


MANY = 10**12
CLOSE = 1e-5
"""What so many images leave uncertain."""


def test_accuracies_are_those_of_the_counts():
    measured = of_counts([[10, 80], [30, 20]])
    assert {name: values.tolist() for name, values in measured.accuracies.items()} == {
        "worst_group": [0.1, 0.2],
        "minority": [0.1, 0.3],
        "majority": [0.8, 0.2],
        "average": [0.45, 0.25],
        "train_weighted": [0.45, 0.25],
        "worst_class": [0.45, 0.25],
    }


@pytest.mark.parametrize("right", [0, 100])
def test_equal_seeds_without_noise_of_images_have_an_interval_of_no_width(right):
    assert set(intervals(of_counts([[right, right]] * 3)).values()) == {(right / 100, right / 100)}
    assert intervals(of_values(0.3, 0.3, 0.3))["average"] == pytest.approx((0.3, 0.3), abs=CLOSE)


def test_one_seed_has_the_interval_of_its_images():
    low, high = intervals(of_counts([[70]]))["average"]
    assert low == pytest.approx(binom.ppf(0.025, 100, 0.7) / 100, abs=0.01)
    assert high == pytest.approx(binom.ppf(0.975, 100, 0.7) / 100, abs=0.01)


def test_seeds_that_agree_are_no_surer_of_their_images_than_one():
    one, three = intervals(of_counts([[70]]))["average"], intervals(of_counts([[70]] * 3))["average"]
    assert three == pytest.approx(one, abs=0.011)


def test_two_seeds_alone_have_three_means():
    assert intervals(of_values(0.0, 1.0))["average"] == pytest.approx(
        (0, 1)
    )  # 0, 0.5 and 1 in a quarter, a half and a quarter


def test_the_spread_of_many_seeds_has_the_width_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = intervals(of_values(*values))["average"]
    half = norm.ppf(0.975) * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 20)


def test_the_worst_group_is_sought_again_in_every_resample():
    low, high = intervals(of_counts([[50, 50]]))["worst_group"]
    # The lower of two equal binomials: its ends are quantiles of 1 - (1 - F)^2.
    quantile = binom(100, 0.5).ppf([1 - math.sqrt(1 - 0.025), 1 - math.sqrt(1 - 0.975)]) / 100
    assert (low, high) == pytest.approx(tuple(quantile), abs=0.011)
    assert high < intervals(of_counts([[50, 50]]))["minority"][1]


def test_what_is_resampled_is_said():
    assert of_values(0.5).resampled == "images"
    assert of_values(0.5, 0.4).resampled == "seeds and images"


def test_an_evaluation_group_of_aligned_and_conflicting_images_is_one_group():
    n, correct, groups = np.array([10, 30, 20]), np.array([[1, 29, 8]]), np.array([0, 0, 1])
    counts = Counts(n=n, correct=correct, cells=cells_of([False, True, False], groups))
    found = Measured(seeds=(0,), counts=counts).accuracies
    assert {name: values.tolist() for name, values in found.items()} == {
        "worst_group": [8 / 20],
        "minority": [9 / 30],
        "majority": [29 / 30],
        "average": [38 / 60],
        "train_weighted": [2 / 3 * 30 / 40 + 1 / 3 * 8 / 20],
        "worst_class": [38 / 60],
    }


def test_the_same_counts_give_the_same_interval():
    measured = of_counts([[70, 80], [60, 90], [65, 85]])
    assert intervals(measured) == intervals(measured)
    assert intervals(measured)["worst_group"] == pytest.approx((0.5433, 0.7433), abs=1e-3)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    images, spread, agreement, level = 200, 0.1, 0.6, 0.5
    truth = norm.cdf(level / math.sqrt(1 + spread**2))
    held = {images: 0, MANY: 0}
    for _ in range(100):
        difficulty = math.sqrt(agreement) * random.normal(size=images)
        noise = math.sqrt(1 - agreement) * random.normal(size=(3, images))
        right = level + spread * random.normal(size=(3, 1)) + difficulty + noise > 0
        both = of_counts(right.sum(axis=1, keepdims=True), images)
        seeds_alone = of_values(*right.mean(axis=1))
        for measured in (both, seeds_alone):
            low, high = intervals(measured)["average"]
            held[measured.counts.n[0]] += low <= truth <= high
    assert 90 <= held[images] <= 100
    assert held[MANY] < 80, "which is why images are resampled too"


def test_methods_that_differ_by_the_same_in_every_seed_differ_by_that_for_sure():
    better, worse = of_values(0.5, 0.7, 0.2), of_values(0.4, 0.6, 0.1)
    found = paired_bootstrap(better, worse)["average"]
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1), abs=CLOSE)
    assert (found.seeds, found.probability, found.interval) == (3, 1, "seeds and images")
    assert paired_bootstrap(worse, better)["average"].probability == 0


def test_a_method_is_as_likely_above_as_below_itself():
    measured = of_counts([[70, 60], [60, 70], [65, 80]])
    for found in paired_bootstrap(measured, measured).values():
        assert found.difference == 0
        assert found.low == pytest.approx(-found.high, abs=0.02)
        assert found.probability == pytest.approx(0.5, abs=3 / math.sqrt(RESAMPLES))
    never_wrong = of_counts([[100], [100]])
    assert paired_bootstrap(never_wrong, never_wrong)["average"].probability == 0.5, "half of what is equal"


def test_only_seeds_that_both_have_are_compared():
    first, second = of_values(0.9, 0.5, 0.6, seeds=(7, 0, 1)), of_values(0.3, 0.1, 0.0, seeds=(1, 0, 9))
    found = paired_bootstrap(first, second)["average"]
    assert (found.seeds, found.difference) == (2, pytest.approx(((0.5 - 0.1) + (0.6 - 0.3)) / 2))
    assert paired_bootstrap(first, of_values(0.3, 0.1, seeds=(3, 4))) == {}
