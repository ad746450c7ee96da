"""Which trials a search stops early."""

from typing import Literal, Self

from pydantic import Field, model_validator

from scale_tune.spec.frozen import MANY, Frozen, LocatedError


class SchedulerSpec(Frozen):
    """Early stopping of trials.

    ``asha`` compares trials at rungs, ``hyperband`` likewise in brackets whose first rungs are at different epochs;
    ``median`` stops a trial that is below the median of the complete ones at any epoch, once there are five.
    """

    name: Literal["asha", "hyperband", "median", "none"] = "asha"
    """``asha`` compares trials at rungs, ``hyperband`` in brackets whose first rungs are at different epochs;
    ``median`` stops what is below the median of the complete trials; ``none`` trains every trial to its end."""
    grace_period: int = Field(default=3, ge=1, le=MANY)
    """No trial is stopped before this epoch, which is the first rung."""
    reduction_factor: int = Field(default=3, ge=2, le=MANY)
    """Of asha and hyperband: at a rung the best 1/reduction_factor go on; each rung is this many times later."""
    first_seeds: int | None = Field(default=None, ge=1, le=MANY)
    """Of asha and hyperband: a race of seeds. So many of the ``seeds``, the first ones, are trained up to the last rung
    and compared there; the others join what passes it. Left out, all seeds are trained from the start."""

    @model_validator(mode="after")
    def _races_have_rungs(self) -> Self:
        if self.first_seeds is not None and self.name not in ("asha", "hyperband"):
            rule = f"{self.name} has no last rung, after which the other seeds could join"
            raise LocatedError(("first_seeds",), f"{rule}; leave it out (null), or take asha or hyperband")
        return self

    def brackets(self, epochs: int) -> list[int]:
        """The rungs for trials of so many epochs, of hyperband the first one of each bracket."""
        rungs = [self.grace_period]
        while rungs[-1] * self.reduction_factor < epochs:
            rungs.append(rungs[-1] * self.reduction_factor)
        return rungs
