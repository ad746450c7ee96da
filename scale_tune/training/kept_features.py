"""The features of a trained network, kept when its trial ends: all that DFR needs, without weights, images or a GPU.

A file holds, for each of target, val and test, the input of the last layer at the best epoch (in eval mode, of images
without augmentation) with the labels and attributes of the same samples; and in its header what they are of. Of train,
which is large, it holds the samples of the group-balanced subsamples that DFR on train is fitted on, and which these
are; nothing where train lacks a group.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scale_tune.datasets.balanced import train_subsamples
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.splits import DatasetSplits, Split, SplitName
from scale_tune.datasets.transforms import normalise
from scale_tune.networks.classifier import Classifier
from scale_tune.storage.location import Location
from scale_tune.training.records import TrialRecord
from scale_tune.training.replica import EVALUATION_BATCH
from scale_tune.training.tensorfile import load_tensors, save_tensors
from scale_tune.training.trialdir import FEATURE_SPLITS, features_path, read_record

HEADER_KEY = "of"
TRAIN: SplitName = "train"


@dataclass(frozen=True, kw_only=True)
class SplitFeatures:
    """The features of a split's samples, in their order.

    Attributes:
        features: float32, (samples, features).
        labels: int64, (samples,).
        attributes: int64, (samples,).
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    attributes: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrialFeatures:
    """What one seed of a trial has kept.

    Attributes:
        trial, seed: of which replica.
        record: the digest of the trial's record, which tells this training from any other.
        fingerprint: of the splits that it was trained on, whose samples these are.
        groups: how they are judged.
        splits: by the names in :data:`scale_tune.training.trialdir.FEATURE_SPLITS`; and of train what is kept of it.
        subsamples: of train, int64, (fits + 1, samples): where in what is kept the samples of each are. Without rows if
            train lacks a group.
    """

    trial: str
    seed: int
    record: str
    fingerprint: str
    groups: Groups
    splits: dict[SplitName, SplitFeatures]
    subsamples: NDArray[np.int64]


@torch.inference_mode()
def extract_features(
    network: Classifier,
    split: Split,
    splits: DatasetSplits,
    device: torch.device,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """The input of the last layer, of shape (samples, features), in eval mode and without augmentation.

    Args:
        network: on the device.
        split: the images.
        splits: the dataset that it is of.
        device: where to compute.
        rows: which samples, in this order; None: all.
    """
    network.eval()
    wanted = np.arange(len(split)) if rows is None else rows
    found = [torch.empty(0, network.num_features)]
    for start in range(0, len(wanted), EVALUATION_BATCH):
        images = torch.from_numpy(split.images[wanted[start : start + EVALUATION_BATCH]]).to(device)
        found.append(network.backbone(normalise(images, splits.info)).float().cpu())
    extracted: NDArray[np.float32] = torch.cat(found).numpy()
    return extracted


def features_of(
    network: Classifier, splits: DatasetSplits, device: torch.device, *, record: TrialRecord, seed: int
) -> TrialFeatures:
    """The features that a replica of an ended trial keeps, of its network with the weights of its best epoch."""

    def kept(name: SplitName, rows: NDArray[np.int64] | None = None) -> SplitFeatures:
        split: Split = getattr(splits, name)
        which = slice(None) if rows is None else rows
        return SplitFeatures(
            features=extract_features(network, split, splits, device, rows),
            labels=np.array(split.labels[which]),
            attributes=np.array(split.attributes[which]),
        )

    train = splits.train
    rows, positions = train_subsamples(train.labels, train.attributes, splits.info.groups, seed)
    return TrialFeatures(
        trial=record.trial,
        seed=seed,
        record=record.digest(),
        fingerprint=splits.fingerprint,
        groups=splits.info.groups,
        splits={name: kept(name) for name in FEATURE_SPLITS} | {TRAIN: kept(TRAIN, rows)},
        subsamples=positions,
    )


def save_features(directory: Location, kept: TrialFeatures) -> None:
    """Write the features of one seed of a trial."""
    arrays = {f"{split}/{name}": array for split, each in kept.splits.items() for name, array in vars(each).items()}
    tensors = {name: torch.from_numpy(array) for name, array in (arrays | {"subsamples": kept.subsamples}).items()}
    of = {name: getattr(kept, name) for name in ("trial", "seed", "record", "fingerprint")}
    of["groups"] = asdict(kept.groups)
    save_tensors(features_path(directory, kept.seed), tensors, {HEADER_KEY: json.dumps(of)})


def load_features(directory: Location, seed: int) -> TrialFeatures:
    """The features that one seed of an ended trial has kept.

    Raises:
        FileNotFoundError: it has kept none.
        ValueError: the file is damaged, or is of another trial or seed, or of another training than the trial's record.
        UserError: that record is damaged.
    """
    path = features_path(directory, seed)
    said, tensors = load_tensors(path)
    try:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        of: dict[str, Any] = json.loads(said[HEADER_KEY])
        groups = _groups(of.pop("groups"))
        splits = {
            split: SplitFeatures(**{n: arrays[f"{split}/{n}"] for n in ("features", "labels", "attributes")})
            for split in (*FEATURE_SPLITS, TRAIN)
        }
        found = TrialFeatures(**of, groups=groups, splits=splits, subsamples=arrays["subsamples"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!r:.200}") from None
    if (found.trial, found.seed) != (directory.name, seed):
        raise ValueError(f"{path} holds the features of {found.trial}, seed {found.seed}")
    record = read_record(directory)
    if record is None or found.record != record.digest():
        raise ValueError(f"{path} is not of the training that the trial's record tells of")
    return found


def _groups(plain: dict[str, Any]) -> Groups:
    train_n = plain.pop("train_n")
    return Groups(
        num_classes=plain["num_classes"],
        num_attributes=plain["num_attributes"],
        evaluation_groups=EvaluationGroups(plain["evaluation_groups"]),
        aligned_attributes=tuple(plain["aligned_attributes"]),
        train_n=None if train_n is None else tuple(map(tuple, train_n)),
    )
