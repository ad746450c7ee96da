"""Comparisons as text for a terminal."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from rich.table import Table

REPORTED = ("val_worst_group", "test_worst_group", "test_average")


def comparison_tables(comparison: pd.DataFrame) -> Iterator[Table]:
    """The comparison for a terminal, a table for each dataset: mean ± sample standard deviation over n seeds."""
    several_runs = comparison["run"].nunique() > 1
    several_datasets = comparison["dataset"].nunique() > 1
    for dataset, rows in comparison.groupby("dataset", sort=False):
        table = Table(title=str(dataset) if several_datasets else None, title_justify="left")
        for column in ["run"] * several_runs + ["method"]:
            table.add_column(column, no_wrap=True)
        for column in ("val worst-group", "test worst-group", "95 % interval", "test average", "n seeds"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("trial", no_wrap=True)
        for row in rows.to_dict("records"):
            val, test, average = (mean_and_std(row[f"{name}_mean"], row[f"{name}_std"]) for name in REPORTED)
            names = [row["run"]] * several_runs + [row["method"]]
            trial = "none eligible" if pd.isna(row["trial"]) else row["trial"]
            table.add_row(*names, val, test, _interval(row, "test_worst_group"), average, str(row["seeds"]), trial)
        yield table


def mean_and_std(mean: float, std: float) -> str:
    """As ``0.702 ± 0.008``, or a dash if there is no mean."""
    if pd.isna(mean):
        return "–"
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"


def _interval(row: dict[Any, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "–" if pd.isna(low) else f"{low:.3f} … {high:.3f}"
