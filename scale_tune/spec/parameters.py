"""The parameters of a search space: a range, a choice or a constant."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from scale_tune.spec.frozen import MOST, Frozen, Lenient, LocatedError, Scalar


class _Range(Frozen):
    """A number between ``low`` and ``high``, both included, drawn on a logarithmic scale if ``log``."""

    low: float
    """The smallest value."""
    high: float
    """The largest value; it may be drawn, too."""
    log: bool = False
    """Drawn on a logarithmic scale, for what may differ by powers of ten."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise LocatedError(("low",), f"low {self.low!r} is above high {self.high!r}; swap them")
        if self.low == self.high:
            raise LocatedError(
                ("low",), f"the range is empty: low and high are both {self.low!r}; write the value alone"
            )
        if not math.isfinite(self.high - self.low):
            raise LocatedError(
                ("low",), f"from {self.low!r} to {self.high!r} is farther than a number can say; narrow the range"
            )
        if self.log and self.low <= 0:
            raise LocatedError(
                ("low",), f"a logarithmic range must lie above 0, but low is {self.low!r}; raise it, or leave log out"
            )
        return self

    def extremes(self) -> tuple[Scalar, ...]:
        """Values that are all trainable only if every value of the parameter is."""
        return (self.low, self.high)

    def position(self, value: float) -> float:
        """Where a value lies on the range's own scale, from 0 at ``low`` to 1 at ``high``."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)


class FloatRange(_Range):
    """A real number of a range."""

    type: Literal["float"]
    """A number."""

    def holds(self, value: Any) -> bool:
        """Whether the parameter can have the value."""
        return isinstance(value, float | int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a number from {self.low!r} to {self.high!r}"


class IntRange(_Range):
    """A whole number of a range."""

    type: Literal["int"]
    """A whole number."""
    low: int = Field(ge=-MOST, le=MOST)
    """The smallest value."""
    high: int = Field(ge=-MOST, le=MOST)
    """The largest value; it may be drawn, too."""

    def extremes(self) -> tuple[Scalar, ...]:
        """Also the neighbours of the ends: an option may take only multiples of something."""
        between = {self.low + 1, self.high - 1} & set(range(self.low, self.high + 1))
        return (self.low, self.high, *sorted(between - {self.low, self.high}))

    def holds(self, value: Any) -> bool:
        """Whether the parameter can have the value."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low!r} to {self.high!r}"


def _kept(value: Scalar) -> Scalar:
    """The value, if all that it passes through keeps it."""
    if isinstance(value, int) and abs(value) > MOST:
        raise ValueError(f"a whole number must lie between -{MOST} and {MOST}, got {value}")
    return value


class Choice(Frozen):
    """One of ``values``, without an order."""

    type: Literal["choice"]
    """One of several values, which have no order."""
    values: Annotated[tuple[Scalar, ...], Lenient]
    """The values; the grid sampler tries each."""

    @field_validator("values")
    @classmethod
    def _has_distinct_values(cls, values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if not values:
            raise ValueError("there is nothing to choose from; list at least one value")
        known: set[Scalar] = set()
        for value in map(_kept, values):
            if value in known:
                raise ValueError(f"{value!r} stands twice; list every value once")
            known.add(value)
        return values

    def extremes(self) -> tuple[Scalar, ...]:
        """Values that are all trainable only if every value of the parameter is."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Whether the parameter can have the value."""
        return value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.values))}"


class Constant(Frozen):
    """One fixed value. In YAML it is written without a ``type``, as ``momentum: 0.9``."""

    type: Literal["constant"]
    """One value. ``momentum: 0.9`` means the same as ``momentum: {type: constant, value: 0.9}``."""
    value: Annotated[Scalar, AfterValidator(_kept)]
    """The value."""

    def extremes(self) -> tuple[Scalar, ...]:
        """Values that are all trainable only if every value of the parameter is."""
        return (self.value,)


SEARCHED = "searched"


def searched(**parameter: Any) -> dict[str, Any]:
    """How an option is searched unless somebody knows better, for ``Field(json_schema_extra=…)``.

    ``tune.py init`` writes it into a new search space.

    Args:
        parameter: as it stands in one: ``type``, ``low``, ``high``, ``log``, ``values``.
    """
    return {SEARCHED: parameter}


Parameter = Annotated[FloatRange | IntRange | Choice | Constant, Field(discriminator="type")]
Space = dict[str, Parameter]
PARAMETER_TYPES = ("float", "int", "choice", "constant")

Points = Annotated[tuple[dict[str, Any], ...], Lenient]
"""Values by parameter; what a point leaves out is drawn."""


def with_constants(space: Any) -> Any:
    """A plain value in a space means a constant."""
    if not isinstance(space, dict):
        return space
    return {k: {"type": "constant", "value": v} if isinstance(v, Scalar) else v for k, v in space.items()}
