"""The projection of one gradient against another: by hand, against a loop over groups, and what it promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scale_tune.methods.gradients import combine_gradients
from scale_tune.methods.projection import Projection, project_gradients
from tests.support.small import observed, parameters

CONFLICTING = ([1.0, 0.0], [-1.0, 1.0], [-0.5, 1.5])
"""g_tr . g_tg = -1 and |g_tg|^2 = 2: what is along g_tg, (1/2, -1/2), goes, (1/2, 1/2) stays and g_tg is added."""
WEAK_TARGET = ([1.0, 0.0], [-0.001, 0.001], [0.499, 0.501])
"""What is along g_tg goes however short that is."""
ORTHOGONAL = ([3.0, 0.0], [0.0, 2.0], [3.0, 2.0])
AGREEING = ([1.0, 1.0], [1.0, 0.0], [2.0, 1.0])
OPPOSED = ([-4.0, 0.0], [1.0, 0.0], [1.0, 0.0])
NO_TARGET = ([1.0, 2.0], [0.0, 0.0], [1.0, 2.0])
NO_TRAIN = ([0.0, 0.0], [1.0, 2.0], [1.0, 2.0])
CASES = [CONFLICTING, ORTHOGONAL, AGREEING, OPPOSED, NO_TARGET, NO_TRAIN]


@pytest.mark.parametrize("case", [*CASES, WEAK_TARGET])
def test_one_group_by_hand(case):
    train, target, expected = map(torch.tensor, case)
    combined, _ = project_gradients(train, target, 64)
    torch.testing.assert_close(combined, expected)


def test_groups_of_kernels_are_projected_each_by_itself():
    """Six kernels of 1 x 2 in groups of one; then in groups of four, the last of which is smaller."""
    train, target, expected = (torch.tensor([case[i] for case in CASES]).view(3, 2, 1, 2) for i in range(3))
    combined, cosines = project_gradients(train, target, 1)
    torch.testing.assert_close(combined, expected)
    torch.testing.assert_close(cosines, torch.tensor([-(0.5**0.5), 0, 0.5**0.5, -1, 0, 0]))
    # g_tr . g_tg of the first four is -1 + 0 + 1 - 4 = -4, and |g_tg|^2 is 2 + 4 + 1 + 1 = 8; the last two have 0.
    combined, cosines = project_gradients(train, target, 4)
    by_hand = torch.cat([train.flatten()[:8] + 1.5 * target.flatten()[:8], (train + target).flatten()[8:]])
    torch.testing.assert_close(combined.flatten(), by_hand)
    assert cosines.shape == (2,)


def test_a_tensor_of_two_dimensions_is_one_group():
    train, target = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[-1.0, 1.0], [1.0, 0.0]])
    combined, cosines = project_gradients(train, target, 1)
    torch.testing.assert_close(combined, train + target)  # -1 + 1 = 0
    torch.testing.assert_close(cosines, torch.zeros(1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(4, 3, 3, 3), (4, 4, 3, 3), (6,), (5, 7)]), st.integers(1, 20))
def test_the_result_never_points_against_target_in_any_group(seed, shape, group_size):
    generator = torch.Generator().manual_seed(seed)
    train, target = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    combined, cosines = project_gradients(train, target, group_size)
    kernels = 3 if shape[1:2] == (3,) else group_size
    elements = train.numel() if len(shape) <= 2 else kernels * 9
    rows = [each.flatten().split(elements) for each in (train, target, combined)]
    assert len(cosines) == len(rows[0])
    for g_tr, g_tg, d in zip(*rows, strict=True):
        assert d @ g_tg >= g_tg @ g_tg * (1 - 1e-9)
        expected = g_tr + g_tg
        if g_tr @ g_tg < 0:
            expected = expected - (g_tr @ g_tg) / (g_tg @ g_tg) * g_tg
        torch.testing.assert_close(d, expected)


def test_where_all_agree_projection_step_and_a_constant_of_one_are_the_same_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    train, target = torch.rand(2, 4, 5, 3, 3, generator=generator)
    added, cosines = combine_gradients(train, target, 4, "constant", 1.0)
    assert (cosines > 0).all()
    assert torch.equal(combine_gradients(train, target, 4, "step")[0], added)
    assert torch.equal(project_gradients(train, target, 4)[0], added)


def test_the_method_projects_what_it_learns_with(monkeypatch):
    ours = observed("projection", options={"group_size": 4})
    asked, combine = [], Projection.combine

    def noted(method, train, target):
        found = combine(method, train, target)
        asked.append((train, target, found[0].clone()))
        return found

    monkeypatch.setattr(Projection, "combine", noted)
    before = {name: tensor.clone() for name, tensor in parameters(ours.method.network).items()}
    ours.train(1)
    assert any((train * target).sum() < 0 for train, target, _ in asked)
    for train, target, combined in asked[:50]:
        assert torch.equal(combined, project_gradients(train, target, 4)[0])
    assert all(not torch.equal(tensor, before[name]) for name, tensor in parameters(ours.method.network).items())
