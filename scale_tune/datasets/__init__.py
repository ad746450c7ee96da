"""Datasets by name, as four disjoint splits."""

from typing import Any

from scale_tune.datasets import celeba, digits, dominoes, sources, waterbirds
from scale_tune.datasets.cache import Report, load_cached
from scale_tune.datasets.splits import DatasetInfo, DatasetSplits, Split
from scale_tune.errors import UserError
from scale_tune.spec.config import (
    DATASETS,
    CelebaOptions,
    DatasetOptions,
    DigitsOptions,
    DominoesOptions,
    WaterbirdsOptions,
    nearest,
)

__all__ = ["DatasetSplits", "Split", "check_sources", "info_of", "load", "load_splits"]


def load(name: str, **options: Any) -> DatasetSplits:
    """Load a dataset, preparing it first if this machine has no prepared copy.

    The splits are a pure function of the name, the options (of which ``seed`` is one) and the source files.

    Args:
        name: ``digits``, ``dominoes``, ``celeba`` or ``waterbirds``.
        **options: the dataset's options; see :mod:`scale_tune.spec.config`.

    Raises:
        UserError: no such dataset, or its source files are missing or broken.
        pydantic.ValidationError: an option is unknown or has a value out of its range.
    """
    if name not in DATASETS:
        raise UserError(f"there is no dataset {name!r}; {nearest(name, DATASETS)}")
    return load_splits(DATASETS[name](**options))


def check_sources(options: DatasetOptions) -> None:
    """See that the source files are there, without reading them.

    Raises:
        UserError: one is missing; the message says what to put where.
    """
    match options:
        case DominoesOptions():
            dominoes.files()
        case CelebaOptions():
            celeba.files()
        case WaterbirdsOptions():
            waterbirds.files()


def info_of(options: DatasetOptions) -> DatasetInfo:
    """How a dataset's images are presented and its groups judged; needs no source files."""
    match options:
        case DigitsOptions():
            return digits.INFO
        case DominoesOptions():
            return dominoes.INFO
        case CelebaOptions():
            return celeba.info(options)
        case WaterbirdsOptions():
            return waterbirds.INFO


def load_splits(options: DatasetOptions, report: Report = lambda done, total: None) -> DatasetSplits:
    """Load a dataset by its validated options; ``report`` is told how far a preparation is."""
    values = options.model_dump(mode="json")
    info = info_of(options)
    match options:
        case DigitsOptions():
            splits, fingerprint = load_cached(values, {}, digits, lambda: digits.plan(options), report)
        case DominoesOptions():
            stamps = sources.stamp(dominoes.files().values())
            splits, fingerprint = load_cached(values, stamps, dominoes, lambda: dominoes.plan(options), report)
        case CelebaOptions():
            stamps = sources.stamp(celeba.files())
            splits, fingerprint = load_cached(values, stamps, celeba, lambda: celeba.plan(options), report)
        case WaterbirdsOptions():
            stamps = sources.stamp(waterbirds.files())
            splits, fingerprint = load_cached(values, stamps, waterbirds, lambda: waterbirds.plan(options), report)
    return DatasetSplits(name=values.pop("name"), options=values, fingerprint=fingerprint, info=info, **splits)
