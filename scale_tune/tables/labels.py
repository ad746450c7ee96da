"""How the tables' accuracies and values are written for a reader."""

from typing import Any

import pandas as pd

from scale_tune.accuracies import ACCURACIES

REPORTED = ("val_worst_group", "test_worst_group", "val_average", "test_average")
"""The accuracies of a printed comparison."""

METRICS = {f"{split}_{name}": f"{split} {name.replace('_', '-')}" for split in ("val", "test") for name in ACCURACIES}
"""Every accuracy of the tables, and how it is written."""


def shortened(value: Any) -> str:
    """A parameter's value to 4 digits, if it is no whole number."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return str(int(value)) if isinstance(value, float) else str(value)


def percent(fraction: float) -> str:
    """As ``70.2``."""
    return f"{100 * fraction:.1f}"


def mean_and_std(mean: float, std: float | None) -> str:
    """As ``0.702 ± 0.008``, or a dash if there is no mean."""
    if pd.isna(mean):
        return "–"
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"
