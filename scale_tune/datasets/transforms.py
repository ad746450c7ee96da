"""What a network sees of images: augmentation and normalisation of whole batches, on the device that trains.

All draws are made on the CPU, so that a generator gives the same ones on every device.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from scale_tune.datasets.splits import DatasetInfo, PaddedCrop, ResizedCrop

VERSION = 2
"""Raised when the same images give other inputs of a network."""

TRIES = 10
"""At an area and a shape that fit into the image; then it is the largest part in the middle that has such a shape."""


def normalise(images: Tensor, info: DatasetInfo) -> Tensor:
    """The input of a network: the middle of images, scaled to [0, 1] and standardised per channel.

    Args:
        images: (batch, 3, height, width), from 0 to 255: as they are prepared, or augmented.
        info: of their dataset.

    Returns:
        float32, (batch, 3, height, width) of the input's size.
    """
    height, width = info.input_size
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    seen = images[:, :, top : top + height, left : left + width]
    mean = torch.tensor(info.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(info.std, device=images.device).view(1, 3, 1, 1)
    return (seen.float() / 255 - mean) / std


def augment(images: Tensor, info: DatasetInfo, generator: torch.Generator) -> Tensor:
    """A random crop of every image, and a mirroring of half of them, as the dataset's info tells.

    Args:
        images: uint8, (batch, 3, height, width), as they are prepared.
        info: of their dataset.
        generator: of the CPU.

    Returns:
        As :func:`normalise` takes them: uint8, or float32 if they had to be resampled.
    """
    match info.random_crop:
        case PaddedCrop(padding=padding):
            images = _padded_crop(images, padding, generator)
        case ResizedCrop() as crop:
            boxes = draw_boxes(len(images), info, crop, generator)
            images = resized_crop(images, boxes, info.input_size)
    if info.flip:
        flipped = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator).bool().to(images.device)
        images = torch.where(flipped, images.flip(3), images)
    return images


def _padded_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    batch, channels, height, width = images.shape
    offsets = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    # Reflection padding needs floats; they hold every uint8 exactly.
    padded = pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    flat = (rows.unsqueeze(2) * (width + 2 * padding) + columns.unsqueeze(1)).view(batch, 1, -1)
    gathered = padded.view(batch, channels, -1).gather(2, flat.expand(-1, channels, -1))
    return gathered.view(batch, channels, height, width)


def draw_boxes(batch: int, info: DatasetInfo, crop: ResizedCrop, generator: torch.Generator) -> Tensor:
    """What to cut out of each image, as torchvision's ``RandomResizedCrop`` draws it.

    The area is uniform, the logarithm of the ratio likewise.

    Returns:
        Whole numbers of pixels as float32 on the CPU, (4, batch): top, left, height and width.
    """
    size = torch.tensor([info.height, info.width], dtype=torch.float64).view(2, 1)
    tries = torch.rand((3, TRIES, batch), generator=generator, dtype=torch.float64)
    area = (crop.area[0] + (crop.area[1] - crop.area[0]) * tries[0]) * info.height * info.width
    least, most = (math.log(ratio) for ratio in crop.ratio)
    ratio = torch.exp(least + (most - least) * tries[1])
    drawn = torch.stack([area / ratio, area * ratio]).sqrt().round().clamp(min=1)
    fit = (drawn <= size.view(2, 1, 1)).all(dim=0)
    first, any_fits = fit.int().argmax(dim=0).expand(2, 1, batch), fit.any(dim=0)
    # The largest part of a permitted shape has all of the image's height or of its width.
    fallback = torch.minimum(size, (size.flip(0) * torch.tensor([[1 / crop.ratio[0]], [crop.ratio[1]]])).round())
    sides = torch.where(any_fits, drawn.gather(1, first).squeeze(1), fallback)
    left_over = size - sides
    places = torch.rand((2, batch), generator=generator, dtype=torch.float64) * (left_over + 1)
    corner = torch.where(any_fits, places, left_over / 2).floor()
    return torch.cat([corner, sides]).float()


def resized_crop(images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """A part of each image, resized bilinearly with antialiasing, as Pillow does and torchvision's ``resized_crop``.

    Args:
        images: (batch, channels, height, width).
        boxes: (4, batch): top, left, height and width of the parts, in whole pixels within the image.
        size: height and width of the result.

    Returns:
        float32, (batch, channels, *size), not rounded.
    """
    top, left, height, width = boxes.to(images.device)
    rows = _resampling(top, height, images.shape[2], size[0])
    columns = _resampling(left, width, images.shape[3], size[1])
    return rows.unsqueeze(1) @ images.float() @ columns.unsqueeze(1).transpose(2, 3)


def _resampling(start: Tensor, length: Tensor, before: int, after: int) -> Tensor:
    """Of each image, the share of each of its ``before`` lines in each of ``after`` new ones, (batch, after, before).

    A new line is the mean of old ones, weighted by a triangle about its middle that falls to 0 within a line to both
    sides, an old or a new one, whichever is wider. Lines outside the part have no share.
    """
    start, length = start.view(-1, 1, 1), length.view(-1, 1, 1)
    step = length / after
    middles = (torch.arange(after, device=start.device).view(1, -1, 1) + 0.5) * step
    lines = torch.arange(before, device=start.device) + 0.5 - start
    shares = (1 - (lines - middles).abs() / step.clamp(min=1)).clamp(min=0)
    shares = torch.where((lines > 0) & (lines < length), shares, 0)
    return shares / shares.sum(dim=2, keepdim=True)
