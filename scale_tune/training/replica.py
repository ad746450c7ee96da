"""The training loop of one replica: one seed of one trial. It knows no search and no files."""

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from scale_tune.datasets.groups import GroupCounts, Groups
from scale_tune.datasets.splits import DatasetInfo, DatasetSplits, Split, SplitName
from scale_tune.datasets.transforms import augment, normalise
from scale_tune.errors import UserError
from scale_tune.methods.scale import Scale
from scale_tune.networks.classifier import Classifier, build_classifier
from scale_tune.seeding import derive_seed
from scale_tune.spec.config import Method, Schedule, TrialConfig
from scale_tune.training.records import EpochRecord, SplitRecord

HEADS: dict[Method, tuple[SplitName, ...]] = {
    Method.ERM: ("train",),
    Method.ERM_TARGET: ("target",),
    Method.SCALE: ("train", "target"),
}
"""The heads of each method's network, named by the split they learn from. The last one is evaluated."""

EVALUATION_BATCH = 256


class Tally:
    """Loss and correct predictions per group, summed on the device and read once."""

    def __init__(self, info: DatasetInfo, device: torch.device) -> None:
        self.groups: Groups = info.groups
        self.loss = torch.zeros((), device=device, dtype=torch.float64)
        self.n = torch.zeros(math.prod(self.groups.shape), device=device, dtype=torch.int64)
        self.correct = torch.zeros_like(self.n)

    def add(self, logits: Tensor, labels: Tensor, attributes: Tensor) -> Tensor:
        """Count a batch and return its mean cross-entropy, a scalar with its graph."""
        loss = cross_entropy(logits, labels)
        self.loss += loss.detach().double() * len(labels)
        cells = labels * self.groups.num_attributes + attributes
        self.n.index_add_(0, cells, torch.ones_like(cells))
        self.correct.index_add_(0, cells, (logits.detach().argmax(dim=1) == labels).long())
        return loss

    def counts(self) -> GroupCounts:
        """The counts so far, read from the device."""
        n, correct = (t.cpu().numpy().reshape(self.groups.shape) for t in (self.n, self.correct))
        return GroupCounts(n=n, correct=correct, groups=self.groups)

    def mean_loss(self) -> float:
        """Mean cross-entropy over the samples so far."""
        return float(self.loss) / int(self.n.sum())


class DivergenceError(Exception):
    """A loss is no longer finite: the replica can learn nothing more."""


