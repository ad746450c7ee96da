"""What one trial is: its method, its hyperparameters, its data and its model.

Everything here is a frozen value, validated on construction. The search space (:mod:`scale_tune.spec.space`) is
built from these fields, so a new hyperparameter is added here and nowhere else.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from scale_tune.spec.frozen import MANY, MOST, Frozen, Lenient, Scalar


class Objective(StrEnum):
    """The validation accuracy that a search maximises, and that selects epochs, configs and DFR's C."""

    WORST_GROUP = "worst_group"
    MINORITY = "minority"
    MAJORITY = "majority"
    AVERAGE = "average"
    TRAIN_WEIGHTED = "train_weighted"
    WORST_CLASS = "worst_class"

    @property
    def needs_attributes(self) -> bool:
        """Whether it can't be measured without the attributes of val."""
        return self not in (Objective.AVERAGE, Objective.WORST_CLASS)


class DfrProtocol(StrEnum):
    """How a last layer is refitted (:mod:`scale_tune.dfr.protocols`)."""

    SCALE = "scale"
    """As SCALE's authors do: on all of target, without scaling."""
    DFR = "dfr"
    """As DFR's authors do: on group-balanced subsamples of target, with scaling."""
    CLASS = "class"
    """As ``dfr``, on class-balanced subsamples: without any attribute of target."""
    TRAIN = "train"
    """As DFR's authors do without target: on group-balanced subsamples of train, with scaling."""


class TrackerName(StrEnum):
    """What shows a search besides its own report (:mod:`scale_tune.tracking`)."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    MLFLOW = "mlflow"
    TRACKIO = "trackio"


class Schedule(StrEnum):
    """The learning rate over the epochs, for the backbone and the heads alike."""

    NONE = "none"
    COSINE = "cosine"


class Splits(StrEnum):
    """Whether the seeds of a trial share their division of the data."""

    SHARED = "shared"
    """One for all seeds: a mean's spread over seeds is of training alone."""
    PER_SEED = "per_seed"
    """Each seed redraws train, target, val and test, as the published study does: the spread is also of the data."""


class DatasetConfig(BaseModel):
    """A dataset by name, with the options that its own class checks (:mod:`scale_tune.datasets`)."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, use_attribute_docstrings=True)

    name: str = Field(strict=True)
    """A dataset of the package, or what you call your own. Its options stand beside it."""
    file: str | None = Field(default=None, strict=True)
    """The Python file that defines it, if the package does not."""

    @property
    def options(self) -> dict[str, Any]:
        """What it is loaded with."""
        return dict(self.model_extra or {})

    def redrawn(self, seed: int) -> "DatasetConfig":
        """The same dataset divided anew: by its own seed plus this one, so that seed 0 gives what is there."""
        return self.model_copy(update={"seed": (self.options.get("seed", 0) + seed) % (MOST + 1)})


RANDOM, IMAGENET = "none", "imagenet"
"""The initial weights that are no file."""


class ModelOptions(Frozen):
    """A network by name (:mod:`scale_tune.networks`)."""

    name: str = "small_cnn"
    """``small_cnn``; a torchvision classifier, as ``resnet18``; ``timm/…``; or your own ``file.py:function``."""
    weights: str = RANDOM
    """Initial weights: ``none`` is random, ``imagenet`` torchvision's, else a file with a state dict of the network."""

    @property
    def weights_file(self) -> Path | None:
        """The file of the weights, if they come from one."""
        return None if self.weights in (RANDOM, IMAGENET) else Path(self.weights)

    @property
    def file(self) -> str | None:
        """The Python file that defines the network, if the package does not."""
        file, colon, _ = self.name.partition(":")
        return file if colon else None


class Hyperparameters(Frozen):
    """What a search may vary. The defaults are the fixed values of the published Dominoes ablation."""

    lr: float = Field(default=1e-3, gt=0)
    """Learning rate of SGD."""
    weight_decay: float = Field(default=1e-3, ge=0)
    """L2 penalty: how much of a weight is added to its gradient."""
    batch_size: int = Field(default=16, ge=2, le=2**20)
    """Images in a batch; of a method that learns from train and target at once, in a batch of each."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """How much of the last step goes into the next."""


WITH_TARGET = "with_target"
"""The option of methods that may learn from train and target as one set."""

Seeds = Annotated[tuple[Annotated[int, Field(ge=0, le=MOST)], ...], Field(min_length=1, max_length=1000, strict=False)]


class Race(Frozen):
    """Of a trial whose seeds don't all begin at once: others join once it has passed the last rung."""

    first_seeds: int = Field(ge=1)
    """So many of the seeds, the first ones, begin."""
    join_after: int = Field(ge=1)
    """The epoch of the last rung, after which the others begin, at epoch 1, and catch up."""


def seeds_in(seeds: Sequence[int], race: Race | None, epoch: int) -> int:
    """How many of a trial's seeds, the first ones, train an epoch in lockstep; the objective after it is their mean."""
    return len(seeds) if race is None or epoch > race.join_after else race.first_seeds


class TrialConfig(Frozen):
    """One trial: a method with its hyperparameters, trained once per seed."""

    method: str
    file: str | None = None
    """The Python file that defines the method, if the package does not."""
    variant_of: str | None = None
    """The method of the package that this is, under another name."""
    hyperparameters: Hyperparameters = Hyperparameters()
    options: dict[str, Scalar] = Field(default_factory=dict)
    """The method's own hyperparameters, which its class checks."""
    dataset: DatasetConfig = DatasetConfig(name="digits")
    model: ModelOptions = ModelOptions()
    epochs: int = Field(default=20, ge=1, le=MANY)
    seeds: Seeds = (0, 1, 2)
    schedule: Annotated[Schedule, Lenient] = Schedule.NONE
    objective: Annotated[Objective, Lenient] = Objective.WORST_GROUP
    splits: Annotated[Splits, Lenient] = Splits.SHARED
    race: Race | None = None
    """None if all seeds begin at once."""

    @model_serializer(mode="wrap")
    def _as_before_there_were_races(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without ``race`` where there is none: digests of records were taken without it."""
        fields: dict[str, Any] = handler(self)
        return {name: value for name, value in fields.items() if name != "race" or value is not None}

    def seeds_in(self, epoch: int) -> int:
        """How many of the seeds train an epoch, see :func:`seeds_in`."""
        return seeds_in(self.seeds, self.race, epoch)

    @property
    def datasets(self) -> dict[int, DatasetConfig]:
        """What each seed is trained and judged on."""
        per_seed = self.splits is Splits.PER_SEED
        return {seed: self.dataset.redrawn(seed) if per_seed else self.dataset for seed in self.seeds}

    def flat(self) -> dict[str, Any]:
        """Every value that a search may vary, by the name that search spaces and tables use."""
        values: dict[str, Any] = self.hyperparameters.model_dump(mode="json") | self.options
        return values | {f"dataset.{option}": value for option, value in self.dataset.options.items()}

    def values(self) -> dict[str, Any]:
        """Every value but the seeds, by the names that tables and trackers use."""
        return self.flat() | {
            "epochs": self.epochs,
            "schedule": self.schedule.value,
            "objective": self.objective.value,
            "splits": self.splits.value,
            "model": self.model.name,
            "weights": self.model.weights,
            "dataset": self.dataset.name,
        }
