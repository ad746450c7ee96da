"""What one trial is: its method, its hyperparameters, its data and its model.

Everything here is a frozen value, validated on construction. The search space (:mod:`scale_tune.spec.space`) is
built from these fields, so a new hyperparameter is added here and nowhere else.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scale_tune.errors import UserError


class Method(StrEnum):
    """How a network is trained. The literature's scripts number the methods in this order, from 0."""

    ERM = "erm"
    """Cross-entropy on train (empirical risk minimisation)."""
    ERM_TARGET = "erm_target"
    """Cross-entropy on the small balanced target set."""
    SCALE = "scale"
    """Both, with the gradients combined group by group of convolution kernels (:mod:`scale_tune.methods.scale`)."""


class RegularizeMode(StrEnum):
    """SCALE's task weight w as a function of c = cos(g_tr, g_tg), numbered in this order in scripts, from 0."""

    LINEAR = "linear"
    """w = (c + 1) / 2"""
    RELU = "relu"
    """w = max(c, 0)"""
    IDENTITY = "identity"
    """w = c"""
    STEP = "step"
    """w = 1 if c > 0 else 0"""


class Objective(StrEnum):
    """The validation accuracy that a search maximises, and that selects epochs, configs and DFR's C."""

    WORST_GROUP = "worst_group"
    MINORITY = "minority"
    AVERAGE = "average"


class DfrProtocol(StrEnum):
    """How a last layer is refitted (:mod:`scale_tune.dfr.protocols`)."""

    SCALE = "scale"
    """As SCALE's authors do: on all of target, without scaling."""
    DFR = "dfr"
    """As DFR's authors do: on group-balanced subsamples of target, with scaling."""


class Schedule(StrEnum):
    """The learning rate over the epochs, for the backbone and the heads alike."""

    NONE = "none"
    COSINE = "cosine"


Lenient = Field(strict=False)
"""Takes the plain form (text for an enum, list for a tuple) although a text is no number and a yes is no 1."""


class LocatedError(ValueError):
    """A wrong value deeper inside what is being validated, with the keys that lead to it."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class Frozen(BaseModel):
    """Base of every configuration: immutable, and an unknown field is an error that names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise LocatedError((key,), f"unknown key; {nearest(key, cls.model_fields)}")
        return data


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for a wrong name: the one it was probably meant to be, or all of them."""
    names = [str(each) for each in known]
    close = get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(names)}"


class DigitsOptions(Frozen):
    """Options of the embedded ``digits`` dataset."""

    name: Literal["digits"] = "digits"
    spurious_strength: float = Field(default=1.0, ge=0, le=1)
    """Fraction of train images whose upper digit is made to show the label; of the others a tenth does by chance."""
    noise: float = Field(default=0.55, ge=0, le=1)
    """Share of noise blended into the lower digit, which carries the label."""
    seed: int = Field(default=0, ge=0)
    """Seed of the split into train, target, val and test, and of the pairing and noise."""


class DominoesOptions(Frozen):
    """Options of ``dominoes``: MNIST above, CIFAR-10 below."""

    name: Literal["dominoes"] = "dominoes"
    spurious_strength: float = Field(default=1.0, ge=0, le=1)
    """1 minus the fraction of train samples whose CIFAR image is exchanged with that of another of them."""
    val_target_size: int = Field(default=2000, ge=20, le=40000, multiple_of=20)
    """Samples of val and target together; each has half."""
    seed: int = Field(default=0, ge=0)


class CelebaOptions(Frozen):
    """Options of ``celeba``."""

    name: Literal["celeba"] = "celeba"
    task: Literal["gender", "blond"] = "gender"
    """``gender`` as in SCALE: predict gender, hair is spurious. ``blond`` as in DFR: predict hair, natural counts."""
    spurious_strength: float = Field(default=1.0, gt=0, le=1)
    """Of ``gender``: per minority group, train holds (1 - s) / s of the images of a majority group."""
    target_size: int = Field(default=1000, ge=4, multiple_of=4)
    """Of ``gender``: images of target, a quarter from each group."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _blond_has_natural_counts(self) -> Self:
        for option in ("spurious_strength", "target_size"):
            if self.task == "blond" and getattr(self, option) != type(self).model_fields[option].default:
                raise LocatedError((option,), "the task blond keeps the natural counts; leave this out")
        return self


