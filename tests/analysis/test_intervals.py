"""Intervals in cases whose answer is known, and how often they hold the truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, t, ttest_1samp

from scale_tune.accuracies import ACCURACIES, Cells
from scale_tune.analysis.intervals import (
    IMAGES,
    NO_SEED,
    ONE_SEED,
    SEEDS,
    SEEDS_AND_IMAGES,
    SPLITS,
    TOO_FEW,
    intervals,
    kind_of_interval,
    paired_differences,
)
from scale_tune.analysis.measured import Counts, Measured
from tests.support.simulated import TEST_SETS, Method, simulated, truths

MANY = 10**12
"""Images that leave nothing uncertain."""
CLOSE = 1e-5
"""What so many images leave uncertain."""


def cells_of(aligned, groups) -> Cells:
    """Groups of one class, each as large in train as any other."""
    groups = np.array(groups)
    return Cells(labels=0 * groups, aligned=np.array(aligned), evaluation_groups=groups, train_n=np.ones_like(groups))


def of_counts(correct, n=100, seeds=None, fingerprints=None) -> Measured:
    """Seeds by groups of n images each; the first group is the conflicting one."""
    correct = np.array(correct)
    groups = np.arange(correct.shape[1])
    counts = Counts(n=np.broadcast_to(n, correct.shape), correct=correct, cells=cells_of(groups > 0, groups))
    seeds = tuple(seeds or range(len(correct)))
    return Measured(seeds=seeds, fingerprints=tuple(fingerprints or ("same",) * len(seeds)), counts=counts)


def of_values(*values, **options) -> Measured:
    """Seeds whose accuracies are these to the image."""
    return of_counts([[round(value * MANY)] for value in values], MANY, **options)


def score_interval(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    return tuple(binomtest(correct, n).proportion_ci(level, method="wilson"))


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


def test_an_evaluation_group_of_aligned_and_conflicting_images_is_one_group():
    n, correct, groups = np.array([[10, 30, 20]]), np.array([[1, 29, 8]]), np.array([0, 0, 1])
    counts = Counts(n=n, correct=correct, cells=cells_of([False, True, False], groups))
    found = Measured(seeds=(0,), fingerprints=("",), counts=counts).accuracies
    assert {name: values.tolist() for name, values in found.items()} == {
        "worst_group": [8 / 20],
        "minority": [9 / 30],
        "majority": [29 / 30],
        "average": [38 / 60],
        "train_weighted": [2 / 3 * 30 / 40 + 1 / 3 * 8 / 20],
        "worst_class": [38 / 60],
    }


def test_seeds_may_be_judged_on_different_images():
    n, cells = np.array([[10, 20], [20, 40], [10, 0]]), cells_of([False, True], [0, 1])
    counts = Counts(n=n, correct=np.array([[5, 5], [5, 20], [9, 0]]), cells=replace(cells, train_n=n))
    found = Measured(seeds=(0, 1, 2), fingerprints=("a", "b", "c"), counts=counts)
    assert "majority" not in found.accuracies, "the third has no aligned image"
    assert found.accuracies["average"].tolist() == [10 / 30, 25 / 60, 9 / 10]
    assert found.accuracies["worst_group"].tolist() == [0.25, 0.25, 0.9]
    assert found.accuracies["train_weighted"] == pytest.approx([1 / 3, 5 / 12, 0.9])
    assert found.worst_group == "1"
    low, high = intervals(found)["worst_group"]
    assert 0 <= low < np.mean([0.25, 0.25, 0.9]) < high <= 1


def test_a_group_that_a_split_lacks_does_not_put_the_mean_outside_of_its_interval():
    n = np.array([[MANY, MANY], [0, MANY], [0, MANY]])
    counts = Counts(n=n, correct=np.array([[0.2, 0.9], [0, 0.9], [0, 0.9]]) * MANY, cells=cells_of([True] * 2, [0, 1]))
    low, high = intervals(Measured(seeds=(0, 1, 2), fingerprints=("", "", ""), counts=counts))["worst_group"]
    assert low < (0.2 + 0.9 + 0.9) / 3 < high


def test_images_without_noise_leave_students_interval_of_the_seeds():
    values = (0.5, 0.7, 0.45, 0.61)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert intervals(of_values(*values))["average"] == pytest.approx(tuple(expected), abs=CLOSE)
    assert intervals(of_values(0.3, 0.3, 0.3))["average"] == pytest.approx((0.3, 0.3), abs=CLOSE)


@pytest.mark.parametrize("right", [0, 70, 100])
@pytest.mark.parametrize("seeds", [1, 3, 10])
def test_seeds_that_agree_are_no_surer_of_their_images_than_one(right, seeds):
    expected = score_interval(right, 100)
    assert intervals(of_counts([[right]] * seeds))["average"] == pytest.approx(expected, abs=1e-9)


def test_the_parts_of_seeds_and_images_add_up_in_their_squares():
    low, high = intervals(of_counts([[60], [70], [80]]))["average"]
    seeds = t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    images = score_interval(70, 100)
    assert (low, high) == pytest.approx(
        (0.7 - math.hypot(seeds, 0.7 - images[0]), 0.7 + math.hypot(seeds, images[1] - 0.7))
    )


def test_groups_weighted_by_train_have_each_their_part():
    found = of_counts([[70, 20]])
    weights, ends = (0.9, 0.1), (score_interval(70, 100), score_interval(20, 100))
    cells = replace(found.counts.cells, train_n=np.array([900, 100]))
    low, high = intervals(replace(found, counts=replace(found.counts, cells=cells)))["train_weighted"]
    off = [[w * (p - low), w * (high - p)] for w, p, (low, high) in zip(weights, (0.7, 0.2), ends, strict=True)]
    below, above = np.hypot(*np.array(off))
    assert (low, high) == pytest.approx((0.65 - below, 0.65 + above))


def test_the_upper_end_of_the_worst_group_is_that_of_the_lowest_of_several():
    alike, unlike = intervals(of_counts([[50, 50, 50, 50]])), intervals(of_counts([[50, 99, 99, 99]]))
    expected = (score_interval(50, 100)[0], score_interval(50, 100, 1 - 0.05 / 4)[1])
    assert alike["worst_group"] == pytest.approx(expected)
    assert unlike["worst_group"] == pytest.approx(expected)


def test_the_worst_group_is_each_seeds_own_or_the_one_that_is_worst_on_average():
    measured = of_counts([[20 * MANY // 100, 50 * MANY // 100], [70 * MANY // 100, 40 * MANY // 100]] * 2, MANY)
    low, high = intervals(measured)["worst_group"]
    own, common = np.array([0.2, 0.4, 0.2, 0.4]), np.array([0.2, 0.7, 0.2, 0.7])  # 0 is worst with 0.45, 1 has 0.45
    seeds = t.ppf(0.975, 3) * common.std(ddof=1) / 2
    assert (low, high) == pytest.approx((max(0, own.mean() - seeds), min(1, 0.45 + seeds)), abs=CLOSE)
    assert measured.worst_group == "0"


def test_a_mean_lies_in_its_interval():
    random = np.random.default_rng(0)
    for _ in range(200):
        found = of_counts(random.integers(0, 31, (random.choice([1, 3, 4]), 4)), 30)
        for accuracy, (low, high) in intervals(found).items():
            assert 0 <= low <= found.accuracies[accuracy].mean() <= high <= 1


def test_two_seeds_have_no_interval_and_say_why():
    assert intervals(of_values(0.1, 0.2)) == {}
    difference = paired_differences(of_values(0.1, 0.2, 0.9), of_values(0.3, 0.3, seeds=(0, 1)))["average"]
    assert (difference.seeds, difference.low, difference.high) == (2, None, None)
    assert difference.difference == pytest.approx(-0.15)
    assert difference.interval == TOO_FEW
    assert [kind_of_interval(n) for n in (1, 2, 3, 10)] == [IMAGES, TOO_FEW, SEEDS_AND_IMAGES, SEEDS_AND_IMAGES]


def test_one_seed_does_not_tell_methods_apart_unless_nothing_was_trained():
    difference = paired_differences(of_values(0.9), of_values(0.1))["average"]
    assert (difference.seeds, difference.low, difference.high) == (1, None, None)
    assert (difference.difference, difference.interval) == (pytest.approx(0.8), ONE_SEED)
    low, high = intervals(of_counts([[90]]))["average"]
    assert (low, high) == pytest.approx(score_interval(90, 100)), "a mean has one of its images, and is said to"
    overlapping = of_values(0.9, 0.8, seeds=(0, 1)), of_values(0.1, 0.2, seeds=(1, 2))
    assert paired_differences(*overlapping)["average"].interval == ONE_SEED
    untrained = paired_differences(of_values(0.9, seeds=(NO_SEED,)), of_values(0.1, seeds=(NO_SEED,)))["average"]
    assert (untrained.low, untrained.high, untrained.interval) == (
        pytest.approx(0.8, abs=CLOSE),
        pytest.approx(0.8, abs=CLOSE),
        IMAGES,
    )


def test_methods_that_differ_by_the_same_in_every_seed_differ_by_that_for_sure():
    better, worse = of_values(0.5, 0.7, 0.2), of_values(0.4, 0.6, 0.1)
    found = paired_differences(better, worse)["average"]
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1), abs=CLOSE)
    assert (found.seeds, found.interval, found.paired_over) == (3, SEEDS_AND_IMAGES, SEEDS)


def test_a_difference_has_students_interval_of_those_within_seeds():
    one, other = np.array([0.5, 0.7, 0.2]), np.array([0.3, 0.6, 0.15])
    found = paired_differences(of_values(*one), of_values(*other))["average"]
    expected = ttest_1samp(one - other, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=CLOSE)


def test_a_method_does_not_differ_from_itself():
    measured = of_counts([[70, 60], [60, 70], [65, 80]])
    for found in paired_differences(measured, measured).values():
        assert found.difference == 0
        assert found.low == -found.high < 0


def test_a_difference_turns_with_its_methods():
    one, other = of_counts([[70, 60], [60, 70], [65, 80]]), of_counts([[30, 90], [20, 70], [35, 80]])
    for accuracy, found in paired_differences(one, other).items():
        turned = paired_differences(other, one)[accuracy]
        assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low))
        assert found.low < found.difference < found.high


def test_only_seeds_that_both_have_are_compared():
    first, second = of_values(0.9, 0.5, 0.6, seeds=(7, 0, 1)), of_values(0.3, 0.1, 0.0, seeds=(1, 0, 9))
    found = paired_differences(first, second)["average"]
    assert (found.seeds, found.difference) == (2, pytest.approx(((0.5 - 0.1) + (0.6 - 0.3)) / 2))
    assert paired_differences(first, of_values(0.3, 0.1, seeds=(3, 4))) == {}


def test_only_seeds_with_the_same_splits_are_compared():
    first = of_values(0.9, 0.5, 0.6, fingerprints=("a", "b", "c"))
    found = paired_differences(first, of_values(0.3, 0.1, 0.0, fingerprints=("a", "x", "c")))["average"]
    assert (found.seeds, found.difference, found.paired_over) == (2, pytest.approx(0.6), SPLITS)
    assert paired_differences(first, of_values(0.3, 0.1, 0.0)) == {}


ALIKE, UNLIKE = (0.8, 0.8, 0.8, 0.8), (0.95, 0.85, 0.7, 0.55)
OUTCOMES = 1_000
NOISE = 3 * math.sqrt(0.95 * 0.05 / OUTCOMES)
"""How far below 95 % a share of the outcomes may fall by chance."""


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize(
    ("images", "levels", "spread", "agreement", "by_group"),
    [
        pytest.param("dominoes", (0.8, 0.8), 0.05, 0.5, False, id="many images, seeds that differ much"),
        pytest.param("dominoes", (0.95, 0.55), 0.02, 0.9, True, id="groups that are unlike"),
        pytest.param("celeba gender", ALIKE, 0.01, 0.9, False, id="few images of four alike groups"),
        pytest.param("celeba gender", ALIKE, 0.05, 0, True, id="seeds with different worst groups"),
        pytest.param("celeba blond", UNLIKE, 0.02, 0.5, True, id="a small group that is the worst"),
        pytest.param("digits", (0.8, 0.8), 0.02, 0.9, False, id="a small group that is like a large one"),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(images, levels, spread, agreement, by_group, seeds):
    """For many more cases see ``benchmarks/coverage.py``."""
    method = Method(accuracies=levels, spread=spread, by_group=by_group)
    random = np.random.default_rng(1)
    one, equal = simulated(TEST_SETS[images], [method, method], seeds, agreement, OUTCOMES, random)
    true = truths(TEST_SETS[images], method, agreement)
    found = intervals(one)
    assert found.keys() == true.keys() == ACCURACIES.keys()
    for accuracy, (low, high) in found.items():
        for value in (true[accuracy].own, true[accuracy].common):
            assert ((low <= value) & (value <= high)).mean() > 0.95 - NOISE, accuracy
    for accuracy, difference in paired_differences(one, equal).items():
        assert ((difference.low > 0) | (difference.high < 0)).mean() < 0.05 + NOISE, accuracy


def test_intervals_are_no_longer_than_need_be_where_images_are_many():
    """The t of 3 seeds is 2.2 times that of many, and their standard deviation 0.89 times the true one on average."""
    method = Method(accuracies=(0.8, 0.8), spread=0.05, by_group=False)
    (found,) = simulated(TEST_SETS["dominoes"], [method], 3, 0.5, OUTCOMES, np.random.default_rng(0))
    low, high = intervals(found)["average"]
    known = 2 * 1.96 * 0.05 / math.sqrt(3)
    assert (high - low).mean() / known == pytest.approx(t.ppf(0.975, 2) / 1.96 * 0.886, rel=0.05)
