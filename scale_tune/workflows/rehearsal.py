"""What every trial of a search will do, tried here for a step: what a dry run accepts, trains."""

from collections.abc import Callable, Iterator

import numpy as np

from scale_tune.datasets import Dataset, DatasetSplits, Split, dataset_of
from scale_tune.datasets.ahead import data_corners, dataset_variants, planned
from scale_tune.datasets.balanced import train_subsamples
from scale_tune.datasets.planning import info_of
from scale_tune.datasets.preparation import preview
from scale_tune.errors import UserError
from scale_tune.methods import is_refitted
from scale_tune.methods.defined import check_defined
from scale_tune.networks import pretrained
from scale_tune.spec.config import IMAGENET, RANDOM, Splits
from scale_tune.spec.space import RunSpec
from scale_tune.training.trialdir import FEATURE_SPLITS

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
    samples: int | None = None
    for corner, dataset, plan in planned(data_corners(spec) if not missing else ()):
        groups = info_of(dataset).groups
        check_defined(corner, plan, groups)
        of_train = train_subsamples(plan["train"].labels, plan["train"].attributes, groups, spec.seeds[0])[0]
        samples = max(samples or 0, len(of_train) + sum(len(plan[split].labels) for split in FEATURE_SPLITS))
    say("trying a step …")
    import torch

    from scale_tune.training.trying_out import try_out

    features: dict[str, int] = {}
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
        features[method] = try_out(config, splits, torch.device("cpu"))
    for line in _coverage(spec, features, samples):
        say(line)


def _coverage(spec: RunSpec, features: dict[str, int], samples: int | None) -> Iterator[str]:
    """What DFR will be fitted on, and how much space that takes.

    Args:
        spec: what is to be searched.
        features: how many a network of each method has.
        samples: of target, val, test and train's subsamples, on the largest dataset; None where files are not there.
    """
    refitted = [method for method in spec.methods if is_refitted(spec.first_config(method))]
    datasets = len(dataset_variants(spec)) // (len(spec.seeds) if spec.splits is Splits.PER_SEED else 1)
    on_each = f" on each of the {datasets} datasets" * (datasets > 1)
    for method in refitted:
        early = "; those stopped early have none" * (spec.scheduler.name != "none")
        yield f"DFR        every {method} trial that runs to its end{on_each}, {len(spec.seeds)} seeds each{early}"
        row = 4 * features[method] + 2 * 8  # float32, and two labels of 8 bytes
        if samples is None:
            of = "target, val, test and some of train, and seed"
            yield f"           keeps {row / 1e3:.3g} kB of features for each image of {of}"
        else:
            trial = row * samples * len(spec.seeds)
            most = f"{_size(trial)} a trial, at most {_size(trial * spec.method_samples(method))} in all"
            of = "(target, val, test, some of train) and seed"
            yield f"           keeps the features of {samples:,} images {of}: {most}"
    if not refitted:
        yield "DFR        none: no method here is refitted, as erm is"
    try:
        model = pretrained(spec.model)
        yield f"           and {model.name} with the weights {model.weights}, untrained{on_each}"
    except UserError as error:
        yield f"           no pretrained baseline: {error}"


def _size(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


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
