"""``scale``: learn from the large spurious set what agrees with the small balanced one, kernel group by kernel group.

:mod:`scale_tune.methods.two_gradients` has the loop, :mod:`scale_tune.methods.gradients` the equations.
"""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from scale_tune.methods.method import MethodOptions
from scale_tune.methods.regularize_mode import RegularizeMode
from scale_tune.methods.two_gradients import TwoGradients
from scale_tune.spec.frozen import MOST, Lenient, LocatedError
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    from torch import Tensor


class ScaleOptions(MethodOptions):
    """SCALE's own hyperparameters."""

    group_size: int = Field(default=64, ge=1, le=MOST, json_schema_extra=searched(type="choice", values=[1, 4, 16, 64]))
    """Number of consecutive convolution kernels that share one task weight."""
    regularize_mode: Annotated[RegularizeMode, Lenient] = Field(
        default=RegularizeMode.LINEAR,
        json_schema_extra=searched(type="choice", values=["linear", "relu", "identity", "step"]),
    )
    """How the cosine c becomes the task weight w: ``linear`` (c + 1) / 2, ``relu`` max(c, 0), ``identity`` c, ``step``
    1 if c > 0 else 0, ``constant`` the task_weight, whatever c is."""
    task_weight: float | None = Field(default=None, ge=0, json_schema_extra=searched(type="float", low=0, high=1))
    """w, of the mode ``constant`` alone, which needs it; with 0 the backbone learns from target alone."""

    @model_validator(mode="after")
    def _constant_has_its_weight(self) -> Self:
        if self.regularize_mode is RegularizeMode.CONSTANT and self.task_weight is None:
            raise LocatedError(("task_weight",), "the mode constant needs a task weight; give one, or a range")
        if self.regularize_mode is not RegularizeMode.CONSTANT and self.task_weight is not None:
            rule = f"only the mode constant has a task weight, in {self.regularize_mode} it follows from the cosine"
            raise LocatedError(("task_weight",), f"{rule}; leave it out, or search constant as a variant_of scale")
        return self


class ScaleMethod(TwoGradients):
    """The gradient of train weighs as much as it agrees with that of target."""

    Options = ScaleOptions

    def combine(self, train_grad: "Tensor", target_grad: "Tensor") -> "tuple[Tensor, Tensor]":
        """In each group of kernels, w * g_tr + g_tg."""
        from scale_tune.methods.gradients import combine_gradients

        options = self.options
        return combine_gradients(
            train_grad, target_grad, options.group_size, options.regularize_mode, options.task_weight
        )
