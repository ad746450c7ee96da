"""What a training method is made of: one class in one file, known by one line of the registry or by a user's file.

Nothing here imports torch, and neither does a file of this room when it is imported: a driver reads the options of all
methods, and does without torch. (A file of a user's own may import what it likes.)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
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


class PooledOptions(MethodOptions):
    """Of a method that learns from train, and may learn from target's samples as if they were of train."""

    with_target: bool = False
    """Whether train and target are learned from as one set, which is then what train means: so that no method wins
    because others know less."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a method may know of a split that it learns from, before it sees any batch. All on the CPU."""

    split: "SplitName"
    labels: "Tensor"
    """int64, (samples,), in [0, num_classes)."""
    known: "tuple[Tensor, Tensor] | None"
    """Attributes and groups, if the method declares that it knows them."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def attributes(self) -> "Tensor":
        """int64, (samples,), in [0, num_attributes).

        Raises:
            ValueError: the method doesn't declare that it knows them.
        """
        return self._known()[0]

    @property
    def groups(self) -> "Tensor":
        """int64, (samples,), in [0, num_groups): label * num_attributes + attribute.

        Raises:
            ValueError: the method doesn't declare that it knows them.
        """
        return self._known()[1]

    def _known(self) -> "tuple[Tensor, Tensor]":
        if self.known is None:
            raise ValueError(
                f"the method asks for the attributes of {self.split}, but doesn't declare that it knows them: add "
                f"attributes_of = ({self.split!r},) to its class, and every comparison will say so"
            )
        return self.known


@dataclass(frozen=True, kw_only=True)
class Batch(Samples):
    """Samples of one split, on the device that trains; what is said of samples is said of the batch's."""

    images: "Tensor"
    """float32, (batch, 3, height, width), augmented and standardised."""
    indices: "Tensor"
    """int64, (batch,), on the CPU: which samples of the split these are."""


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
    outputs: "Callable[[SplitName, Callable[[Tensor], Tensor], Tensor | None], Tensor]"
    """See :meth:`Method.outputs`."""


class Method(ABC):
    """A way to train a classifier; one object trains one seed of one trial.

    A subclass builds its networks and optimizers in :meth:`setup` and takes a :meth:`step` on batches. The loop, the
    batches, augmentation, the learning rate's schedule, evaluation, selection of the best epoch, checkpoints and
    records are done for it.

    **State.** What is assigned to ``self`` is saved after every epoch and restored before a trial goes on: networks
    (:class:`torch.nn.Module`), every optimizer with all it holds, tensors, and plain values (numbers, texts, None, and
    lists and dicts of them). Anything else is an error that names the attribute. Networks and optimizers are made in
    :meth:`setup`; a second stage begins by giving them new weights (``load_state_dict``) and an empty state. What a
    ``functools.cached_property`` holds is not saved: it is computed again, from the state.

    **Stages.** Epochs that only prepare what the method is about, as JTT's first network, are numbered up to 0 (see
    :meth:`prepares`). They are trained and checkpointed like any other, but neither evaluated nor selected, and no
    trial is stopped in them. :meth:`begin_epoch` of epoch 1 begins the stage that counts.

    **Draws.** Generators are seeded anew for each epoch by the seed and the epoch, so a method must draw from the one
    that it is given, or from torch's global one within a step. It then goes on after an interruption as if there had
    been none, bit for bit.

    Attributes:
        learns_from: the splits whose labels it knows, and gets batches of. An epoch goes once over the first, whose
            last batch may be smaller; beside each of its batches comes one of every other split, ``batch_size`` samples
            drawn without replacement, or all of a split that has fewer.
        attributes_of: the splits whose attributes it knows, too. Of others it is not given them.
        Options: the class of its own hyperparameters.
        second_stage: of a method that prepares, the options that make no difference before epoch 1. Trials that differ
            in nothing else may share what was prepared.
        refit_by_dfr: of a method of the package, whether an analysis refits its networks' last layer (DFR).
        options: the trial's values of its own hyperparameters, an object of ``Options``.
        network: the classifier that predicts, and whose features DFR takes. :meth:`setup` makes it.
    """

    learns_from: "ClassVar[tuple[SplitName, ...]]"
    attributes_of: "ClassVar[tuple[SplitName, ...]]" = ()
    second_stage: ClassVar[tuple[str, ...]] = ()
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

    @classmethod
    def pools(cls, options: Any) -> bool:
        """Whether train and target are one set to it, which is then what ``train`` means in batches and samples."""
        return isinstance(options, PooledOptions) and options.with_target

    @classmethod
    def prepares(cls, options: Any) -> int:
        """How many epochs prepare what counts; they are trained before it, and numbered up to 0."""
        return 0

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - most methods have nothing to begin
        """Called before the batches of each epoch are drawn, also of the first one after an interruption."""

    def batches_of(self) -> "tuple[SplitName, ...]":
        """The splits that the epoch which has just begun has batches of; the epoch goes once over the first."""
        return self.learns_from

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """The samples of an epoch of its first split, in their order: int64 on the CPU, of any length.

        Without an own one, every sample once in random order.
        """
        import torch

        return torch.randperm(len(self.samples[self.batches_of()[0]]), generator=generator)

    def predict(self, images: "Tensor") -> "Tensor":
        """Logits (batch, num_classes) of images as :class:`Batch` has them. Networks are in evaluation mode."""
        logits: Tensor = self.network(images)
        return logits

    def outputs(
        self, split: "SplitName", function: "Callable[[Tensor], Tensor]", indices: "Tensor | None" = None
    ) -> "Tensor":
        """What a function of images gives for the samples of a split that it learns from.

        Args:
            split: one of ``learns_from``.
            function: of images (batch, 3, height, width) without augmentation, as :meth:`predict`; networks are in
                evaluation mode, and no gradient is kept.
            indices: int64, on the CPU: which samples, in this order; without them every one in its order.

        Returns:
            The function's outputs, one below the other, on the device.
        """
        return self.setting.outputs(split, function, indices)

    @property
    def samples(self) -> "Mapping[SplitName, Samples]":
        """Labels of the splits that it learns from, and what else it declares to know of them."""
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
        """For how many epochs it is trained, besides those that prepare it."""
        return self.setting.config.epochs

    @property
    def preparation(self) -> int:
        """How many epochs prepare it."""
        return self.prepares(self.options)

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

    def sgd(self, parameters: "Iterable[Tensor]", *, lr: float | None = None) -> "torch.optim.Optimizer":
        """SGD with the trial's momentum and weight decay, as all published methods are trained.

        Args:
            parameters: what it updates.
            lr: learning rate; the trial's if it is left out.
        """
        import torch

        hp = self.setting.config.hyperparameters
        rate = hp.lr if lr is None else lr
        # In one pass over memory instead of three. Where it was measured: on the CPU.
        fused = True if self.device.type == "cpu" else None
        return torch.optim.SGD(parameters, lr=rate, momentum=hp.momentum, weight_decay=hp.weight_decay, fused=fused)


def descend(loss: "Tensor", *optimizers: "torch.optim.Optimizer") -> None:
    """One step of each optimizer down the gradient of the loss, a scalar with its graph; no gradient is left."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
