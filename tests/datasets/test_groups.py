import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scale_tune.accuracies import ACCURACIES
from scale_tune.datasets.groups import EvaluationGroups, GroupCounts, Groups, aligned_by_lift
from scale_tune.spec.config import Objective

# Rows are labels, columns attributes: the diagonal is aligned.
N = np.array([[10, 4], [2, 20]])
CORRECT = np.array([[9, 1], [1, 10]])


def groups_of(evaluation=EvaluationGroups.CELLS, shape=(2, 2), aligned=(0, 1)) -> Groups:
    return Groups(
        num_classes=shape[0], num_attributes=shape[1], evaluation_groups=evaluation, aligned_attributes=aligned
    )


def counts(n=N, correct=CORRECT, groups=EvaluationGroups.CELLS, aligned=(0, 1)) -> GroupCounts:
    shape = np.shape(n)
    return GroupCounts(n=np.asarray(n), correct=np.asarray(correct), groups=groups_of(groups, shape, aligned))


def of(counted: GroupCounts, *names: str) -> tuple[float | None, ...]:
    return tuple(counted.summary()[name] for name in names)


def test_accuracies_pool_samples_and_not_groups():
    assert of(counts(), "average", "majority", "minority") == pytest.approx((21 / 36, 19 / 30, 2 / 6))


def test_the_worst_cell():
    assert counts().summary()["worst_group"] == pytest.approx(1 / 4)


def test_the_worst_of_aligned_and_conflicting():
    assert counts(groups=EvaluationGroups.ALIGNED_CONFLICTING).summary()["worst_group"] == pytest.approx(2 / 6)
    flipped = counts([[10, 4], [4, 10]], [[1, 4], [4, 1]], EvaluationGroups.ALIGNED_CONFLICTING)
    assert flipped.summary()["worst_group"] == pytest.approx(2 / 20)


@pytest.mark.parametrize("groups", EvaluationGroups)
def test_empty_groups_are_ignored(groups):
    only_aligned = counts([[10, 0], [0, 20]], [[9, 0], [0, 10]], groups)
    assert only_aligned.summary()["minority"] is None
    assert only_aligned.summary()["worst_group"] == pytest.approx(
        {"cells": 0.5, "aligned_conflicting": 19 / 30}[groups]
    )


@pytest.mark.parametrize("groups", EvaluationGroups)
def test_nothing_has_no_accuracy(groups):
    nothing = counts(np.zeros((2, 2), int), np.zeros((2, 2), int), groups)
    assert nothing.summary() == dict.fromkeys(ACCURACIES)
    with pytest.raises(ValueError, match="worst_group accuracy is undefined"):
        nothing.objective(Objective.WORST_GROUP)


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        # Shares of train: .6 .1 .1 .2 of the cells, .8 of the aligned, .2 of the conflicting samples.
        (EvaluationGroups.CELLS, 0.6 * 0.9 + 0.1 * 1 / 4 + 0.1 * 1 / 2 + 0.2 * 1 / 2),
        (EvaluationGroups.ALIGNED_CONFLICTING, 0.8 * 19 / 30 + 0.2 * 2 / 6),
    ],
)
def test_the_average_of_the_literature_weighs_groups_by_their_share_of_train(evaluation, expected):
    labels, attributes = np.repeat([0, 0, 1, 1], [6, 1, 1, 2]), np.repeat([0, 1, 0, 1], [6, 1, 1, 2])
    groups = groups_of(evaluation).with_train(labels, attributes)
    assert groups.train_n == ((6, 1), (1, 2))
    assert GroupCounts(n=N, correct=CORRECT, groups=groups).summary()["train_weighted"] == pytest.approx(expected)
    # What train lacks has no weight; what this split lacks of train leaves nothing to average.
    without = groups_of(EvaluationGroups.CELLS).with_train(np.array([0, 1]), np.array([0, 1]))
    of_aligned = GroupCounts(n=N, correct=CORRECT, groups=without).summary()["train_weighted"]
    assert of_aligned == pytest.approx((0.9 + 0.5) / 2)
    empty = GroupCounts(n=N * [[0, 1], [1, 1]], correct=CORRECT * [[0, 1], [1, 1]], groups=without)
    assert empty.summary()["train_weighted"] is None
    assert counts().summary()["train_weighted"] is None, "nothing is known of train"


