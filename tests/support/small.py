"""Data of a few images, and replicas whose batches are noted."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.splits import DatasetInfo, DatasetSplits, Split
from scale_tune.methods import Batch
from scale_tune.spec.config import Hyperparameters, TrialConfig
from scale_tune.training.replica import Replica

Cells = dict[tuple[int, int], int]
"""How many samples of a label and an attribute there are; of others there is none."""
BIASED: Cells = {(0, 0): 60, (0, 1): 6, (1, 0): 12, (1, 1): 42}
BALANCED: Cells = {(0, 0): 12, (0, 1): 12, (1, 0): 12, (1, 1): 12}
MOMENTUM = 0.9


def small_splits(train: Cells = BIASED, target: Cells = BALANCED, seed: int = 0) -> DatasetSplits:
    """Two classes and three attributes, the last of which nobody has; the images are mostly noise."""
    groups = Groups(
        num_classes=2, num_attributes=3, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1)
    )
    parts = {
        name: _split(cells, [seed, number])
        for number, (name, cells) in enumerate([("train", train), ("target", target), ("val", BALANCED)])
    }
    info = DatasetInfo(
        groups=groups.with_train(parts["train"].labels, parts["train"].attributes),
        height=16,
        width=8,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    fingerprint = f"{seed} {train} {target}"
    return DatasetSplits(name="small", options={}, fingerprint=fingerprint, info=info, test=parts["val"], **parts)


def _split(cells: Cells, seed: list[int]) -> Split:
    random = np.random.default_rng(seed)
    rows = np.array([cell for cell, n in cells.items() for _ in range(n)], np.int64)
    labels, attributes = random.permutation(rows).T.copy()
    images = random.integers(0, 200, (len(rows), 3, 16, 8), np.uint8)
    images[:, 0, :8] += (20 * labels[:, None, None]).astype(np.uint8)
    images[:, 1] += (40 * attributes[:, None, None]).astype(np.uint8)
    return Split(images=images, labels=labels, attributes=attributes, sources=np.arange(len(rows))[:, None])


def small_config(method: str, *, lr: float = 0.02, weight_decay: float = 0.01, options=None, **fields) -> TrialConfig:
    """Of a replica that trains in a fraction of a second."""
    hyperparameters = Hyperparameters(lr=lr, weight_decay=weight_decay, batch_size=8, momentum=MOMENTUM)
    settings = {"epochs": 2, "seeds": (0,)} | fields
    return TrialConfig(method=method, hyperparameters=hyperparameters, options=options or {}, **settings)


class Observed:
    """A replica, the batches that it has learned from, and its network as it was at first."""

    def __init__(self, config: TrialConfig, splits: DatasetSplits) -> None:
        self.replica = Replica(config, config.seeds[0], splits, torch.device("cpu"))
        self.method = self.replica.method
        self.before: nn.Module = copy.deepcopy(self.method.network)
        self.seen: list[dict[str, Batch]] = []
        step = self.method.step

        def noted(batches):
            self.seen.append(dict(batches))
            return step(batches)

        self.method.step = noted

    def prepare(self) -> "Observed":
        """All epochs up to 0."""
        for epoch in range(1 - self.method.preparation, 1):
            self.replica.prepare_epoch(epoch)
        return self

    def train(self, epochs: int) -> "Observed":
        """So many epochs from 1."""
        for epoch in range(1, epochs + 1):
            self.replica.train_epoch(epoch)
        return self

    def batches(self, split: str, start: int = 0) -> Iterator[Batch]:
        """Of one split, those from the step ``start`` on."""
        return (batches[split] for batches in self.seen[start:])


def observed(method: str, splits: DatasetSplits | None = None, **fields) -> Observed:
    """A replica of :func:`small_config`."""
    return Observed(small_config(method, **fields), splits or small_splits())


def plain_sgd(network: nn.Module, batches: Iterator[Batch], *, lr: float = 0.02, weight_decay: float = 0.01):
    """Train a network in place by torch's SGD on the mean cross-entropy of each batch."""
    sgd = torch.optim.SGD(network.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=weight_decay, fused=True)
    network.train()
    for batch in batches:
        sgd.zero_grad()
        cross_entropy(network(batch.images), batch.labels).backward()
        sgd.step()
    return network


def assert_same_bits(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Of two states by name."""
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def parameters(network: nn.Module) -> dict[str, torch.Tensor]:
    """What is learned, and no running statistics."""
    return {name: parameter.detach() for name, parameter in network.named_parameters()}
