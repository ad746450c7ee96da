"""The input of a network's last layer, computed once per network and split, and kept on the node.

An entry of the cache is keyed by all that its content depends on: the backbone's weights, the network's name, the
data's fingerprint and normalisation, and the code that turns images into features. So one is never stale, also when
a file of weights is replaced under its name, and protocols and analyses share them.
"""

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scale_tune.datasets import transforms
from scale_tune.datasets.cache import cache_root
from scale_tune.datasets.splits import DatasetSplits, Split, SplitName
from scale_tune.datasets.transforms import normalise
from scale_tune.networks import network_version
from scale_tune.networks.classifier import Classifier
from scale_tune.spec.config import ModelOptions
from scale_tune.storage.location import write_atomically
from scale_tune.training.replica import EVALUATION_BATCH

Features = NDArray[np.float64]
FeaturesOf = Callable[[SplitName], Features]
"""Gives the features (samples, features) of a split when they are asked for, and not before."""


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

    def __call__(self, split: SplitName) -> Features:
        """Features (samples, features) of a split."""
        path = cache_root() / "features" / f"{self._key}-{split}.npy"
        images: Split = getattr(self._splits, split)
        features = _read(path, len(images))
        if features is None:
            features = extract_features(self._model, images, self._splits)
            buffer = io.BytesIO()
            np.save(buffer, features)
            with suppress(OSError):  # a full disk costs time, not the analysis
                write_atomically(path, buffer.getvalue())
        return features.astype(np.float64)


@torch.inference_mode()
def extract_features(model: Classifier, split: Split, splits: DatasetSplits) -> NDArray[np.float32]:
    """The input of the last layer, of shape (samples, features), in eval mode and without augmentation."""
    model.eval()
    features = [
        model.backbone(
            normalise(torch.from_numpy(np.array(split.images[start : start + EVALUATION_BATCH])), splits.info)
        )
        for start in range(0, len(split), EVALUATION_BATCH)
    ]
    extracted: NDArray[np.float32] = torch.cat(features).float().numpy()
    return extracted


def _read(path: Path, samples: int) -> NDArray[np.float32] | None:
    try:
        features: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # absent, or damaged: it is made again
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
