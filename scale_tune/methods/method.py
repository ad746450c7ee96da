"""What a training method is made of: one class in one file, known by one line of the registry or by a user's file.

Nothing here imports torch, and neither does a file of this room when it is imported: a driver reads the options of all
methods, and does without torch. (A file of a user's own may import what it likes.)
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from scale_tune.seeding import derive_seed
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.frozen import Frozen

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from scale_tune.datasets.splits import DatasetInfo, SplitName
    from scale_tune.networks.classifier import Classifier


class MethodOptions(Frozen):
    """A method's own hyperparameters; a search may vary each. They are numbers, texts, or yes or no."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of one split, on the device that trains."""

    images: "Tensor"
    """float32, (batch, 3, height, width), augmented and standardised."""
    labels: "Tensor"
    """int64, (batch,), in [0, num_classes)."""
    attributes: "Tensor"
    """int64, (batch,), in [0, num_attributes)."""
    groups: "Tensor"
    """int64, (batch,), in [0, num_groups): label * num_attributes + attribute."""
    indices: "Tensor"
    """int64, (batch,), on the CPU: which samples of the split these are."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a method may know of a split that it learns from, before it sees any batch. All on the CPU."""

    labels: "Tensor"
    """int64, (samples,)."""
    attributes: "Tensor"
    """int64, (samples,)."""
    groups: "Tensor"
    """int64, (samples,): label * num_attributes + attribute."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step on a batch of each split has to tell."""

    logits: "Mapping[SplitName, Tensor]" = field(default_factory=dict)
    """Of each split whose accuracy while training is to be recorded: (batch, num_classes), one row per sample."""
    scalars: "Mapping[str, Tensor]" = field(default_factory=dict)
    """What the method reports besides, as SCALE's cosine: scalars on the device. The record has their means over an
    epoch's steps."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a method is given: nothing of val or test."""

    config: TrialConfig
    seed: int
    info: "DatasetInfo"
    samples: "Mapping[SplitName, Samples]"
    device: "torch.device"


class Method(ABC):
    """A way to train a classifier; one object trains one seed of one trial.

    A subclass builds its networks and optimizers in :meth:`setup` and takes a :meth:`step` on batches. The loop, the
    batches, augmentation, the learning rate's schedule, evaluation, selection of the best epoch, checkpoints and
    records are done for it.

    **State.** What is assigned to ``self`` is saved after every epoch and restored before a trial goes on: networks
    (:class:`torch.nn.Module`), every optimizer with all it holds, tensors, and plain values (numbers, texts, None, and
    lists and dicts of them). Anything else is an error that names the attribute. Networks and optimizers are made in
    :meth:`setup`; a second stage begins by giving them new weights (``load_state_dict``) and an empty state.

    **Draws.** Generators are seeded anew for each epoch by the seed and the epoch, so a method must draw from the one
    that it is given, or from torch's global one within a step. It then goes on after an interruption as if there had
    been none, bit for bit.

    Attributes:
        learns_from: the splits that it gets batches of. An epoch goes once over the first, whose last batch may be
            smaller; beside each of its batches comes one of every other split, ``batch_size`` samples drawn without
            replacement, or all of a split that has fewer.
        Options: the class of its own hyperparameters.
        refit_by_dfr: of a method of the package, whether an analysis refits its networks' last layer (DFR).
        options: the trial's values of its own hyperparameters, an object of ``Options``.
        network: the classifier that predicts, and whose features DFR takes. :meth:`setup` makes it.
    """

    learns_from: "ClassVar[tuple[SplitName, ...]]"
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    refit_by_dfr: ClassVar[bool] = False
    network: "Classifier"

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.options: Any = self.Options.model_validate(setting.config.options)
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Build the networks and optimizers, and all other state."""

    @abstractmethod
    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """Learn from a batch of each split of ``learns_from``. Networks are in training mode.

        Raises:
            ValueError: a gradient or a value is of no use; it ends the trial as failed.
        """

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - most methods have nothing to begin
        """Called before the batches of each epoch (from 1) are drawn, also of the first one after an interruption."""

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """The samples of an epoch of the first split, in their order: int64 on the CPU, of any length.

        Without an own one, every sample once in random order.
        """
        import torch

        return torch.randperm(len(self.samples[self.learns_from[0]]), generator=generator)

    def predict(self, images: "Tensor") -> "Tensor":
        """Logits (batch, num_classes) of images as :class:`Batch` has them. Networks are in evaluation mode."""
        logits: Tensor = self.network(images)
        return logits

    @property
    def samples(self) -> "Mapping[SplitName, Samples]":
        """Labels, attributes and groups of the splits that it learns from."""
        return self.setting.samples

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return self.setting.info.groups.num_classes

    @property
    def num_groups(self) -> int:
        """How many groups (label, attribute) there are; some may have no sample."""
        classes, attributes = self.setting.info.groups.shape
        return classes * attributes

    @property
    def epochs(self) -> int:
        """For how many epochs it is trained."""
        return self.setting.config.epochs

    @property
    def device(self) -> "torch.device":
        """Where it trains."""
        return self.setting.device

    def new_network(self, *heads: str, purpose: str = "init") -> "Classifier":
        """The trial's network with its initial weights, on the device; every call makes the same one.

        Args:
            heads: names of its linear heads, the last of which predicts; without any, one.
            purpose: part of the seed of the random weights; another one gives another network.
        """
        from scale_tune.networks import build_classifier

        seed = derive_seed(self.setting.seed, purpose)
        names = heads or self.learns_from[:1]
        return build_classifier(self.setting.config.model, self.num_classes, names, seed).to(self.device)

    def sgd(self, parameters: "Iterable[Tensor]") -> "torch.optim.Optimizer":
        """SGD with the trial's learning rate, momentum and weight decay, as all published methods are trained."""
        import torch

        hp = self.setting.config.hyperparameters
        return torch.optim.SGD(parameters, lr=hp.lr, momentum=hp.momentum, weight_decay=hp.weight_decay)


def descend(loss: "Tensor", *optimizers: "torch.optim.Optimizer") -> None:
    """One step of each optimizer down the gradient of the loss, a scalar with its graph."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
