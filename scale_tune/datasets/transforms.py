"""Normalisation and augmentation of whole batches, on the device that trains."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from scale_tune.datasets.splits import DatasetInfo

VERSION = 1
"""Raised when the same images give other inputs of a network."""


def normalise(images: Tensor, info: DatasetInfo) -> Tensor:
    """uint8 images (batch, 3, height, width) as float32, scaled to [0, 1] and standardised per channel."""
    mean = torch.tensor(info.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(info.std, device=images.device).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std


def augment(images: Tensor, info: DatasetInfo, generator: torch.Generator) -> Tensor:
    """A random crop of every image after reflecting its border, of the images' own size, and a mirroring of half.

    Offsets and flips are drawn on the CPU, so that a generator gives the same ones on every device.
    """
    padding = info.crop_padding
    batch, channels, height, width = images.shape
    offsets = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    if info.flip:
        flipped = torch.randint(0, 2, (batch, 1), generator=generator).bool().to(images.device)
        columns = torch.where(flipped, columns.flip(1), columns)
    # Reflection padding needs floats; they hold every uint8 exactly.
    padded = pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    flat = (rows.unsqueeze(2) * (width + 2 * padding) + columns.unsqueeze(1)).view(batch, 1, -1)
    gathered = padded.view(batch, channels, -1).gather(2, flat.expand(-1, channels, -1))
    return gathered.view(batch, channels, height, width)
