"""Steps along two gradients against a readable reference."""

import math

import pytest
import torch
from torch import nn

from scale_tune.methods.gradients import combine_all, combine_gradients
from scale_tune.methods.regularize_mode import RegularizeMode

LR, MOMENTUM, WEIGHT_DECAY, GROUP_SIZE = 0.1, 0.9, 0.01, 4


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 5)
    ).double()


def two_gradients(model: nn.Module, step: int) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(step)
    parameters = list(model.parameters())

    def gradients() -> tuple[torch.Tensor, ...]:
        images = torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=generator)
        return torch.autograd.grad(model(images).square().mean(), parameters)

    return gradients(), gradients()


def constant(mode: str) -> float | None:
    return 0.3 if mode == "constant" else None


class Scale:
    """Gradients combined, and SGD along them, as the method does it."""

    def __init__(self, model: nn.Module, mode: str = "linear", lr: float = LR) -> None:
        self.model, self.mode = model, mode
        self.sgd = torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, train, target) -> torch.Tensor:
        def combine(g_tr: torch.Tensor, g_tg: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return combine_gradients(g_tr, g_tg, GROUP_SIZE, self.mode, constant(self.mode))

        cosines = combine_all(self.model.named_parameters(), train, target, combine)
        self.sgd.step()
        return cosines


class Reference:
    """SCALE as it is written down: d = w g_tr + g_tg + wd theta; v = m v + d (first v = d); theta -= lr v."""

    def __init__(self, model: nn.Module, mode: str) -> None:
        self.theta = [p.detach().clone() for p in model.parameters()]
        self.v: list[torch.Tensor] = []
        self.mode = mode

    def step(self, train, target, lr: float) -> None:
        for i, (theta, g_tr, g_tg) in enumerate(zip(self.theta, train, target, strict=True)):
            combined, _ = combine_gradients(g_tr, g_tg, GROUP_SIZE, self.mode, constant(self.mode))
            d = combined + WEIGHT_DECAY * theta
            if i == len(self.v):
                self.v.append(d)
            else:
                self.v[i] = MOMENTUM * self.v[i] + d
            self.theta[i] = theta - lr * self.v[i]


@pytest.mark.parametrize("mode", RegularizeMode)
def test_agrees_with_the_reference_over_20_steps(mode):
    model = network()
    optimizer, reference = Scale(model, mode), Reference(model, mode)
    for step in range(20):
        train, target = two_gradients(model, step)
        optimizer.step(train, target)
        reference.step(train, target, LR)
        torch.testing.assert_close([p.detach() for p in model.parameters()], reference.theta, rtol=1e-12, atol=1e-12)


def test_obeys_a_cosine_schedule():
    model = network()
    optimizer, reference = Scale(model), Reference(model, "linear")
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer.sgd, lambda step: (1 + math.cos(math.pi * step / 20)) / 2)
    for step in range(20):
        train, target = two_gradients(model, step)
        optimizer.step(train, target)
        reference.step(train, target, LR * (1 + math.cos(math.pi * step / 20)) / 2)
        schedule.step()
        torch.testing.assert_close([p.detach() for p in model.parameters()], reference.theta, rtol=1e-12, atol=1e-12)
    assert optimizer.sgd.param_groups[0]["lr"] == pytest.approx(0)


def test_with_weights_of_0_equals_sgd_on_the_target_gradient():
    ours, theirs = network(), network()
    optimizer = Scale(ours, "step")
    sgd = torch.optim.SGD(theirs.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    for step in range(20):
        _, target = two_gradients(ours, step)
        # Opposite gradients have a cosine of -1, which the step mode turns into a weight of 0.
        optimizer.step([-g for g in target], target)
        for parameter, gradient in zip(theirs.parameters(), target, strict=True):
            parameter.grad = gradient
        sgd.step()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_returns_the_cosine_of_every_group():
    model = network()
    cosines = Scale(model).step(*two_gradients(model, 0))
    # 4 filters of the stem, its bias, BatchNorm's two vectors, 24 kernels in groups of 4, bias, linear, bias.
    assert cosines.shape == (4 + 1 + 2 + 6 + 1 + 1 + 1,)
    assert ((cosines >= -1 - 1e-9) & (cosines <= 1 + 1e-9)).all()


@pytest.mark.parametrize("lacking", ["train", "target"])
def test_a_gradient_in_only_one_pass_is_an_error_that_names_the_parameter(lacking):
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    train, target = (list(gradients) for gradients in two_gradients(model, 0))
    (train if lacking == "train" else target)[4] = None
    with pytest.raises(ValueError, match=rf"'3.weight'.*none from the {lacking} loss"):
        Scale(model).step(train, target)
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))


def test_a_parameter_in_neither_pass_is_left_alone():
    model = network()
    before = model[3].weight.detach().clone()
    train, target = (list(gradients) for gradients in two_gradients(model, 0))
    train[4] = target[4] = None
    Scale(model).step(train, target)
    assert torch.equal(model[3].weight, before)


def test_too_few_gradients_are_an_error():
    model = network()
    train, target = two_gradients(model, 0)
    with pytest.raises(ValueError, match="shorter"):
        Scale(model).step(train[:-1], target[:-1])
