"""Source files as they are downloaded: where they are, and how they are read. Nothing in them is executed."""

import gzip
import io
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scale_tune.errors import UserError

VERSIONS = {"sources": 1}
"""Raised when what these functions make of a file changes; see :class:`scale_tune.datasets.contract.Dataset`."""


def data_root() -> Path:
    """``$SCALE_TUNE_DATA``, or ``data`` in the current directory: the ``root`` of torchvision's datasets."""
    return Path(os.environ.get("SCALE_TUNE_DATA") or "data").absolute()


def find(dataset: str, candidates: Iterable[str], advice: str) -> Path:
    """The first of these paths below :func:`data_root` that exists.

    Raises:
        UserError: none does; the message says what to put where.
    """
    paths = [data_root() / candidate for candidate in candidates]
    for path in paths:
        if path.exists():
            return path
    raise UserError(
        f"the data of {dataset} is not there: {' or '.join(map(str, paths))} is missing.\n{advice}\n"
        f"SCALE_TUNE_DATA sets another directory than {data_root()}."
    )


def stamp(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Size and time of change of each file: what tells it from another version of it."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """A file in MNIST's IDX format of unsigned bytes, plain or ``.gz``.

    Raises:
        UserError: the file is truncated or of another format; it is named.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise UserError(f"can't read {path}: {error}; download it again") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise UserError(f"{path} is no IDX file of unsigned bytes; download it again")
    header = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:header], ">u4").astype(int))
    if len(content) != header + np.prod(shape, dtype=int):
        raise UserError(
            f"{path} should hold {np.prod(shape, dtype=int):,} bytes after its header but holds "
            f"{len(content) - header:,}; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


class _DataUnpickler(pickle.Unpickler):
    """Unpickles arrays and plain values, and refuses everything that could run code."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.numeric", "_frombuffer"),
            ("numpy._core.numeric", "_frombuffer"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return super().find_class(module, name)


def read_cifar_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A batch of CIFAR-10's python version: images (n, 3, 32, 32) and labels (n,).

    Raises:
        UserError: the file is truncated or of another format; it is named.
    """
    try:
        batch = _DataUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        images = np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch["labels"], np.int64)
        if len(images) != len(labels) or labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"{len(images)} images with {len(labels)} labels")
    # A broken pickle raises errors of almost any kind.
    except Exception as error:
        raise UserError(f"{path} is no batch of CIFAR-10's python version ({error}); download it again") from None
    return images, labels
