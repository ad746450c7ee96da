"""Methods, datasets and a network as users bring them, in the forms that are hard to resume."""

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import cross_entropy

from scale_tune import (
    Dataset,
    DatasetInfo,
    EvaluationGroups,
    Groups,
    Method,
    MethodOptions,
    PaddedCrop,
    SplitPlan,
    Step,
    descend,
)


class AdamWithBuffer(Method):
    """Adam, whose moments are state, and a temperature that follows the loss, a learned scalar and a count."""

    learns_from = ("train",)

    def setup(self):
        self.network = self.new_network()
        self.scale = torch.ones((), device=self.device, requires_grad=True)
        self.optimizer = torch.optim.Adam([*self.network.parameters(), self.scale], lr=1e-3, betas=(0.8, 0.99))
        self.temperature = torch.ones((), device=self.device)
        self.steps = 0

    def step(self, batches):
        batch = batches["train"]
        logits = self.network(batch.images) * self.scale / self.temperature
        loss = cross_entropy(logits, batch.labels)
        descend(loss, self.optimizer)
        self.temperature = 0.9 * self.temperature + 0.1 * (1 + loss.detach())
        self.steps += 1
        if self.steps % 3 == 0:
            self.optimizer.param_groups[0]["weight_decay"] += 1e-3
        return Step(logits={"train": logits}, scalars={"temperature": self.temperature})


class TwoStagesOptions(MethodOptions):
    first: int = Field(default=1, ge=1)
    """Epochs of the first stage."""


class TwoStages(Method):
    """Finds what the first stage gets wrong, then begins anew on those samples and some others."""

    learns_from = ("train", "target")
    Options = TwoStagesOptions

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())
        self.wrong = torch.zeros(len(self.samples["train"]), dtype=torch.bool)
        self.stage = "first"

    def begin_epoch(self, epoch):
        if epoch == self.options.first + 1:
            self.stage = "second"
            self.network.load_state_dict(self.new_network().state_dict())
            self.optimizer.state.clear()

    def draw(self, generator):
        order = super().draw(generator)
        if self.stage == "first":
            return order
        extra = self.wrong.nonzero().flatten()
        return torch.cat([order[: len(order) // 2], extra])

    def step(self, batches):
        logits = {split: self.network(batch.images) for split, batch in batches.items()}
        loss = sum(cross_entropy(logits[split], batch.labels) for split, batch in batches.items())
        descend(loss, self.optimizer)
        if self.stage == "first":
            batch = batches["train"]
            wrong = logits["train"].detach().argmax(dim=1) != batch.labels
            self.wrong[batch.indices] = wrong.cpu()
        return Step(logits=logits)


class Tinted(Dataset):
    """Two classes of noise told apart by brightness, three tints; one group of train is empty."""

    def info(self):
        groups = Groups(
            num_classes=2, num_attributes=3, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1)
        )
        return DatasetInfo(
            groups=groups,
            height=20,
            width=24,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            random_crop=PaddedCrop(padding=2),
            flip=True,
        )

    def plan(self):
        return {split: self._split(split, n) for split, n in (("train", 90), ("target", 36), ("val", 36), ("test", 48))}

    def _split(self, split, n):
        rng = np.random.default_rng([self.options.seed, *split.encode()])
        labels, attributes = rng.integers(0, 2, n), rng.integers(0, 3, n)
        if split == "train":
            attributes[labels == 1] = 1  # so that two groups are empty
        images = rng.integers(0, 128, (n, 3, 20, 24), np.uint8)
        images[np.arange(n), attributes] += 60
        images[labels == 1] += 60
        return SplitPlan(
            labels=labels,
            attributes=attributes,
            sources=np.arange(n)[:, None] + 1000 * len(split),
            images=lambda start, stop: images[start:stop],
        )


class Paired(Dataset):
    """Ten classes that go with an attribute each, as digits and dominoes; a fifth of train is conflicting."""

    def info(self):
        groups = Groups(
            num_classes=10,
            num_attributes=10,
            evaluation_groups=EvaluationGroups.ALIGNED_CONFLICTING,
            aligned_attributes=tuple(range(10)),
        )
        return DatasetInfo(groups=groups, height=16, width=8, mean=(0.5,) * 3, std=(0.25,) * 3)

    def plan(self):
        return {
            split: self._split(split, n) for split, n in (("train", 100), ("target", 50), ("val", 50), ("test", 50))
        }

    def _split(self, split, n):
        rng = np.random.default_rng([self.options.seed, *split.encode()])
        labels = np.arange(n) % 10
        conflicting = np.arange(n) % (5 if split == "train" else 2) == 0
        attributes = np.where(conflicting, (labels + rng.integers(1, 10, n)) % 10, labels)
        images = rng.integers(0, 100, (n, 3, 16, 8), np.uint8)
        for row, shown in ((0, attributes), (8, labels)):  # one below the other, as brightness of a line
            images[np.arange(n), :, row + shown // 2] += (80 + 60 * (shown % 2))[:, None, None].astype(np.uint8)
        return SplitPlan(
            labels=labels,
            attributes=attributes,
            sources=np.arange(n)[:, None] + 1000 * len(split),
            images=lambda start, stop: images[start:stop],
        )


def with_dropout():
    """A network whose draws within a step are of torch's global generator."""
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
    )
    return backbone, 32


def without_batchnorm():
    """A network in which nothing depends on what else is in a batch, or was in those before."""
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return backbone, 32
