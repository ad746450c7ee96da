"""What every validated value is built on."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Scalar = bool | int | float | str
"""What a search may draw."""
MOST = 2**53 - 1
"""The largest whole number that all that values pass through keeps as it is: Optuna, JSON, data frames, a browser."""
MANY = 99_999
"""The most epochs or trials, whose numbers have five digits in the names of files."""

Lenient = Field(strict=False)
"""Takes the plain form (text for an enum, list for a tuple) although a text is no number and a yes is no 1."""


class LocatedError(ValueError):
    """A wrong value deeper inside what is being validated, with the keys that lead to it."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class Frozen(BaseModel):
    """Base of every configuration: immutable, and an unknown field is an error that names the nearest known one.

    What stands below a field is its meaning, which ``docs/keys.md`` and ``tune.py init`` show.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise LocatedError((key,), unknown("key", key, cls.model_fields))
        return data


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """What is wrong with a key of a search space that means nothing."""
    return f"unknown {what}; {nearest(name, known)}; docs/keys.md explains every key"


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for a wrong name: the one it was probably meant to be, or all of them."""
    names = [str(each) for each in known]
    close = get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(names)}"