def test_the_worst_class_needs_no_attribute():
    assert counts().summary()["worst_class"] == pytest.approx(11 / 22)
    pooled = counts(N.sum(axis=1, keepdims=True), CORRECT.sum(axis=1, keepdims=True), aligned=(0, 0))
    assert pooled.summary()["worst_class"] == pytest.approx(11 / 22)
    assert counts([[0, 0], [2, 20]], [[0, 0], [1, 10]]).objective(Objective.WORST_CLASS) == pytest.approx(11 / 22)


def test_attributes_need_not_be_as_many_as_labels():
    three_attributes = counts([[1, 1, 1], [1, 1, 1]], [[1, 0, 0], [0, 1, 0]])
    assert of(three_attributes, "majority", "minority") == (1.0, 0.0)


def test_counting_predictions():
    counted = GroupCounts.of(
        predictions=np.array([0, 1, 1, 0]),
        labels=np.array([0, 0, 1, 1]),
        attributes=np.array([1, 1, 0, 1]),
        groups=groups_of(),
    )
    assert counted.n.tolist() == [[0, 2], [1, 1]]
    assert counted.correct.tolist() == [[0, 1], [1, 0]]


def test_the_aligned_attribute_of_a_class_need_not_have_its_number():
    # As blond hair goes with women: class 1 with attribute 0.
    crossed = counts(aligned=(1, 0))
    assert crossed.summary()["majority"] == pytest.approx(2 / 6)
    assert crossed.summary()["minority"] == pytest.approx(19 / 30)
    assert crossed.summary()["average"] == counts().summary()["average"]


@pytest.mark.parametrize("correct", [[[11, 0], [0, 0]], [[-1, 0], [0, 0]]])
def test_impossible_counts_are_refused(correct):
    with pytest.raises(ValueError, match="between 0 and n"):
        counts(correct=correct)


def test_counts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="must be of shape"):
        counts(correct=[[1, 0]])
    with pytest.raises(ValueError, match="2 classes need as many aligned attributes"):
        groups_of(aligned=(0,))


def test_the_aligned_attribute_is_the_one_that_a_class_makes_likelier():
    # Of (not blond, blond) x (women, men) in CelebA's train split: most of either class are women.
    assert aligned_by_lift(np.array([[71_629, 66_874], [22_880, 1387]])) == (1, 0)
    # Of (landbird, waterbird) x (land, water) in that of Waterbirds.
    assert aligned_by_lift(np.array([[3498, 184], [56, 1057]])) == (0, 1)
    # Two classes may go with one attribute, and a rare attribute with a class that is mostly something else.
    assert aligned_by_lift(np.array([[9, 2, 0], [1, 6, 0], [3, 0, 1]])) == (0, 1, 2)
    assert aligned_by_lift(np.array([[8, 2], [6, 1], [1, 9]])) == (0, 0, 1)
    assert aligned_by_lift(np.array([[5, 5], [5, 5]])) == (0, 0)


@given(
    st.lists(st.lists(st.integers(1, 50), min_size=3, max_size=3), min_size=2, max_size=5), st.permutations(range(3))
)
def test_alignment_follows_the_attributes_when_they_are_renumbered(counts, order):
    lifts = np.array(counts)
    aligned = aligned_by_lift(lifts)
    renumbered = aligned_by_lift(lifts[:, order])
    expected = lifts / lifts.sum(axis=0)
    for y in range(len(lifts)):
        # Of equal lifts either may be named.
        assert expected[y, order[renumbered[y]]] == pytest.approx(expected[y, aligned[y]])
        assert expected[y, aligned[y]] == pytest.approx(expected[y].max())
