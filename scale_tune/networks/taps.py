"""Convolutions on maps that are smaller than their kernels, without the taps that never see anything but padding.

On images of 64 x 32 the last blocks of a ResNet-18 hold maps of 2 x 1, on which a third of a 3 x 3 kernel does all the
work: the other taps are multiplied with padding, and their gradients are 0.
"""

from torch import Tensor, nn
from torch.nn.functional import conv2d


class Tapered(nn.Conv2d):
    """A convolution with an output as large as its input, but for a stride; a plain one elsewhere than on the CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """As :class:`torch.nn.Conv2d`, but for the order in which products are added."""
        middle = [side // 2 for side in self.kernel_size]
        sizes = input.shape[-2:]
        rows, columns = (slice(max(0, m + 1 - size), m + size) for m, size in zip(middle, sizes, strict=True))
        weight = self.weight[:, :, rows, columns]
        if input.device.type != "cpu" or weight.shape == self.weight.shape:
            return super().forward(input)
        padding = [side // 2 for side in weight.shape[-2:]]
        return conv2d(input, weight, self.bias, self.stride, padding, self.dilation, self.groups)


def taper(network: nn.Module) -> None:
    """Make the network's convolutions such ones; its weights and their names stay."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _has_a_middle(module):
            module.__class__ = Tapered


def _has_a_middle(convolution: nn.Conv2d) -> bool:
    """Whether the tap in the middle of its kernel is where the output is, with zeros around the input."""
    return (
        all(side % 2 for side in convolution.kernel_size)
        and convolution.padding == tuple(side // 2 for side in convolution.kernel_size)
        and convolution.padding_mode == "zeros"
        and convolution.dilation == (1, 1)
    )
