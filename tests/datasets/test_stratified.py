from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scale_tune.datasets.stratified import divide
from scale_tune.errors import UserError


@given(st.lists(st.integers(0, 60).filter(lambda n: n != 1), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_both_parts_hold_some_of_each_group_and_together_all(sizes, share):
    ends = np.cumsum([0, *sizes])
    groups = {str(i): np.arange(start, stop) for i, (start, stop) in enumerate(pairwise(ends))}
    first, second = divide(groups, np.random.default_rng(0), "val", share)
    assert sorted([*first, *second]) == list(range(ends[-1]))
    for rows in groups.values():
        n = np.isin(rows, first).sum()
        assert 0 < n < len(rows) or len(rows) == 0
        assert abs(n - share * len(rows)) <= 1
    if all(len(rows) >= 1 / min(share, 1 - share) + 1 for rows in groups.values()):
        assert abs(len(first) - share * ends[-1]) <= 1


def test_halves_of_odd_groups_are_as_large_as_each_other():
    groups = {str(i): np.arange(3) + 3 * i for i in range(4)}
    first, second = divide(groups, np.random.default_rng(0), "val")
    assert len(first) == len(second) == 6


def test_the_generator_alone_decides():
    groups = {"a": np.arange(50), "b": np.arange(50, 90)}
    one, two, other = (divide(groups, np.random.default_rng(seed), "val")[0].tolist() for seed in (1, 1, 2))
    assert one == two != other


def test_one_picture_cant_be_divided():
    with pytest.raises(UserError, match="val: b has one picture, which can't be both in target and beside it; add"):
        divide({"a": np.arange(4), "b": np.array([4])}, np.random.default_rng(0), "val")
