"""The columns of ``trials`` that hold what a search may vary."""

import json
from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from scale_tune.datasets import registered_options
from scale_tune.methods import registered_methods
from scale_tune.spec.config import Hyperparameters, TrialConfig
from scale_tune.spec.parameters import Choice, Constant, FloatRange, Parameter
from scale_tune.spec.space import DATASET, RunSpec
from scale_tune.tables.schemas import field

_TYPES: dict[Any, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def config_fields() -> list[pa.Field]:
    """One column per value that a search may vary, for every method and dataset of the package, in any run's table."""
    options: dict[str, pa.Field] = {}
    for _, method in registered_methods():
        for of_method in _fields(method.Options, "", "the methods that have it; null for others"):
            options.setdefault(of_method.name, of_method)
    for _, model in registered_options():
        for of_dataset in _fields(model, DATASET, "the dataset; null where the dataset has no such option"):
            options.setdefault(of_dataset.name, of_dataset)
    return [
        *_fields(Hyperparameters, "", "the optimizer or the batches"),
        field("config.epochs", pa.int64(), "epochs that the trial was to train"),
        field("config.schedule", pa.string(), "learning-rate schedule over the epochs"),
        field("config.objective", pa.string(), "validation accuracy that was maximised"),
        field(
            "config.splits",
            pa.string(),
            "shared: its seeds have one division of the data; per_seed: each has its own, drawn by the dataset's seed "
            "plus its own",
        ),
        field("config.model", pa.string(), "network"),
        field("config.weights", pa.string(), "its initial weights"),
        field("config.dataset", pa.string(), "dataset"),
        *options.values(),
    ]


def own_fields(spec: RunSpec, known: pa.Schema) -> list[pa.Field]:
    """The columns of this run that no method or dataset of the package has: those of a user's own.

    Args:
        spec: what the run searches.
        known: the columns that every run has.
    """
    parameters: dict[str, Parameter] = {
        f"{DATASET}{name}": Constant.model_construct(type="constant", value=value)
        for name, value in spec.dataset.options.items()
    }
    for method in spec.methods:
        parameters |= spec.method_space(method)
    return [
        field(f"config.{name}", _type_of(parameter), f"{name} of a method or dataset of the run's own")
        for name, parameter in parameters.items()
        if f"config.{name}" not in known.names
    ]


def config_columns(config: TrialConfig) -> dict[str, Any]:
    """A trial's values for these columns; what is no text is written as JSON in columns of text."""
    return {f"config.{name}": _cell(f"config.{name}", value) for name, value in config.values().items()}


def _cell(column: str, value: Any) -> Any:
    is_text = column in _text_columns() or isinstance(value, dict | list | tuple)
    return json.dumps(value, sort_keys=True) if is_text and not isinstance(value, str | None) else value


@cache
def _text_columns() -> frozenset[str]:
    return frozenset(each.name for each in config_fields() if each.type == pa.string())


def _fields(model: type[BaseModel], prefix: str, of: str) -> Iterator[pa.Field]:
    for name, info in model.model_fields.items():
        kinds = _kinds(info.annotation) - {NoneType}
        type_ = _TYPES.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()
        yield field(f"config.{prefix}{name}", type_, f"{name} of {of}")


def _kinds(annotation: Any) -> set[Any]:
    """What a value may be, as float and None of ``Annotated[float, Field(gt=0)] | None``."""
    if get_origin(annotation) in (Union, UnionType):
        return {kind for member in get_args(annotation) for kind in _kinds(member)}
    return _kinds(get_args(annotation)[0]) if get_origin(annotation) is Annotated else {annotation}


def _type_of(parameter: Parameter) -> pa.DataType:
    """Of a parameter's values."""
    if isinstance(parameter, FloatRange):
        return pa.float64()
    values = parameter.values if isinstance(parameter, Choice) else parameter.extremes()
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()
