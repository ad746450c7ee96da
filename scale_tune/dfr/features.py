"""What a last layer is refitted on: the features that a trial has kept, or those of a network that nobody has trained.

The latter are computed once per network and split, and kept on the node. An entry of that cache is keyed by all that
its content depends on: the backbone's weights, the network's name, the data's fingerprint and normalisation, and the
code that turns images into features. So one is never stale, also when a file of weights is replaced under its name, and
protocols and analyses share them.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scale_tune.datasets import transforms
from scale_tune.datasets.balanced import train_subsamples
from scale_tune.datasets.cache import cache_root
from scale_tune.datasets.groups import Groups
from scale_tune.datasets.splits import DatasetSplits, Split, SplitName
from scale_tune.networks import network_version
from scale_tune.networks.classifier import Classifier
from scale_tune.spec.config import DatasetConfig, ModelOptions
from scale_tune.storage.location import Location
from scale_tune.training.kept_features import TRAIN, TrialFeatures, extract_features
from scale_tune.training.tensorfile import load_tensors, save_tensors
from scale_tune.training.trialdir import FEATURE_SPLITS

Features = NDArray[np.float64]
FeaturesOf = Callable[[SplitName], Features]
"""Gives the features (samples, features) of a split when they are asked for, and not before."""
Computed = Callable[[SplitName, NDArray[np.int64] | None], Features]
"""The same, of these samples of the split, or of all."""


@dataclass(frozen=True, kw_only=True)
class Featured:
    """Features of target, val and test, and what is known of their samples.

    Attributes:
        dataset: what they are of.
        fingerprint: of its splits.
        groups: how they are judged.
        labels, attributes: int64, (samples,), by split.
        features: gives a split's, in the same order.
        subsamples: of what is known of train, where the samples of each of its group-balanced subsamples are; without
            rows if train lacks a group.
    """

    dataset: DatasetConfig
    fingerprint: str
    groups: Groups
    labels: Mapping[SplitName, NDArray[np.int64]]
    attributes: Mapping[SplitName, NDArray[np.int64]]
    features: FeaturesOf
    subsamples: NDArray[np.int64]

    @classmethod
    def kept(cls, features: TrialFeatures, dataset: DatasetConfig) -> "Featured":
        """Those that one seed of a trial has kept."""
        return cls(
            dataset=dataset,
            fingerprint=features.fingerprint,
            groups=features.groups,
            labels={name: split.labels for name, split in features.splits.items()},
            attributes={name: split.attributes for name, split in features.splits.items()},
            features=lambda name: features.splits[name].features.astype(np.float64),
            subsamples=features.subsamples,
        )

    @classmethod
    def of(cls, splits: DatasetSplits, compute: "Computed", seed: int) -> "Featured":
        """Those that are computed of a dataset that is there.

        Args:
            splits: the dataset.
            compute: gives the features of a split, or of some samples of it.
            seed: of the subsamples of train.
        """
        train = splits.train
        rows, positions = train_subsamples(train.labels, train.attributes, splits.info.groups, seed)
        kept = {name: np.arange(len(getattr(splits, name))) for name in FEATURE_SPLITS} | {TRAIN: rows}
        return cls(
            dataset=DatasetConfig(name=splits.name, **splits.options),
            fingerprint=splits.fingerprint,
            groups=splits.info.groups,
            labels={name: np.array(getattr(splits, name).labels)[which] for name, which in kept.items()},
            attributes={name: np.array(getattr(splits, name).attributes)[which] for name, which in kept.items()},
            features=lambda name: compute(name, rows if name == TRAIN else None),
            subsamples=positions,
        )


class FrozenFeatures:
    """The features of a network on the splits of a dataset, each read from the cache or else computed when asked for.

    Args:
        model: the network.
        options: which network it is.
        splits: the data.
    """

    def __init__(self, model: Classifier, options: ModelOptions, splits: DatasetSplits) -> None:
        self._model = model
        self._splits = splits
        self._key = _key(model, options, splits)

    def __call__(self, split: SplitName, rows: NDArray[np.int64] | None = None) -> Features:
        """Features (samples, features) of a split, or of these samples of it."""
        which = "" if rows is None else f"-{hashlib.sha256(rows.tobytes()).hexdigest()[:16]}"
        path = Location.of(cache_root() / "features" / f"{self._key}-{split}{which}.safetensors")
        images: Split = getattr(self._splits, split)
        features = _read(path, len(images) if rows is None else len(rows))
        if features is None:
            features = extract_features(self._model, images, self._splits, torch.device("cpu"), rows)
            with suppress(OSError):  # a full disk costs time, not the analysis
                save_tensors(path, {"features": torch.from_numpy(features)}, {})
        return features.astype(np.float64)


def _read(path: Location, samples: int) -> NDArray[np.float32] | None:
    try:
        features: NDArray[np.float32] = load_tensors(path)[1]["features"].numpy()
    except (OSError, ValueError, KeyError):  # absent, or damaged: it is made again
        return None
    return features if features.ndim == 2 and len(features) == samples else None


def _key(model: Classifier, options: ModelOptions, splits: DatasetSplits) -> str:
    digest = hashlib.sha256()
    # The fingerprint is of the images as they are stored; what is seen of them, and how, is not in it.
    info = splits.info
    of_images = [splits.fingerprint, info.input_size, info.mean, info.std, transforms.VERSION]
    of_network = [options.name, network_version(options), torch.__version__]
    digest.update(repr([of_images, of_network]).encode())
    for tensor_name, tensor in sorted(model.backbone.state_dict().items()):
        digest.update(repr((tensor_name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
