"""The training loop of one replica: one seed of one trial. It knows no search and no files."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from scale_tune.datasets.groups import GroupCounts, Groups
from scale_tune.datasets.joined import Joined
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetInfo, DatasetSplits, SplitName
from scale_tune.datasets.transforms import augment, normalise
from scale_tune.methods import Batch, Samples, Setting, class_of
from scale_tune.methods.saving import load_state, modules, optimizers, state_of
from scale_tune.seeding import derive_seed
from scale_tune.spec.config import Schedule, TrialConfig
from scale_tune.training.records import EpochRecord, KnowledgeRecord, SplitRecord

EVALUATION_BATCH = 256


class Tally:
    """Loss and correct predictions per group, summed on the device and read once."""

    def __init__(self, info: DatasetInfo, device: torch.device) -> None:
        self.groups: Groups = info.groups
        self.loss = torch.zeros((), device=device, dtype=torch.float64)
        self.n = torch.zeros(math.prod(self.groups.shape), device=device, dtype=torch.int64)
        self.correct = torch.zeros_like(self.n)

    def add(self, logits: Tensor, labels: Tensor, groups: Tensor) -> None:
        """Count a batch: logits (batch, classes), labels and groups (batch,)."""
        self.loss += cross_entropy(logits, labels).double() * len(labels)
        self.n.index_add_(0, groups, torch.ones_like(groups))
        self.correct.index_add_(0, groups, (logits.argmax(dim=1) == labels).long())

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
    """One seed: its method with networks and optimizers, and the loop over epochs.

    A replica's draws are seeded by (seed, purpose, epoch), so the method's state at the end of an epoch is all that
    the next epochs depend on.

    Raises:
        UserError: there is no such method or network, or its weights can't be had.
    """

    def __init__(self, config: TrialConfig, seed: int, splits: DatasetSplits, device: torch.device) -> None:
        self.config = config
        self.seed = seed
        self.splits = splits
        self.device = device
        cls = class_of(config)
        pooled = cls.pools(cls.Options.model_validate(config.options))
        self._learned = {name: _learned(splits, name, pooled) for name in cls.learns_from}
        samples = {
            name: _samples(name, split, splits.info, known=name in cls.attributes_of)
            for name, split in self._learned.items()
        }
        setting = Setting(
            config=config, seed=seed, info=splits.info, samples=samples, device=device, outputs=self._outputs
        )
        self.method = cls(setting)
        self._set_rate(1.0)  # what the schedule is a factor of is noted

    def prepare_epoch(self, epoch: int) -> None:
        """Train an epoch that prepares the method, the last of which is epoch 0; nothing is evaluated.

        Raises:
            DivergenceError: a loss was not finite.
        """
        preparation = self.method.preparation
        self._train(epoch, learning_rate_factor(self.config.schedule, epoch + preparation, preparation))

    def train_epoch(self, epoch: int) -> tuple[EpochRecord, dict[str, GroupCounts]]:
        """Train epoch number ``epoch`` (from 1), evaluate on val, and return the record and each split's counts.

        Raises:
            DivergenceError: a loss was not finite.
        """
        started = time.perf_counter()
        factor = learning_rate_factor(self.config.schedule, epoch, self.config.epochs)
        tallies, scalars = self._train(epoch, factor)
        measured = {**tallies, "val": self.evaluate("val")}
        losses = self._finite_losses(epoch, measured)
        counts: dict[str, GroupCounts] = {split: tally.counts() for split, tally in measured.items()}
        record = EpochRecord(
            epoch=epoch,
            lr=self.config.hyperparameters.lr * factor,
            seconds=time.perf_counter() - started,
            diagnostics={name: float(torch.stack(values).mean()) for name, values in scalars.items()},
            objective=counts["val"].objective(self.config.objective),
            splits={split: SplitRecord(loss=losses[split], **counts[split].summary()) for split in measured},
        )
        return record, counts

    def _train(self, epoch: int, factor: float) -> tuple[dict[SplitName, Tally], dict[str, list[Tensor]]]:
        """The epoch's steps: what was got right of each split, and what the method reports besides."""
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "batches", epoch))
        self._set_rate(factor)
        self.method.begin_epoch(epoch)
        self._set_rate(factor)  # also of an optimizer that was made just now
        tallies: dict[SplitName, Tally] = {}
        scalars: dict[str, list[Tensor]] = {}
        self._set_mode(training=True)
        for batches, groups in self._batches(generator):
            step = self.method.step(batches)
            for split, logits in step.logits.items():
                tally = tallies.setdefault(split, Tally(self.splits.info, self.device))
                tally.add(logits.detach(), batches[split].labels, groups[split])
            for name, scalar in step.scalars.items():
                scalars.setdefault(name, []).append(scalar.detach())
        self._finite_losses(epoch, tallies)
        return tallies, scalars

    def _finite_losses(self, epoch: int, measured: Mapping[SplitName, Tally]) -> dict[SplitName, float]:
        losses = {split: tally.mean_loss() for split, tally in measured.items()}
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise DivergenceError(f"seed {self.seed}, epoch {epoch}: the losses are {losses}")
        return losses

    def _set_rate(self, factor: float) -> None:
        for optimizer in optimizers(self.method):
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def take_one_step(self) -> None:
        """Train on the first batch of the first epoch of each stage and predict as many images, as every epoch will."""
        for epoch in sorted({1 - self.method.preparation, 1}):
            generator = torch.Generator().manual_seed(0)
            self.method.begin_epoch(epoch)
            self._set_mode(training=True)
            for batches, _ in islice(self._batches(generator), 1):
                self.method.step(batches)
        self.evaluate("val", limit=self.config.hyperparameters.batch_size)

    @torch.inference_mode()
    def evaluate(self, split: SplitName, limit: int | None = None) -> Tally:
        """Loss and counts per group of a split (of its first ``limit`` samples), in eval mode, without augmentation."""
        self._set_mode(training=False)
        tally = Tally(self.splits.info, self.device)
        data = Joined(getattr(self.splits, split))
        for indices in _pieces(min(len(data), limit or len(data))):
            images, labels, attributes = self._load(data, indices, None)
            tally.add(self.method.predict(images), labels, _groups(labels, attributes, self.splits.info))
        return tally

    @torch.no_grad()
    def _outputs(self, split: SplitName, function: Callable[[Tensor], Tensor], indices: Tensor | None) -> Tensor:
        """See :meth:`Method.outputs`."""
        training = {module: module.training for module in modules(self.method)}
        self._set_mode(training=False)
        data = self._learned[split]
        wanted = np.arange(len(data)) if indices is None else indices.numpy()
        found = [function(self._load(data, wanted[piece], None)[0]) for piece in _pieces(len(wanted))]
        for module, mode in training.items():
            module.train(mode)
        return torch.cat(found)

    def knowledge(self) -> KnowledgeRecord:
        """What the method is told of the data."""
        method = self.method
        pooled = {"train": ("train", "target")} if type(method).pools(method.options) else {}
        return KnowledgeRecord(
            labels_of=sorted({part for name in method.learns_from for part in pooled.get(name, (name,))}),
            attributes_of=sorted({part for name in method.attributes_of for part in pooled.get(name, (name,))}),
            samples={name: len(getattr(self.splits, name)) for name in SPLIT_NAMES},
        )

    def tensors(self) -> dict[str, Tensor]:
        """All of the replica's state between two epochs, by name."""
        return state_of(self.method)

    def changed_tensors(self) -> dict[str, Tensor]:
        """Those of :meth:`tensors` that are not as they were before anything was trained."""
        self._set_rate(1.0)  # the schedule's factor is no change: every epoch sets its own
        before = Replica(self.config, self.seed, self.splits, self.device).tensors()
        return {name: now for name, now in self.tensors().items() if not _same(now, before.get(name))}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take up the state that :meth:`tensors` gave."""
        load_state(self.method, tensors)

    def _set_mode(self, *, training: bool) -> None:
        for module in modules(self.method):
            module.train(training)

    def _batches(self, generator: torch.Generator) -> Iterator[tuple[dict[SplitName, Batch], dict[SplitName, Tensor]]]:
        """One epoch's batches of its first split and, beside each, a whole batch of every other one; and their groups.

        The groups are for counting; a method sees them only if it declares that it knows them.
        """
        first, *others = self.method.batches_of()
        order = self.method.draw(generator)
        batch_size = self.config.hyperparameters.batch_size
        for indices in torch.split(order, batch_size):
            if len(indices) < 2:
                continue  # left over; BatchNorm can't normalise a single sample where it has a single pixel
            drawn = {first: indices}
            loaded = {first: self._batch(first, indices, generator)}
            for other in others:
                drawn[other] = torch.randperm(len(self._learned[other]), generator=generator)[:batch_size]
                loaded[other] = self._batch(other, drawn[other], generator)
            yield {n: batch for n, (batch, _) in loaded.items()}, {n: groups for n, (_, groups) in loaded.items()}

    def _batch(self, split: SplitName, indices: Tensor, generator: torch.Generator) -> tuple[Batch, Tensor]:
        images, labels, attributes = self._load(self._learned[split], indices.numpy(), generator)
        groups = _groups(labels, attributes, self.splits.info)
        known = (attributes, groups) if split in self.method.attributes_of else None
        return Batch(split=split, labels=labels, known=known, images=images, indices=indices), groups

    def _load(
        self, data: Joined, indices: NDArray[np.int64], augmenting: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images, labels and attributes on the device; augmented if there is a generator to draw from."""
        arrays = (data.images(indices), data.labels[indices], data.attributes[indices])
        images, labels, attributes = (torch.from_numpy(array).to(self.device) for array in arrays)
        if augmenting is not None:
            images = augment(images, self.splits.info, augmenting)
        return normalise(images, self.splits.info), labels, attributes


