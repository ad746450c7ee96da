"""The datasets of the package by name, a line for each; and any dataset from its config."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig
from scale_tune.spec.frozen import LocatedError, nearest
from scale_tune.spec.mistakes import broken_rule

DATASETS = {
    "digits": "scale_tune.datasets.digits:Digits",
    "dominoes": "scale_tune.datasets.dominoes:Dominoes",
    "celeba": "scale_tune.datasets.celeba:Celeba",
    "waterbirds": "scale_tune.datasets.waterbirds:Waterbirds",
    "table": "scale_tune.datasets.table:Table",
}
"""Where each one's class is; it is imported when it is asked for."""


def dataset_class(name: str, file: str | None = None) -> type[Dataset]:
    """The class of a dataset.

    Args:
        name: of one of the package, or what a search calls its own.
        file: the user's file that holds it.

    Raises:
        UserError: there is no such dataset, or the file does not hold one.
    """
    if file is not None:
        if name in DATASETS:
            raise UserError(f"{name} is a dataset of the package; give the one in {file} another name")
        return _checked(usercode.load_class(file, Dataset), file)
    if name not in DATASETS:
        raise UserError(
            f"there is no dataset {name!r}; {nearest(name, DATASETS)} (one of your own is named with its file)"
        )
    module, _, attribute = DATASETS[name].partition(":")
    found: type[Dataset] = getattr(import_module(module), attribute)
    return found


def _checked(cls: type[Dataset], file: str) -> type[Dataset]:
    """A user's class, if what the package reads of it is there."""
    if missing := sorted(cls.__abstractmethods__):
        raise UserError(f"{file}: {cls.__name__} must define {', '.join(missing)}")
    if not (isinstance(cls.Options, type) and issubclass(cls.Options, DatasetOptions)):
        raise UserError(f"{file}: {cls.__name__}.Options must be derived from scale_tune.DatasetOptions")
    if clash := sorted(set(cls.Options.model_fields) & set(DatasetConfig.model_fields)):
        raise UserError(f"{file}: every dataset has {', '.join(clash)} anyway; rename that option of {cls.__name__}")
    return cls


def dataset_of(config: DatasetConfig) -> Dataset:
    """The dataset that a config describes.

    Raises:
        UserError: as :func:`dataset_class`, or its options are wrong.
    """
    cls = dataset_class(config.name, config.file)
    try:
        return cls(cls.Options.model_validate(config.options))
    except ValidationError as error:
        mistakes = "; ".join(map(_mistake, error.errors()))
        raise UserError(f"the options of {config.name} are wrong: {mistakes}") from None


def _mistake(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    path = error["loc"] + (cause.path if isinstance(cause, LocatedError) else ())
    return f"{'.'.join(map(str, path))}: {broken_rule(error)}"


def registered_options() -> Iterator[tuple[str, type[DatasetOptions]]]:
    """The options of every dataset of the package, by its name."""
    for name in DATASETS:
        yield name, dataset_class(name).Options


def full_options(dataset: Dataset) -> dict[str, Any]:
    """Every option with its value, as plain data."""
    return dataset.options.model_dump(mode="json")  # type: ignore[no-any-return]
