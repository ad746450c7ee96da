"""Hyperparameter search for training that is robust to spurious features.

The public names are below; each is imported when it is first asked for, so that ``import scale_tune`` is fast and free
of torch and Ray. Everything else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from scale_tune.analysis.selection import select_best
    from scale_tune.datasets import (
        Dataset,
        DatasetInfo,
        DatasetOptions,
        DatasetSplits,
        PaddedCrop,
        ResizedCrop,
        Split,
        SplitPlan,
        load_dataset,
    )
    from scale_tune.datasets.groups import EvaluationGroups, Groups
    from scale_tune.errors import UserError
    from scale_tune.methods import Batch, Method, MethodOptions, PooledOptions, Samples, Step, descend
    from scale_tune.methods.gradients import combine_gradients
    from scale_tune.tables.collect import load_results

__all__ = [
    "Batch",
    "Dataset",
    "DatasetInfo",
    "DatasetOptions",
    "DatasetSplits",
    "EvaluationGroups",
    "Groups",
    "Method",
    "MethodOptions",
    "PaddedCrop",
    "PooledOptions",
    "ResizedCrop",
    "Samples",
    "Split",
    "SplitPlan",
    "Step",
    "UserError",
    "__version__",
    "combine_gradients",
    "descend",
    "load_dataset",
    "load_results",
    "select_best",
]

_ROOMS = {
    "scale_tune.analysis.selection": ("select_best",),
    "scale_tune.datasets": (
        "Dataset",
        "DatasetInfo",
        "DatasetOptions",
        "DatasetSplits",
        "PaddedCrop",
        "ResizedCrop",
        "Split",
        "SplitPlan",
        "load_dataset",
    ),
    "scale_tune.datasets.groups": ("EvaluationGroups", "Groups"),
    "scale_tune.errors": ("UserError",),
    "scale_tune.methods": ("Batch", "Method", "MethodOptions", "PooledOptions", "Samples", "Step", "descend"),
    "scale_tune.methods.gradients": ("combine_gradients",),
    "scale_tune.tables.collect": ("load_results",),
}
"""Where each public name is."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(room), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of the time that a command takes to begin

    try:
        return version("scale-tune")
    except PackageNotFoundError:  # a copy that was not installed, as on the workers of a cluster
        return "unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
