"""What stands side by side in an ablation: methods, each value of an option that tells variants of one apart, and DFR.

They have the names that publications use: a method at the default of its option has its own name alone, as ``scale``,
and any other value is named with it, as ``scale_step``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pandas as pd

from scale_tune.tables.labels import shortened

DFR_ARM, PRETRAINED_ARM = "dfr", "dfr_pretrained"
"""The names of the refits: of a method's networks, and of the network that no trial has trained."""


class Kind(Enum):
    """Where an arm's accuracies come from."""

    TRAINED = "networks as they were trained"
    REFITTED = "their last layer refitted"
    PRETRAINED = "the last layer of the pretrained network refitted"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What only the registries know of a run's methods and network."""

    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By method, the values of its own options that it has unless others are given."""
    refitted: Sequence[str] = ()
    """The methods whose networks' last layer DFR refits."""
    no_baseline: str | None = None
    """Why DFR has no pretrained network to refit; None if it has one."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of what stands side by side."""

    name: str
    kind: Kind
    methods: Sequence[str]
    """Whose trials it is about; of the pretrained network, those that tell which data a cell has."""
    fixed: dict[str, Any]
    """Values that its trials have, by their column of ``trials``."""

    def trials(self, trials: pd.DataFrame) -> pd.DataFrame:
        """Those of its methods."""
        return trials[trials["method"].isin(self.methods)]


def arms_of(
    methods: Mapping[str, Sequence[Any]], by: str | None, registered: Registered, *, refits: bool
) -> Iterator[Arm]:
    """Every arm of an ablation, in their order.

    Args:
        methods: those that have both of its parameters, each with its values of ``by``, none if it has no such option.
        by: the column of ``trials`` whose values have arms of their own.
        registered: what the registries know of the methods.
        refits: whether there are arms of DFR.
    """
    for method, values in methods.items():
        default = registered.defaults.get(method, {}).get(_option(by))
        yield from _of_values(Kind.TRAINED, method, [method], by, values, default)
    if not refits:
        return
    if refitted := [method for method in registered.refitted if method in methods]:
        values = list(dict.fromkeys(value for method in refitted for value in methods[method]))
        defaults = {registered.defaults.get(method, {}).get(_option(by)) for method in refitted}
        default = defaults.pop() if len(defaults) == 1 else None
        yield from _of_values(Kind.REFITTED, DFR_ARM, refitted, by, values, default)
    if methods and registered.no_baseline is None:
        of_data = by is not None and by.startswith("config.dataset.")
        values = list(dict.fromkeys(value for own in methods.values() for value in own)) if of_data else []
        yield from _of_values(Kind.PRETRAINED, PRETRAINED_ARM, list(methods), by, values, None)


def _of_values(
    kind: Kind, name: str, methods: Sequence[str], by: str | None, values: Sequence[Any], default: Any
) -> Iterator[Arm]:
    if by is None or not values:
        yield Arm(name=name, kind=kind, methods=methods, fixed={})
        return
    for value in values:
        suffix = "" if value == default else f"_{shortened(value)}"
        yield Arm(name=f"{name}{suffix}", kind=kind, methods=methods, fixed={by: value})


def _option(by: str | None) -> str:
    return "" if by is None else by.removeprefix("config.")