class Replica:
    """The network and optimizers of one seed.

    A replica's draws are seeded by (seed, purpose, epoch), so the weights and momentum at the end of an epoch
    are all that the next epochs depend on.
    """

    def __init__(self, config: TrialConfig, seed: int, splits: DatasetSplits, device: torch.device) -> None:
        self.config = config
        self.seed = seed
        self.splits = splits
        self.device = device
        heads = HEADS[config.method]
        self.model: Classifier = build_classifier(
            config.model, splits.info.groups.num_classes, heads, derive_seed(seed, "init")
        ).to(device)
        self.optimizers = build_optimizers(config, self.model)

    def train_epoch(self, epoch: int) -> tuple[EpochRecord, dict[str, GroupCounts]]:
        """Train epoch number ``epoch`` (from 1), evaluate on val, and return the record and each split's counts.

        Raises:
            DivergenceError: a loss was not finite.
        """
        started = time.perf_counter()
        config, info = self.config, self.splits.info
        lr = learning_rate(config, epoch)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "batches", epoch))
        tallies: dict[str, Tally] = {split: Tally(info, self.device) for split in HEADS[config.method]}
        self.model.train()
        cosines = [self._step(batches, tallies) for batches in self._batches(generator)]
        measured: dict[str, Tally] = {**tallies, "val": self.evaluate("val")}
        losses = {split: tally.mean_loss() for split, tally in measured.items()}
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise DivergenceError(f"seed {self.seed}, epoch {epoch}: the losses are {losses}")
        counts = {split: tally.counts() for split, tally in measured.items()}
        record = EpochRecord(
            epoch=epoch,
            lr=lr,
            seconds=time.perf_counter() - started,
            diagnostics={} if (cosine := _mean(cosines)) is None else {"cosine": cosine},
            objective=counts["val"].objective(config.objective),
            splits={split: SplitRecord(loss=losses[split], **counts[split].summary()) for split in measured},
        )
        return record, counts

    def take_one_step(self) -> None:
        """Train on the first batch of the first epoch."""
        self.model.train()
        generator = torch.Generator().manual_seed(0)
        tallies: dict[str, Tally] = {split: Tally(self.splits.info, self.device) for split in HEADS[self.config.method]}
        self._step(next(self._batches(generator)), tallies)

    @torch.inference_mode()
    def evaluate(self, split: SplitName) -> Tally:
        """Loss and counts per group of a whole split, in eval mode, without augmentation."""
        self.model.eval()
        tally = Tally(self.splits.info, self.device)
        data: Split = getattr(self.splits, split)
        for start in range(0, len(data), EVALUATION_BATCH):
            images, labels, attributes = self._load(data, np.arange(start, min(start + EVALUATION_BATCH, len(data))))
            tally.add(self.model(normalise(images, self.splits.info)), labels, attributes)
        return tally

    def tensors(self) -> dict[str, Tensor]:
        """Weights and momentum by name: all of the replica's state between two epochs."""
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for owner, optimizer in self.optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                if state.get("momentum_buffer") is not None:
                    tensors[f"momentum/{owner}/{index}"] = state["momentum_buffer"]
        return tensors

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take up the state that :meth:`tensors` gave."""
        weights = {name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")}
        self.model.load_state_dict(weights)
        for owner, optimizer in self.optimizers.items():
            prefix = f"momentum/{owner}/"
            momentum = {
                int(name.removeprefix(prefix)): {"momentum_buffer": tensor}
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            optimizer.load_state_dict({**optimizer.state_dict(), "state": momentum})

    def _batches(self, generator: torch.Generator) -> Iterator[dict[SplitName, tuple[Tensor, Tensor, Tensor]]]:
        """One epoch's batches of the first head's split and, for SCALE, as many target samples beside each."""
        first, *others = HEADS[self.config.method]
        data: Split = getattr(self.splits, first)
        order = torch.randperm(len(data), generator=generator)
        for indices in torch.split(order, self.config.hyperparameters.batch_size):
            if len(indices) == 1:
                continue  # BatchNorm can't normalise a single sample
            batches = {first: self._load_augmented(data, indices, generator)}
            for other in others:
                more: Split = getattr(self.splits, other)
                drawn = torch.randperm(len(more), generator=generator)[: len(indices)]
                batches[other] = self._load_augmented(more, drawn, generator)
            yield batches

    def _step(
        self, batches: dict[SplitName, tuple[Tensor, Tensor, Tensor]], tallies: dict[str, Tally]
    ) -> Tensor | None:
        """One update of the weights; returns SCALE's mean cosine, a scalar on the device."""
        backbone = list(self.model.backbone.parameters())
        backbone_grads = []
        for split, (images, labels, attributes) in batches.items():
            head = list(self.model.head(split).parameters())
            loss = tallies[split].add(self.model(images, split), labels, attributes)
            grads = torch.autograd.grad(loss, backbone + head, allow_unused=True)
            backbone_grads.append(grads[: len(backbone)])
            for parameter, grad in zip(head, grads[len(backbone) :], strict=True):
                parameter.grad = grad
        shared = self.optimizers["backbone"]
        if isinstance(shared, Scale):
            cosine: Tensor | None = shared.step(*backbone_grads).mean()
        else:
            for parameter, grad in zip(backbone, backbone_grads[0], strict=True):
                parameter.grad = grad
            shared.step()
            cosine = None
        self.optimizers["heads"].step()
        return cosine

    def _load(self, data: Split, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        arrays = (data.images[indices], data.labels[indices], data.attributes[indices])
        images, labels, attributes = (torch.from_numpy(array).to(self.device) for array in arrays)
        return images, labels, attributes

    def _load_augmented(
        self, data: Split, indices: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        images, labels, attributes = self._load(data, indices.numpy())
        info = self.splits.info
        return normalise(augment(images, info, generator), info), labels, attributes


def try_out(config: TrialConfig, splits: DatasetSplits, device: torch.device) -> None:
    """Take one step on the first samples, to see whether the model can train on such images at all.

    Raises:
        UserError: it can't.
    """
    replica = Replica(config, config.seeds[0], splits, device)
    try:
        replica.take_one_step()
    except RuntimeError as error:
        shape = " x ".join(map(str, splits.train.images.shape[1:]))
        raise UserError(
            f"the model {config.model.name} can't train on {splits.name}'s images of {shape}: {error}; "
            "choose another model.name"
        ) from None


def build_optimizers(config: TrialConfig, model: Classifier) -> dict[str, torch.optim.Optimizer]:
    """The optimizers of the backbone and of the heads.

    SCALE trains its heads by plain SGD, without momentum or weight decay; the other methods train all weights by
    SGD with both.
    """
    hp = config.hyperparameters
    if config.scale is not None:
        backbone: torch.optim.Optimizer = Scale(
            model.backbone.named_parameters(),
            lr=hp.lr,
            momentum=hp.momentum,
            weight_decay=hp.weight_decay,
            group_size=config.scale.group_size,
            regularize_mode=config.scale.regularize_mode,
        )
        return {"backbone": backbone, "heads": torch.optim.SGD(model.heads.parameters(), lr=hp.lr)}
    return {
        part: torch.optim.SGD(module.parameters(), lr=hp.lr, momentum=hp.momentum, weight_decay=hp.weight_decay)
        for part, module in (("backbone", model.backbone), ("heads", model.heads))
    }


def _mean(scalars: list[Tensor | None]) -> float | None:
    present = [scalar for scalar in scalars if scalar is not None]
    return float(torch.stack(present).mean()) if present else None


def learning_rate(config: TrialConfig, epoch: int) -> float:
    """The learning rate of epoch ``epoch`` (from 1): constant, or cosine from ``lr`` down towards 0."""
    lr = config.hyperparameters.lr
    if config.schedule is Schedule.COSINE:
        return lr * (1 + math.cos(math.pi * (epoch - 1) / config.epochs)) / 2
    return lr
