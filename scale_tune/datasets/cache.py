"""Prepared datasets on the disk of a node, shared by all its processes through the page cache.

One directory per (dataset, options), built by one process under a lock and renamed when it is complete. Images
are memory-mapped, so that many trials on one node hold one copy of them.
"""

import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from filelock import FileLock

from scale_tune.datasets.splits import SPLIT_NAMES, Split, SplitName
from scale_tune.files import sync_directory, write_atomically

ARRAYS = ("images", "labels", "attributes", "sources")


def cache_root() -> Path:
    """``$SCALE_TUNE_CACHE``, or ``scale-tune`` in the user's cache directory."""
    if root := os.environ.get("SCALE_TUNE_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scale-tune"


def load_cached(
    options: Mapping[str, Any], builder: ModuleType, build: Callable[[], Mapping[SplitName, Split]]
) -> tuple[dict[SplitName, Split], str]:
    """The splits of these options and their fingerprint, built first if this node doesn't have them.

    Args:
        options: everything the splits depend on, the dataset's name included.
        builder: the module that makes them. Its source is part of the key, so that what an older version of it
            made is not taken for what it makes now.
        build: makes the splits.
    """
    recipe = json.dumps(options, sort_keys=True) + inspect.getsource(builder)
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    directory = cache_root() / f"{options['name']}-{key}"
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{directory}.lock"):
            if not directory.exists():
                _write(directory, options, build())
    fingerprint: str = json.loads((directory / "meta.json").read_text())["fingerprint"]
    return {name: _read(directory, name) for name in SPLIT_NAMES}, fingerprint


def _write(directory: Path, options: Mapping[str, Any], splits: Mapping[SplitName, Split]) -> None:
    for leftover in directory.parent.glob(f"{directory.name}.tmp-*"):  # of a builder that was killed
        shutil.rmtree(leftover)
    temporary = Path(tempfile.mkdtemp(prefix=f"{directory.name}.tmp-", dir=directory.parent))
    digest = hashlib.sha256()
    for name in SPLIT_NAMES:
        for array_name in ARRAYS:
            array = np.ascontiguousarray(getattr(splits[name], array_name))
            digest.update(f"{name} {array_name} {array.dtype} {array.shape}".encode())
            digest.update(array.data)
            np.save(temporary / f"{name}-{array_name}.npy", array)
    meta = {"options": dict(options), "fingerprint": digest.hexdigest()}
    write_atomically(temporary / "meta.json", json.dumps(meta, indent=2).encode())
    os.sync()
    temporary.chmod(0o755)  # mkdtemp's is for this user alone, a cache may be shared
    temporary.rename(directory)
    sync_directory(directory.parent)


def _read(directory: Path, name: SplitName) -> Split:
    arrays = {array: np.load(directory / f"{name}-{array}.npy", mmap_mode="r") for array in ARRAYS}
    return Split(**arrays)
