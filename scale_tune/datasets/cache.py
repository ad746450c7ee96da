"""Prepared datasets on the disk of a node, shared by all its processes through the page cache.

One directory per (dataset, options, source files), built by one process under a lock and renamed when it is
complete. Images are memory-mapped, so that many trials on one node hold one copy of them. They are written in
chunks; a builder that was killed is continued by the next one. The fingerprint is a digest of all that is in it, and so
tells damage too (:mod:`scale_tune.datasets.intact`).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from scale_tune.datasets.intact import check_once, note_intact
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetInfo, Split, SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.storage.location import sync_directory, write_atomically

VERSION = 1
"""Of the layout of a prepared directory."""

CHUNK_BYTES = 2**25
SMALL_ARRAYS = ("labels", "attributes", "sources")

Report = Callable[[int, int], None]
"""Called with the images that are written, or read, and the images there are."""


def cache_root() -> Path:
    """``$SCALE_TUNE_CACHE``, or ``scale-tune`` in the user's cache directory."""
    if root := os.environ.get("SCALE_TUNE_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scale-tune"


def load_cached(
    name: str,
    recipe: Mapping[str, Any],
    info: DatasetInfo,
    plan: Callable[[], Mapping[SplitName, SplitPlan]],
    report: Report = lambda done, total: None,
) -> tuple[dict[SplitName, Split], str]:
    """The splits of a dataset and their fingerprint, built first if this node doesn't have them.

    Args:
        name: of the dataset.
        recipe: everything that the splits depend on, as plain data: options, stamps of source files, versions of code.
        info: tells the size of the images.
        plan: what to build.
        report: told how far a build is, or the reading of what is to be checked.

    Raises:
        UserError: the cache can't be written, or is damaged.
    """
    text = json.dumps([VERSION, name, recipe, info.height, info.width], sort_keys=True)
    directory = cache_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not directory.exists():
        try:
            _build_once(directory, recipe, info, plan, report)
        except OSError as error:
            raise UserError(
                f"can't prepare {name} in {directory.parent}: {error}; make space, or set $SCALE_TUNE_CACHE"
            ) from None
    try:
        fingerprint: str = json.loads((directory / "meta.json").read_text())["fingerprint"]
        splits = {split: _read(directory, split) for split in SPLIT_NAMES}
        check_once(directory, lambda: _check(splits, fingerprint, report))
    except Exception as error:  # damaged files raise errors of almost any kind
        raise UserError(
            f"the prepared data in {directory} are damaged ({error!r:.200}); delete that directory: they are then "
            "prepared again"
        ) from None
    return splits, fingerprint


def _check(splits: Mapping[SplitName, Split], fingerprint: str, report: Report) -> None:
    """See that the splits are those that were prepared.

    Raises:
        ValueError: they are not.
    """
    digest = _digest_of_small(splits)
    total, before = sum(map(len, splits.values())), 0
    for name in SPLIT_NAMES:
        for done in _add_images(digest, name, splits[name].images):
            report(before + done, total)
        before += len(splits[name])
    if digest.hexdigest() != fingerprint:
        raise ValueError(f"their fingerprint is {digest.hexdigest()}, and was {fingerprint}")


def _build_once(
    directory: Path,
    recipe: Mapping[str, Any],
    info: DatasetInfo,
    plan: Callable[[], Mapping[SplitName, SplitPlan]],
    report: Report,
) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{directory}.lock"):
        if not directory.exists():
            _build(directory, recipe, info, plan(), report)


def _build(
    directory: Path,
    recipe: Mapping[str, Any],
    info: DatasetInfo,
    plans: Mapping[SplitName, SplitPlan],
    report: Report,
) -> None:
    partial = directory.with_name(f"{directory.name}.partial")
    digest = _digest_of_small(plans)
    progress = _Progress(partial, digest.hexdigest())
    total, before = sum(len(plans[name].labels) for name in SPLIT_NAMES), 0
    for name in SPLIT_NAMES:
        for array in SMALL_ARRAYS:
            np.save(partial / f"{name}-{array}.npy", getattr(plans[name], array))
        for done in _write_images(partial / f"{name}-images.npy", plans[name], info, progress.done(name)):
            progress.note(name, done)
            report(before + done, total)
        before += len(plans[name].labels)
        for _ in _add_images(digest, name, np.load(partial / f"{name}-images.npy", mmap_mode="r")):
            pass
    meta = {**recipe, "fingerprint": digest.hexdigest()}
    write_atomically(partial / "meta.json", json.dumps(meta, indent=2).encode())
    progress.file.unlink()
    note_intact(partial)
    os.sync()
    partial.rename(directory)
    sync_directory(directory.parent)


def _digest_of_small(splits: Mapping[SplitName, Split] | Mapping[SplitName, SplitPlan]) -> "hashlib._Hash":
    """The beginning of a fingerprint: all but the images."""
    digest = hashlib.sha256()
    for name in SPLIT_NAMES:
        for array in SMALL_ARRAYS:
            values = np.ascontiguousarray(getattr(splits[name], array))
            digest.update(f"{name} {array} {values.dtype} {values.shape}".encode())
            digest.update(values.data)
    return digest


def _add_images(digest: "hashlib._Hash", name: SplitName, images: NDArray[np.uint8]) -> Iterator[int]:
    """Add a split's images to a fingerprint, and yield how many there are of it after each chunk."""
    digest.update(f"{name} images {images.dtype} {images.shape}".encode())
    for start, chunk in _chunks(images):
        digest.update(chunk.data)
        yield start + len(chunk)


class _Progress:
    """How many images of each split a partial directory holds; begun anew if it belongs to another plan."""

    def __init__(self, partial: Path, plan: str) -> None:
        self.file = partial / "progress.json"
        self.state: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
        if self.state.get("plan") != plan:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            self.state = {"plan": plan, "done": {}}

    def done(self, name: SplitName) -> int:
        found: int = self.state["done"].get(name, 0)
        return found

    def note(self, name: SplitName, done: int) -> None:
        self.state["done"][name] = done
        write_atomically(self.file, json.dumps(self.state).encode())


def _write_images(path: Path, plan: SplitPlan, info: DatasetInfo, done: int) -> Iterator[int]:
    """Write a split's images in chunks and yield how many there are after each."""
    shape = (len(plan.labels), 3, info.height, info.width)
    mode = "r+" if done else "w+"
    images = np.lib.format.open_memmap(path, mode=mode, dtype=np.uint8, shape=shape)
    with path.open("r+b") as file:
        # All of its space now: a disk that is full later would end the process by a signal, with no message.
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    for start, chunk in _chunks(images):
        stop = start + len(chunk)
        if stop > done:
            images[start:stop] = plan.images(start, stop)
            images.flush()
            yield stop


def _chunks(images: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The array in pieces of bounded size, each with its first index."""
    rows = max(1, CHUNK_BYTES // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), rows):
        yield start, images[start : start + rows]


def _read(directory: Path, name: SplitName) -> Split:
    arrays = {array: np.load(directory / f"{name}-{array}.npy", mmap_mode="r") for array in (*SMALL_ARRAYS, "images")}
    return Split(**arrays)
