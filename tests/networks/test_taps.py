import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18

from scale_tune.networks.taps import Tapered, taper


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 2), (1, 7)])
@pytest.mark.parametrize("kernel", [3, 7, (1, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_outputs_and_gradients_are_those_of_the_whole_kernel(size, kernel, stride, groups):
    torch.manual_seed(0)
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = tuple(side // 2 for side in sides)
    plain = nn.Conv2d(4, 6, kernel, stride, padding, groups=groups, dtype=torch.double)
    tapered = copy.deepcopy(plain)
    taper(tapered)
    found = []
    for convolution in (plain, tapered):
        images = torch.randn(3, 4, *size, dtype=torch.double, generator=torch.manual_seed(1)).requires_grad_()
        out = convolution(images)
        (out * torch.linspace(-1, 1, out.numel(), dtype=torch.double).view_as(out)).sum().backward()
        found.append((out, images.grad, convolution.weight.grad, convolution.bias.grad))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_taps_that_see_padding_alone_are_left_out(monkeypatch):
    kernels = []

    def observed(images, weight, *rest):
        kernels.append(tuple(weight.shape[-2:]))
        return functional.conv2d(images, weight, *rest)

    monkeypatch.setattr("scale_tune.networks.taps.conv2d", observed)
    network = resnet18(num_classes=2)
    names = set(network.state_dict())
    taper(network)
    assert set(network.state_dict()) == names
    network(torch.zeros(2, 3, 64, 32))
    assert kernels == [(3, 1)] * 3, "the convolutions of 2 x 1 maps: all 3 x 3 ones of the last block but its first"
    kernels.clear()
    network(torch.zeros(2, 3, 224, 224))
    assert not kernels, "where every tap sees something, torch's own forward is taken"


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(3, 4, 4, padding=2),
        nn.Conv2d(3, 4, 3, padding=2, dilation=2),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 3, padding="same"),
    ],
)
def test_other_convolutions_stay_as_they_are(convolution):
    taper(convolution)
    assert not isinstance(convolution, Tapered)
