"""On a grid of data: which method wins each cell, and by how much."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from scale_tune.analysis.selection import DATASET
from scale_tune.analysis.verdicts import Verdict, verdicts, with_result
from scale_tune.spec.parameters import Choice
from scale_tune.spec.space import RunSpec
from scale_tune.tables.labels import shortened
from scale_tune.tables.schemas import Row


@dataclass(frozen=True, kw_only=True)
class Won:
    """A cell of the map."""

    method: str
    """The best on val. Test never chooses."""
    test: float
    runner_up: str | None
    """The second best on val; None if no other method has a result."""
    val_margin: float | None
    """By how much the winner is above it, on val and on test."""
    test_margin: float | None
    sure: bool
    """Whether the interval of the difference on test is known and holds no 0."""
    lacking: tuple[str, ...] = ()
    """Methods without a result here that have one on other data of the run: they could not win."""


@dataclass(frozen=True, kw_only=True)
class WinnersMap:
    """The winner on each kind of data of a run."""

    objective: str
    """The accuracy that chooses, and that is shown."""
    rows: str
    """The options of the dataset that differ from row to row; empty if only those of the columns do."""
    cols: str
    cells: dict[str, dict[str, Won]]
    """By the values of the rows and of the columns. Data on which nothing can be selected is left out."""
    datasets: int
    """How many kinds of data there are."""

    @cached_property
    def col_values(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(col for row in self.cells.values() for col in row))

    @cached_property
    def wins(self) -> list[tuple[str, int]]:
        """How many cells each method wins, the most first."""
        return Counter(won.method for row in self.cells.values() for won in row.values()).most_common()


def winners_map(
    run: str, spec: RunSpec, trials: pd.DataFrame, comparison: pd.DataFrame, differences: pd.DataFrame
) -> WinnersMap | None:
    """The map of a run whose search has several kinds of data; None of any other.

    Args:
        run: its name.
        spec: what it searched.
        trials: its table.
        comparison: as :func:`scale_tune.analysis.comparison.compare` makes it, also of other runs.
        differences: likewise.
    """
    rows = comparison[comparison["run"] == run]
    options = _options(spec)
    if rows["dataset"].nunique() < 2 or not options:
        return None
    values = _values(rows, trials, options)
    options = [option for option in options if len({of[option] for of in values.values()}) > 1]
    *of_rows, of_cols = options or _options(spec)[-1:]
    cells: dict[str, dict[str, Won]] = {}
    found = {verdict.dataset: verdict for verdict in verdicts(run, comparison, differences)}
    every = list(with_result(rows)["method"].unique())
    for dataset in sorted(found, key=lambda name: [_key(values[name][option]) for option in options]):
        row = ", ".join(shortened(values[dataset][option]) for option in of_rows)
        cells.setdefault(row, {})[shortened(values[dataset][of_cols])] = _won(found[dataset], spec, differences, every)
    return WinnersMap(
        objective=spec.objective.value,
        rows=", ".join(map(_short, of_rows)),
        cols=_short(of_cols),
        cells=cells,
        datasets=int(rows["dataset"].nunique()),
    )


def _options(spec: RunSpec) -> list[str]:
    """The columns of ``trials`` with an option of the dataset that is searched as a choice."""
    spaces = [spec.method_space(method).items() for method in spec.methods]
    names = (f"config.{name}" for space in spaces for name, p in space if isinstance(p, Choice))
    return list(dict.fromkeys(name for name in names if name.startswith(f"{DATASET}.")))


def _values(rows: pd.DataFrame, trials: pd.DataFrame, options: list[str]) -> dict[str, dict[str, Any]]:
    """By kind of data, the values of the options that it was made with: those of any of its trials."""
    by_trial = trials.set_index("trial")
    known = rows.dropna(subset="trial").groupby("dataset", sort=False)["trial"].first()
    return {str(name): {option: by_trial.at[trial, option] for option in options} for name, trial in known.items()}


def _key(value: Any) -> tuple[bool, Any]:
    """For an order of numbers and words."""
    return (isinstance(value, str), value)


def _short(column: str) -> str:
    return column.removeprefix(f"{DATASET}.")


def _won(verdict: Verdict, spec: RunSpec, differences: pd.DataFrame, every: list[str]) -> Won:
    accuracy, winner = spec.objective.value, verdict.winner
    second: Row | None = verdict.rivals[0]["rival"] if verdict.rivals else None
    here = {winner["method"], *(rival["rival"]["method"] for rival in verdict.rivals)}
    margins = {
        split: None if second is None else winner[f"{split}_{accuracy}_mean"] - second[f"{split}_{accuracy}_mean"]
        for split in ("val", "test")
    }
    return Won(
        method=winner["method"],
        test=winner[f"test_{accuracy}_mean"],
        runner_up=None if second is None else second["method"],
        val_margin=margins["val"],
        test_margin=margins["test"],
        sure=second is not None and _is_sure(winner, second, accuracy, differences),
        lacking=tuple(method for method in every if method not in here),
    )


def _is_sure(winner: Row, second: Row, accuracy: str, differences: pd.DataFrame) -> bool:
    pair = {winner["method"], second["method"]}
    rows = differences[(differences["dataset"] == winner["dataset"]) & (differences["accuracy"] == accuracy)]
    rows = rows[(rows["run"] == winner["run"]) & (rows["other_run"] == winner["run"])]
    of_pair = rows[rows["method"].isin(pair) & rows["other_method"].isin(pair)]
    return bool(((of_pair["low"] > 0) | (of_pair["high"] < 0)).any())
