"""What every trial of a search will do, tried here for a step: what a dry run accepts, trains."""

from collections.abc import Callable

import numpy as np

from scale_tune.datasets import Dataset, DatasetSplits, Split, dataset_of
from scale_tune.datasets.ahead import dataset_corners
from scale_tune.datasets.planning import info_of, plan_of
from scale_tune.datasets.preparation import preview
from scale_tune.errors import UserError
from scale_tune.spec.config import IMAGENET, RANDOM
from scale_tune.spec.space import RunSpec

SAMPLES = 64
"""Of each split that a step is tried on."""
BATCH = 4
"""Enough to see whether a network can train on such images; a larger one would take its time without a GPU."""


def rehearse(spec: RunSpec, say: Callable[[str], None]) -> None:
    """Plan the data in every corner of the space and take a step of each method; nothing is written.

    Args:
        spec: what is to be searched.
        say: called with a line about what can't be tried here, or takes time.

    Raises:
        UserError: some trial could not train.
    """
    missing = _missing(spec)
    if missing:
        say(f"note: this can't be run yet: {missing}")
    for corner in dataset_corners(spec) if not missing else ():
        plan_of(dataset_of(corner))
    say("trying a step …")
    import torch

    from scale_tune.training.replica import try_out

    for method in spec.methods:
        config = spec.first_config(method)
        say(f"  of {method} with {config.model.name}")
        smaller = {"batch_size": min(config.hyperparameters.batch_size, BATCH)}
        config = config.model_copy(update={"hyperparameters": config.hyperparameters.model_copy(update=smaller)})
        if config.model.weights == IMAGENET:
            # Fetched by the workers, once; a dry run needs no network.
            config = config.model_copy(update={"model": config.model.model_copy(update={"weights": RANDOM})})
        dataset = dataset_of(config.dataset)
        try:
            splits = _noise(config.dataset.name, dataset) if missing else preview(dataset, config.dataset.name, SAMPLES)
        except UserError:
            if missing:  # without its files, not even the size of its images is known
                return
            raise
        try_out(config, splits, torch.device("cpu"))


def _missing(spec: RunSpec) -> str:
    """What the dataset's files lack, if anything."""
    try:
        dataset_of(spec.dataset).files()
    except UserError as error:
        return str(error)
    return ""


def _noise(name: str, dataset: Dataset) -> DatasetSplits:
    """Splits of images that show nothing, of the size and with the groups that the dataset will have."""
    info = info_of(dataset)
    cells = np.arange(SAMPLES) % (info.groups.num_classes * info.groups.num_attributes)
    labels, attributes = np.divmod(cells, info.groups.num_attributes)
    noise = np.random.default_rng(0).integers(0, 256, (SAMPLES, 3, info.height, info.width), np.uint8)
    split = Split(images=noise, labels=labels, attributes=attributes, sources=cells[:, None])
    return DatasetSplits(
        name=name, options={}, fingerprint="", info=info, train=split, target=split, val=split, test=split
    )
