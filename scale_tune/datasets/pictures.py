"""Picture files as arrays of one size, and how networks see them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scale_tune.datasets.groups import Groups
from scale_tune.datasets.splits import DatasetInfo, ResizedCrop
from scale_tune.errors import UserError

VERSIONS = {"pictures": 1}
"""Raised when the array that is made of a picture changes; see :class:`scale_tune.datasets.contract.Dataset`."""

SIDE = 224
"""Height and width of what ImageNet networks take, in pixels."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of pictures scaled to [0, 1]."""

THREADS = 4
"""Decoding releases Python's lock, so a few threads keep a few cores busy."""


def info_as_in_dfr(groups: Groups, proportions: float = 1) -> DatasetInfo:
    """Pictures presented as DFR's authors do (Kirichenko et al., 2023).

    Whole pictures are resized to 256 x 256, and networks see the middle. While training they see a random part of 70 to
    100 % of the area, 3 : 4 to 4 : 3 in shape, and half of the parts are mirrored. Here the part is cut out of the
    resized picture, there out of the original.

    Args:
        groups: of the dataset.
        proportions: width / height of the original pictures, if all have the same: the shape of a part is that in them.
    """
    return DatasetInfo(
        groups=groups,
        height=256,
        width=256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        central_crop=(SIDE, SIDE),
        random_crop=ResizedCrop(area=(0.7, 1), ratio=(3 / 4 / proportions, 4 / 3 / proportions)),
        flip=True,
    )


Frame = Callable[[Image.Image], Image.Image]
"""Brings an RGB picture to the size of all of them."""


def picture_reader(
    paths: Sequence[Path], places: Sequence[str], frame: Frame
) -> Callable[[int, int], NDArray[np.uint8]]:
    """A function that makes the pictures ``start`` to ``stop``, uint8, (stop - start, 3, height, width).

    Args:
        paths: the files.
        places: where each is listed, as ``file:line``.
        frame: see :data:`Frame`.
    """

    def read(row: int) -> NDArray[np.uint8]:
        return read_picture(paths[row], frame, places[row])

    def make(start: int, stop: int) -> NDArray[np.uint8]:
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(read, range(start, stop))))

    return make


def read_picture(path: Path, frame: Frame, place: str) -> NDArray[np.uint8]:
    """One picture, uint8, (3, height, width).

    Raises:
        UserError: the file is missing or broken, or can't be brought to size; it is named, with its ``place``.
    """
    try:
        with Image.open(path) as file:
            picture = frame(_rgb(file))
    # A broken picture raises errors of almost any kind.
    except Exception as error:
        raise UserError(f"{place}: can't read the picture {path}: {error}; restore it, or leave it out") from None
    return np.asarray(picture).transpose(2, 0, 1)


def central(picture: Image.Image, height: int, width: int) -> Image.Image:
    """The middle of a picture.

    Raises:
        ValueError: the picture is smaller.
    """
    if picture.width < width or picture.height < height:
        raise ValueError(f"it is {picture.height} x {picture.width}, too small to cut {height} x {width} out of it")
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def scaled(picture: Image.Image, height: int, width: int) -> Image.Image:
    """A whole picture in another size."""
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def scaled_to_shorter(picture: Image.Image, side: int) -> Image.Image:
    """A whole picture whose shorter side has so many pixels, of the same proportions.

    Raises:
        ValueError: the other side is so much longer that the picture would fill the memory.
    """
    if max(picture.size) > 1000 * min(picture.size):
        raise ValueError(f"it is {picture.height} x {picture.width}, one side over 1,000 times the other")
    scale = side / min(picture.size)
    return scaled(picture, round(picture.height * scale), round(picture.width * scale))


def _rgb(file: Image.Image) -> Image.Image:
    """As torchvision shows pictures: an alpha channel is dropped, grey is repeated."""
    if file.mode.startswith("I;16"):
        # Pillow would cut all values above 255 off.
        return Image.fromarray((np.asarray(file).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if file.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits, of which nothing says which is white; save it with 8")
    if file.mode == "P" and "transparency" in file.info:
        return file.convert("RGBA").convert("RGB")
    return file.convert("RGB")
