"""SCALE's maths against a plain loop over groups, and values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scale_tune.methods.gradients import combine_gradients
from scale_tune.methods.regularize_mode import RegularizeMode

SHAPES = {
    "3x3 convolution": (8, 6, 3, 3),
    "1x1 convolution": (5, 7, 1, 1),
    "image-channel stem": (4, 3, 7, 7),
    "1d convolution": (4, 5, 3),
    "linear weight": (10, 12),
    "BatchNorm weight": (16,),
    "bias": (5,),
}
WEIGHTS = {
    RegularizeMode.LINEAR: lambda c: (c + 1) / 2,
    RegularizeMode.RELU: lambda c: max(c, 0.0),
    RegularizeMode.IDENTITY: lambda c: c,
    RegularizeMode.STEP: lambda c: 1.0 if c > 0 else 0.0,
    RegularizeMode.CONSTANT: lambda c: 0.3,
}


def constant(mode):
    return 0.3 if mode == "constant" else None


def plain_loop(train, target, group_size, mode):
    """The definition, one number at a time."""
    shape = list(train.shape)
    g_tr, g_tg = train.flatten().tolist(), target.flatten().tolist()
    if len(shape) > 2:
        kernel = math.prod(shape[2:])
        step = kernel * (3 if shape[1] == 3 else group_size)
    else:
        step = len(g_tr)
    combined, cosines = [], []
    for start in range(0, len(g_tr), step):
        a, b = g_tr[start : start + step], g_tg[start : start + step]
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        norm_a = max(math.sqrt(sum(x * x for x in a)), 1e-8)
        norm_b = max(math.sqrt(sum(x * x for x in b)), 1e-8)
        c = dot / (norm_a * norm_b)
        w = WEIGHTS[mode](c)
        cosines.append(c)
        combined.extend(w * x + y for x, y in zip(a, b, strict=True))
    return torch.tensor(combined, dtype=torch.float64).view(shape), torch.tensor(cosines, dtype=torch.float64)


@pytest.mark.parametrize("mode", RegularizeMode)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("group_size", [1, 4, 5, 16, 48, 64, 10_000])
def test_agrees_with_a_plain_loop_over_groups(shape, group_size, mode):
    train, target = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    expected, expected_cosines = plain_loop(train, target, group_size, mode)
    combined, cosines = combine_gradients(train, target, group_size, mode, constant(mode))
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(cosines, expected_cosines, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    out=st.integers(1, 6),
    channels=st.integers(1, 6),
    side=st.sampled_from([1, 2, 3]),
    group_size=st.integers(1, 40),
    mode=st.sampled_from(list(RegularizeMode)),
    seed=st.integers(0, 2**31),
)
def test_agrees_for_any_convolution(out, channels, side, group_size, mode, seed):
    generator = torch.Generator().manual_seed(seed)
    train, target = torch.randn((2, out, channels, side, side), dtype=torch.float64, generator=generator)
    combined, cosines = combine_gradients(train, target, group_size, mode, constant(mode))
    expected, expected_cosines = plain_loop(train, target, group_size, mode)
    torch.testing.assert_close(combined, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(cosines, expected_cosines, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", RegularizeMode)
@pytest.mark.parametrize("zero", ["train", "target", "both"])
def test_a_zero_gradient_gives_cosine_0_and_no_nan(mode, zero):
    train, target = torch.randn(8, 6, 3, 3), torch.randn(8, 6, 3, 3)
    train = torch.zeros_like(train) if zero in ("train", "both") else train
    target = torch.zeros_like(target) if zero in ("target", "both") else target
    combined, cosines = combine_gradients(train, target, 4, mode, constant(mode))
    assert torch.equal(cosines, torch.zeros(12))
    weight_of_0 = WEIGHTS[mode](0.0)
    torch.testing.assert_close(combined, weight_of_0 * train + target)


GOLDEN = [
    # One group, two elements: g_tr = (3, 4), g_tg = (4, 3): c = 24 / 25 = 0.96.
    pytest.param([3.0, 4.0], [4.0, 3.0], "linear", 0.96, [0.98 * 3 + 4, 0.98 * 4 + 3], id="acute linear"),
    pytest.param([3.0, 4.0], [4.0, 3.0], "relu", 0.96, [0.96 * 3 + 4, 0.96 * 4 + 3], id="acute relu"),
    pytest.param([3.0, 4.0], [4.0, 3.0], "identity", 0.96, [6.88, 6.84], id="acute identity"),
    pytest.param([3.0, 4.0], [4.0, 3.0], "step", 0.96, [7.0, 7.0], id="acute step"),
    # Opposite: c = -1.
    pytest.param([1.0, 2.0], [-2.0, -4.0], "linear", -1.0, [-2.0, -4.0], id="opposite linear"),
    pytest.param([1.0, 2.0], [-2.0, -4.0], "relu", -1.0, [-2.0, -4.0], id="opposite relu"),
    pytest.param([1.0, 2.0], [-2.0, -4.0], "identity", -1.0, [-3.0, -6.0], id="opposite identity"),
    pytest.param([1.0, 2.0], [-2.0, -4.0], "step", -1.0, [-2.0, -4.0], id="opposite step"),
    # Orthogonal: c = 0; only linear lets half of g_tr through.
    pytest.param([2.0, 0.0], [0.0, 5.0], "linear", 0.0, [1.0, 5.0], id="orthogonal linear"),
    pytest.param([2.0, 0.0], [0.0, 5.0], "step", 0.0, [0.0, 5.0], id="orthogonal step"),
]


@pytest.mark.parametrize(("train", "target", "mode", "cosine", "combined"), GOLDEN)
def test_golden_values_of_one_group(train, target, mode, cosine, combined):
    got, cosines = combine_gradients(torch.tensor(train), torch.tensor(target), 1, mode)
    torch.testing.assert_close(cosines, torch.tensor([cosine]))
    torch.testing.assert_close(got, torch.tensor(combined))


def test_golden_values_of_a_convolution_with_a_smaller_last_group():
    # Three 1x1 kernels in groups of two: (3, 4) against (4, 3), c = 0.96; then (1) against (-2), c = -1.
    train = torch.tensor([3.0, 4.0, 1.0]).view(3, 1, 1, 1)
    target = torch.tensor([4.0, 3.0, -2.0]).view(3, 1, 1, 1)
    combined, cosines = combine_gradients(train, target, 2, "identity")
    torch.testing.assert_close(cosines, torch.tensor([0.96, -1.0]))
    torch.testing.assert_close(combined.flatten(), torch.tensor([6.88, 6.84, -3.0]))


@pytest.mark.parametrize(
    ("shape", "group_size", "groups"),
    [
        pytest.param((8, 6, 3, 3), 4, 12, id="divides"),
        pytest.param((8, 6, 3, 3), 5, 10, id="last group smaller"),
        pytest.param((8, 6, 3, 3), 48, 1, id="all kernels"),
        pytest.param((8, 6, 3, 3), 49, 1, id="above the kernel count"),
        pytest.param((64, 3, 7, 7), 16, 64, id="one group per filter of the stem"),
        pytest.param((64,), 4, 1, id="vector"),
        pytest.param((10, 20), 4, 1, id="matrix"),
    ],
)
def test_number_of_groups(shape, group_size, groups):
    _, cosines = combine_gradients(torch.randn(shape), torch.randn(shape), group_size, "linear")
    assert cosines.shape == (groups,)


def test_consecutive_kernels_of_one_filter_share_a_group():
    # Of a weight (2, 2, 1, 1), kernels (0, 0) and (0, 1) are one group: a conflict in the second filter stays there.
    train = torch.tensor([[1.0, 1.0], [1.0, 1.0]]).view(2, 2, 1, 1)
    target = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]).view(2, 2, 1, 1)
    combined, cosines = combine_gradients(train, target, 2, "step")
    assert cosines.tolist() == pytest.approx([1.0, -1.0])
    assert combined.flatten().tolist() == [2.0, 2.0, -1.0, -1.0]


def test_memory_layout_does_not_matter():
    train, target = torch.randn(8, 6, 3, 3), torch.randn(8, 6, 3, 3)
    plain = combine_gradients(train, target, 4, "linear")
    channels_last = combine_gradients(
        train.to(memory_format=torch.channels_last), target.to(memory_format=torch.channels_last), 4, "linear"
    )
    torch.testing.assert_close(channels_last, plain)


def test_the_gradients_are_left_as_they_were():
    train, target = torch.randn(8, 6, 3, 3), torch.randn(8, 6, 3, 3)
    before = train.clone(), target.clone()
    combine_gradients(train, target, 4, "linear")
    assert torch.equal(train, before[0])
    assert torch.equal(target, before[1])


@pytest.mark.parametrize(
    ("train", "target", "group_size", "mode", "message"),
    [
        pytest.param((2, 3), (3, 2), 1, "linear", "one shape", id="shapes differ"),
        pytest.param((2, 3), (2, 3), 0, "linear", "at least 1", id="group of nothing"),
        pytest.param((2, 3), (2, 3), 1, "cubic", "cubic", id="unknown mode"),
    ],
)
def test_wrong_arguments_are_refused(train, target, group_size, mode, message):
    with pytest.raises(ValueError, match=message):
        combine_gradients(torch.ones(train), torch.ones(target), group_size, mode)


@pytest.mark.parametrize(("mode", "given"), [("constant", None), ("linear", 0.5)])
def test_a_constant_is_of_its_mode_alone(mode, given):
    with pytest.raises(ValueError, match="a constant task weight is of the mode constant alone"):
        combine_gradients(torch.ones(2), torch.ones(2), 1, mode, given)
