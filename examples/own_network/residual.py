"""A small residual network without BatchNorm, for images of any size."""

from torch import nn


class Residual(nn.Module):
    """x + f(x), f two convolutions of one width."""

    def __init__(self, width):
        super().__init__()
        self.f = nn.Sequential(*convolution(width, width), *convolution(width, width))

    def forward(self, x):
        return x + self.f(x)


def convolution(channels_in, channels_out, stride=1):
    """A convolution, GroupNorm in place of BatchNorm, ReLU."""
    weights = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False)
    return weights, nn.GroupNorm(4, channels_out), nn.ReLU()


def small_residual():
    """The network up to its last linear layer, which scale-tune adds, and the number of its features."""
    backbone = nn.Sequential(
        *convolution(3, 16),
        Residual(16),
        *convolution(16, 32, stride=2),
        Residual(32),
        nn.AdaptiveAvgPool2d((2, 1)),  # the upper and the lower half, since digits stand above each other
        nn.Flatten(),
    )
    return backbone, 64