def _learned(splits: DatasetSplits, name: SplitName, pooled: bool) -> Joined:
    """A split that is learned from; pooled, train has target's samples after its own."""
    return Joined(splits.train, splits.target) if pooled and name == "train" else Joined(getattr(splits, name))


def _samples(name: SplitName, split: Joined, info: DatasetInfo, *, known: bool) -> Samples:
    labels, attributes = (torch.from_numpy(array) for array in (split.labels, split.attributes))
    groups = _groups(labels, attributes, info)
    return Samples(split=name, labels=labels, known=(attributes, groups) if known else None)


def _groups(labels: Tensor, attributes: Tensor, info: DatasetInfo) -> Tensor:
    return labels * info.groups.num_attributes + attributes


def _same(now: Tensor, before: Tensor | None) -> bool:
    return before is not None and now.dtype == before.dtype and torch.equal(now.cpu(), before.cpu())


def _pieces(samples: int) -> Iterator[NDArray[np.int64]]:
    """The indices of an evaluation's batches."""
    for start in range(0, samples, EVALUATION_BATCH):
        yield np.arange(start, min(start + EVALUATION_BATCH, samples))


def learning_rate_factor(schedule: Schedule, epoch: int, epochs: int) -> float:
    """Of the learning rate in an epoch (from 1) of a stage: constantly 1, or along a cosine from 1 down towards 0."""
    if schedule is Schedule.COSINE:
        return (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
    return 1.0
