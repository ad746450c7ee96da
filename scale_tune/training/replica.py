"""The training loop of one replica: one seed of one trial. It knows no search and no files."""

import math
import time
import traceback
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
from scale_tune.methods import Batch, Samples, Setting, method_class
from scale_tune.methods.saving import load_state, modules, optimizers, state_of
from scale_tune.seeding import derive_seed
from scale_tune.spec.config import Schedule, TrialConfig
from scale_tune.training.records import EpochRecord, SplitRecord

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
        cls = method_class(config.method, config.file)
        samples = {name: _samples(splits, name) for name in cls.learns_from}
        self.method = cls(Setting(config=config, seed=seed, info=splits.info, samples=samples, device=device))
        for optimizer in optimizers(self.method):
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]  # what the schedule is a factor of

    def train_epoch(self, epoch: int) -> tuple[EpochRecord, dict[str, GroupCounts]]:
        """Train epoch number ``epoch`` (from 1), evaluate on val, and return the record and each split's counts.

        Raises:
            DivergenceError: a loss was not finite.
        """
        started = time.perf_counter()
        factor = learning_rate_factor(self.config, epoch)
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "batches", epoch))
        self.method.begin_epoch(epoch)
        for optimizer in optimizers(self.method):
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        tallies: dict[str, Tally] = {}
        scalars: dict[str, list[Tensor]] = {}
        self._set_mode(training=True)
        for batches in self._batches(generator):
            step = self.method.step(batches)
            for split, logits in step.logits.items():
                tally = tallies.setdefault(split, Tally(self.splits.info, self.device))
                tally.add(logits.detach(), batches[split].labels, batches[split].groups)
            for name, scalar in step.scalars.items():
                scalars.setdefault(name, []).append(scalar.detach())
        measured = {**tallies, "val": self.evaluate("val")}
        losses = {split: tally.mean_loss() for split, tally in measured.items()}
        if not all(math.isfinite(loss) for loss in losses.values()):
            raise DivergenceError(f"seed {self.seed}, epoch {epoch}: the losses are {losses}")
        counts = {split: tally.counts() for split, tally in measured.items()}
        record = EpochRecord(
            epoch=epoch,
            lr=self.config.hyperparameters.lr * factor,
            seconds=time.perf_counter() - started,
            diagnostics={name: float(torch.stack(values).mean()) for name, values in scalars.items()},
            objective=counts["val"].objective(self.config.objective),
            splits={split: SplitRecord(loss=losses[split], **counts[split].summary()) for split in measured},
        )
        return record, counts

    def take_one_step(self) -> None:
        """Train on the first batch of the first epoch and predict as many images, as every epoch will."""
        generator = torch.Generator().manual_seed(0)
        self.method.begin_epoch(1)
        self._set_mode(training=True)
        self.method.step(next(self._batches(generator)))
        self.evaluate("val", limit=self.config.hyperparameters.batch_size)

    @torch.inference_mode()
    def evaluate(self, split: SplitName, limit: int | None = None) -> Tally:
        """Loss and counts per group of a split (of its first ``limit`` samples), in eval mode, without augmentation."""
        self._set_mode(training=False)
        tally = Tally(self.splits.info, self.device)
        data: Split = getattr(self.splits, split)
        samples = min(len(data), limit or len(data))
        for start in range(0, samples, EVALUATION_BATCH):
            batch = self._load(data, np.arange(start, min(start + EVALUATION_BATCH, samples)), None)
            tally.add(self.method.predict(batch.images), batch.labels, batch.groups)
        return tally

    def tensors(self) -> dict[str, Tensor]:
        """All of the replica's state between two epochs, by name."""
        return state_of(self.method)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take up the state that :meth:`tensors` gave."""
        load_state(self.method, tensors)

    def _set_mode(self, *, training: bool) -> None:
        for module in modules(self.method):
            module.train(training)

    def _batches(self, generator: torch.Generator) -> Iterator[dict[SplitName, Batch]]:
        """One epoch's batches of the first split and, beside each, a whole batch of every other one."""
        first, *others = self.method.learns_from
        data: Split = getattr(self.splits, first)
        order = self.method.draw(generator)
        batch_size = self.config.hyperparameters.batch_size
        for indices in torch.split(order, batch_size):
            if len(indices) == 1:
                continue  # left over; BatchNorm can't normalise a single sample where it has a single pixel
            batches = {first: self._load(data, indices.numpy(), generator)}
            for other in others:
                more: Split = getattr(self.splits, other)
                drawn = torch.randperm(len(more), generator=generator)[:batch_size]
                batches[other] = self._load(more, drawn.numpy(), generator)
            yield batches

    def _load(self, data: Split, indices: NDArray[np.int64], augmenting: torch.Generator | None) -> Batch:
        """Samples of a split on the device; augmented if there is a generator to draw from."""
        info = self.splits.info
        arrays = (data.images[indices], data.labels[indices], data.attributes[indices])
        images, labels, attributes = (torch.from_numpy(array).to(self.device) for array in arrays)
        if augmenting is not None:
            images = augment(images, info, augmenting)
        return Batch(
            images=normalise(images, info),
            labels=labels,
            attributes=attributes,
            groups=labels * info.groups.num_attributes + attributes,
            indices=torch.from_numpy(indices),
        )


def _samples(splits: DatasetSplits, name: SplitName) -> Samples:
    split: Split = getattr(splits, name)
    labels, attributes = (torch.from_numpy(np.array(array)) for array in (split.labels, split.attributes))
    groups = labels * splits.info.groups.num_attributes + attributes
    return Samples(labels=labels, attributes=attributes, groups=groups)


def try_out(config: TrialConfig, splits: DatasetSplits, device: torch.device) -> int:
    """Take one step on the first samples, to see whether method and model can train on such images at all.

    Returns:
        How many features the network has.

    Raises:
        UserError: they can't.
    """
    try:
        replica = Replica(config, config.seeds[0], splits, device)
        replica.take_one_step()
        return replica.method.network.num_features
    except UserError:
        raise
    except torch.OutOfMemoryError:
        raise UserError(
            f"{device} has too little memory for {config.model.name} with a batch_size of "
            f"{config.hyperparameters.batch_size}; lower it, or give each trial more of the device"
        ) from None
    except Exception as error:
        shape = " x ".join(map(str, (3, *splits.info.input_size)))
        own = config.file is not None or config.model.file is not None
        raise UserError(
            f"the method {config.method} can't train the model {config.model.name} on {splits.name}'s images of "
            f"{shape}: {error!r}; choose another model.name{', or mend your file' * own}"
            + f"\n{traceback.format_exc(limit=-3)}"
            * own
        ) from None


def learning_rate_factor(config: TrialConfig, epoch: int) -> float:
    """Of the learning rate in epoch ``epoch`` (from 1): constantly 1, or along a cosine from 1 down towards 0."""
    if config.schedule is Schedule.COSINE:
        return (1 + math.cos(math.pi * (epoch - 1) / config.epochs)) / 2
    return 1.0
