"""Picture files as arrays of one size."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scale_tune.errors import UserError

VERSIONS = {"pictures": 1}
"""Raised when the array that is made of a picture changes; see :class:`scale_tune.datasets.contract.Dataset`."""

SIDE = 224
"""Height and width of the prepared pictures, in pixels."""

THREADS = 4
"""Decoding releases Python's lock, so a few threads keep a few cores busy."""


def picture_reader(paths: Sequence[Path], crop: int | None) -> Callable[[int, int], NDArray[np.uint8]]:
    """A function that makes the pictures ``start`` to ``stop``, uint8, (stop - start, 3, 224, 224).

    Args:
        paths: the files.
        crop: side of the central square that is scaled to 224 x 224, as group DRO does with CelebA's faces; None:
            scale the shorter side to 256 and cut the central 224 x 224, as is usual for ImageNet networks.
    """

    def make(start: int, stop: int) -> NDArray[np.uint8]:
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(lambda path: read_picture(path, crop), paths[start:stop])))

    return make


def read_picture(path: Path, crop: int | None) -> NDArray[np.uint8]:
    """One picture, uint8, (3, 224, 224).

    Raises:
        UserError: the file is missing or broken; it is named.
    """
    try:
        with Image.open(path) as file:
            picture = file.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"can't read the picture {path}: {error}; restore it") from None
    if crop is None:
        scale = 256 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = _central(picture.resize(size, Image.Resampling.BILINEAR), SIDE)
    else:
        picture = _central(picture, crop).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture).transpose(2, 0, 1)


def _central(picture: Image.Image, side: int) -> Image.Image:
    left, top = round((picture.width - side) / 2), round((picture.height - side) / 2)
    return picture.crop((left, top, left + side, top + side))
