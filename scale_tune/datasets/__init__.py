"""Datasets by name, as four disjoint splits."""

from typing import Any

from scale_tune.config import DatasetOptions, DigitsOptions
from scale_tune.datasets import digits
from scale_tune.datasets.cache import load_cached
from scale_tune.datasets.splits import DatasetSplits, Split
from scale_tune.errors import UserError

__all__ = ["DatasetSplits", "Split", "load", "load_splits"]


def load(name: str, **options: Any) -> DatasetSplits:
    """Load a dataset, preparing it first if this machine has no prepared copy.

    The splits are a pure function of the name and the options (of which ``seed`` is one).

    Args:
        name: ``digits``.
        **options: the dataset's options; see :mod:`scale_tune.config`.

    Raises:
        UserError: no such dataset.
        pydantic.ValidationError: an option is unknown or has a value out of its range.
    """
    if name != "digits":
        raise UserError(f"there is no dataset {name!r}; the datasets are: digits")
    return load_splits(DigitsOptions(**options))


def load_splits(options: DatasetOptions) -> DatasetSplits:
    """Load a dataset by its validated options."""
    values = options.model_dump(mode="json")
    splits, fingerprint = load_cached(values, digits, lambda: digits.build(options))
    return DatasetSplits(
        name=values.pop("name"),
        options=values,
        fingerprint=fingerprint,
        info=digits.INFO,
        **splits,
    )