class WaterbirdsOptions(Frozen):
    """Options of ``waterbirds``."""

    name: Literal["waterbirds"] = "waterbirds"
    seed: int = Field(default=0, ge=0)


DATASETS: dict[str, type[DigitsOptions | DominoesOptions | CelebaOptions | WaterbirdsOptions]] = {
    "digits": DigitsOptions,
    "dominoes": DominoesOptions,
    "celeba": CelebaOptions,
    "waterbirds": WaterbirdsOptions,
}
DatasetOptions = Annotated[
    DigitsOptions | DominoesOptions | CelebaOptions | WaterbirdsOptions, Field(discriminator="name")
]
"""The options of any dataset."""


class ModelOptions(Frozen):
    """A network by name."""

    name: str = "small_cnn"
    """``small_cnn`` or any torchvision classifier, as ``resnet18``."""
    weights: str = "none"
    """Initial weights: ``none`` is random, ``imagenet`` torchvision's, else a file with a state dict of the network."""

    @property
    def weights_file(self) -> Path | None:
        """The file of the weights, if they come from one."""
        return None if self.weights in ("none", "imagenet") else Path(self.weights)

    def pretrained(self) -> "ModelOptions":
        """The network with the file of weights that it begins from, or else ImageNet's.

        Raises:
            UserError: it has none.
        """
        if self.name == "small_cnn":
            raise UserError("small_cnn has no pretrained weights; torchvision's networks do")
        return self.model_copy(update={"weights": "imagenet"}) if self.weights == "none" else self


class Hyperparameters(Frozen):
    """What a search may vary. The defaults are the fixed values of the published Dominoes ablation."""

    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    batch_size: int = Field(default=16, ge=2)
    momentum: float = Field(default=0.9, ge=0, lt=1)


class ScaleHyperparameters(Frozen):
    """What a search may vary for the method ``scale`` alone."""

    group_size: int = Field(default=64, ge=1)
    """Number of consecutive convolution kernels that share one task weight."""
    regularize_mode: Annotated[RegularizeMode, Lenient] = RegularizeMode.LINEAR


Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]


class TrialConfig(Frozen):
    """One trial: a method with its hyperparameters, trained once per seed."""

    method: Annotated[Method, Lenient]
    hyperparameters: Hyperparameters = Hyperparameters()
    scale: ScaleHyperparameters | None = None
    """Only for the method ``scale``."""
    dataset: DatasetOptions = DigitsOptions()
    model: ModelOptions = ModelOptions()
    epochs: int = Field(default=20, ge=1)
    seeds: Seeds = (0, 1, 2)
    schedule: Annotated[Schedule, Lenient] = Schedule.NONE
    objective: Annotated[Objective, Lenient] = Objective.WORST_GROUP

    @model_validator(mode="after")
    def _scale_hyperparameters_belong_to_scale(self) -> Self:
        if (self.scale is not None) != (self.method is Method.SCALE):
            raise LocatedError(("scale",), "the method scale needs its own hyperparameters, and no other takes them")
        return self

    def flat(self) -> dict[str, Any]:
        """Every value that a search may vary, by the name that search spaces and tables use."""
        values: dict[str, Any] = self.hyperparameters.model_dump(mode="json")
        if self.scale is not None:
            values |= self.scale.model_dump(mode="json")
        dataset = self.dataset.model_dump(mode="json", exclude={"name"})
        return values | {f"dataset.{option}": value for option, value in dataset.items()}
