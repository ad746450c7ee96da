"""How the tables' accuracies and values are written for a reader."""

from typing import Any

import pandas as pd

from scale_tune.accuracies import ACCURACIES

WORST_GROUP = "worst_group"
"""What is told of methods that were not all selected by one accuracy."""

METRICS = {f"{split}_{name}": f"{split} {name.replace('_', '-')}" for split in ("val", "test") for name in ACCURACIES}
"""Every accuracy of the tables, and how it is written."""


def selecting(comparison: pd.DataFrame) -> str:
    """The accuracy by which the rows of a comparison were selected, if it is the same for all."""
    accuracies = comparison["selected_by"].unique()
    return str(accuracies[0]) if len(accuracies) == 1 else WORST_GROUP


def reported(accuracy: str) -> tuple[str, str, str, str]:
    """The accuracies of a printed comparison that was selected by this one: it comes first, on val and on test."""
    if accuracy in (WORST_GROUP, "average"):
        return "val_worst_group", "test_worst_group", "val_average", "test_average"
    return f"val_{accuracy}", f"test_{accuracy}", "test_worst_group", "test_average"


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
