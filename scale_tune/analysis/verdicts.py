"""One answer for a reader: who wins on each kind of data, by how much, and whether fresh seeds bear it out."""

from dataclasses import dataclass

import pandas as pd

from scale_tune.ranking import best_first
from scale_tune.tables.schemas import Row, rows_of


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Who wins on one kind of data."""

    dataset: str
    winner: Row
    """The row of the comparison that is highest on val. Test never chooses."""
    rivals: list[Row]
    """The differences on test, by the accuracy that selects, between the winner and each other method, those nearest on
    val first, with the other method's row as ``rival``; a difference is None where the two can't be paired, its ends
    also where its seeds are too few."""
    confirmed: Row | None
    """The winner's config on fresh seeds, if the run was confirmed."""


_UNKNOWN = dict.fromkeys(("difference", "low", "high"))


def verdicts(run: str, comparison: pd.DataFrame, differences: pd.DataFrame) -> list[Verdict]:
    """The winner of each kind of data that a run searched; none where no method has a selectable trial.

    Args:
        run: its name.
        comparison: as :func:`scale_tune.analysis.comparison.compare` makes it, also of other runs.
        differences: likewise.
    """
    found = []
    measured = with_result(comparison)
    for dataset, rows in measured[measured["run"] == run].groupby("dataset", sort=False):
        by = f"val_{rows['selected_by'].iloc[0]}_mean"
        winner, *others = rows_of(rows.iloc[best_first(rows[by])])
        known = _differences_to(winner, differences)
        fresh = measured[(measured["confirms"] == run) & (measured["dataset"] == dataset)]
        found.append(
            Verdict(
                dataset=str(dataset),
                winner=winner,
                rivals=[{**known.get(row["method"], _UNKNOWN), "rival": row} for row in others],
                confirmed=next(iter(rows_of(fresh[fresh["method"] == winner["method"]])), None),
            )
        )
    return found


def with_result(comparison: pd.DataFrame) -> pd.DataFrame:
    """The rows of the methods that have a result."""
    return comparison.dropna(subset="test_worst_group_mean")


def _differences_to(winner: Row, differences: pd.DataFrame) -> dict[str, Row]:
    """By method of the same run, how much better the winner is on test, by the accuracy that selected it."""
    run, method = winner["run"], winner["method"]
    rows = differences[(differences["run"] == run) & (differences["other_run"] == run)]
    rows = rows[(rows["dataset"] == winner["dataset"]) & (rows["accuracy"] == winner["selected_by"])]
    found = {row["other_method"]: row for row in rows_of(rows[rows["method"] == method])}
    for row in rows_of(rows[rows["other_method"] == method]):
        turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}
        names = {"method": method, "other_method": row["method"]}
        found.setdefault(row["method"], {**row, **turned, **names})
    return found
