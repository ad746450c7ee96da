from itertools import pairwise

from hypothesis import given
from hypothesis.strategies import floats, integers, lists, sampled_from

from scale_tune.ranking import best_first, best_of


@given(lists(floats(allow_nan=False) | sampled_from([0.0, 0.5, 1.0]) | integers(0, 3)))
def test_the_highest_comes_first_and_of_equal_ones_the_first(values):
    order = best_first(values)
    assert sorted(order) == list(range(len(values)))
    for before, after in pairwise(order):
        assert values[before] > values[after] or (values[before] == values[after] and before < after)
    assert best_of(values) == (values.index(max(values)) if values else None)
