"""A dataset from its options to arrays that are ready to train on."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from scale_tune.datasets import sources
from scale_tune.datasets.cache import Report, load_cached
from scale_tune.datasets.contract import Dataset
from scale_tune.datasets.planning import info_of, plan_of
from scale_tune.datasets.registry import dataset_of, full_options
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetSplits, Split
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig, TrialConfig


def load_dataset(name: str, *, file: str | Path | None = None, **options: Any) -> DatasetSplits:
    """Load a dataset, preparing it first if this machine has no prepared copy.

    The splits are a pure function of the name, the options (of which ``seed`` is one) and the source files.

    Args:
        name: ``digits``, ``dominoes``, ``celeba``, ``waterbirds`` or ``table``; or what you call your own.
        file: the Python file of your own.
        **options: the dataset's options; its module says which.

    Raises:
        UserError: no such dataset, an option is unknown or out of its range, or source files are missing or broken.
    """
    if file is not None:
        usercode.provide(usercode.read_sources({"file": Path(file)}))
    return load_splits(DatasetConfig(name=name, file=None if file is None else Path(file).name, **options))


def load_splits(config: DatasetConfig, report: Report = lambda done, total: None) -> DatasetSplits:
    """Load a dataset by its config; ``report`` is told how far a preparation is.

    Raises:
        UserError: as :func:`load_dataset`.
    """
    dataset = dataset_of(config)
    options = full_options(dataset)
    recipe = {
        "options": options,
        "sources": sources.stamp(dataset.files()),
        "versions": dict(dataset.versions),
        "code": None if config.file is None else usercode.version(config.file),
    }
    info = info_of(dataset)
    splits, fingerprint = load_cached(config.name, recipe, info, lambda: plan_of(dataset), report)
    info = replace(info, groups=info.groups.with_train(splits["train"].labels, splits["train"].attributes))
    return DatasetSplits(name=config.name, options=options, fingerprint=fingerprint, info=info, **splits)


def splits_by_seed(config: TrialConfig) -> dict[int, DatasetSplits]:
    """What each seed of a trial is trained and judged on; one object for all where they share their splits.

    Raises:
        UserError: as :func:`load_dataset`.
    """
    loaded: dict[str, DatasetSplits] = {}
    found = {}
    for seed, dataset in config.datasets.items():
        key = dataset.model_dump_json()
        if key not in loaded:
            loaded[key] = load_splits(dataset)
        found[seed] = loaded[key]
    return found


def preview(dataset: Dataset, name: str, samples: int) -> DatasetSplits:
    """The first samples of each split, made without preparing the others; for trying out what trains on them."""
    info, plans = info_of(dataset), plan_of(dataset)
    splits = {}
    for split in SPLIT_NAMES:
        plan = plans[split]
        n = min(samples, len(plan.labels))
        splits[split] = Split(
            images=plan.images(0, n), labels=plan.labels[:n], attributes=plan.attributes[:n], sources=plan.sources[:n]
        )
    return DatasetSplits(name=name, options=full_options(dataset), fingerprint="", info=info, **splits)


def identity(config: TrialConfig, splits: DatasetSplits) -> dict[str, str]:
    """What identifies the data and the initial weights: ``dataset``, and ``weights`` if they come from a file."""
    found = {"dataset": splits.fingerprint}
    if (weights := config.model.weights_file) is not None:
        with weights.open("rb") as file:
            found["weights"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
