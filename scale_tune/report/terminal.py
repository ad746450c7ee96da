"""The comparison for a terminal: no number of it is ever cut, and what has no room is named below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from scale_tune.analysis.knowledge import by_knowledge
from scale_tune.analysis.winners import WinnersMap
from scale_tune.tables.labels import METRICS, mean_and_std, reported, selecting

GAP = 2
"""Blanks between two columns, and before the name of a method, whose group has a heading."""
LONGEST_NAME = 26
"""A longer name of a method or run is folded."""


MOST_DATASETS = 4
"""On more, the map of winners stands for the tables and differences, which are hundreds of lines."""


@dataclass(frozen=True, kw_only=True)
class _Column:
    name: str
    """As it is called below the table if there is no room for it."""
    title: str
    cells: list[str]
    """Of each row, of one line or more."""
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        """What it needs."""
        return max(cell_len(line) for text in (self.title, *self.cells) for line in text.splitlines() or [""])


def comparison_tables(comparison: pd.DataFrame, width: int, file: str) -> Iterator[Group]:
    """The comparison, a table for each dataset, its methods grouped by what they know.

    A cell has the mean ± the sample standard deviation over the seeds and, below, the 95 % interval of the mean. The
    accuracy that selected comes first. Within a group the best on val is on top; the best of all is marked. Of several
    runs, each row names its run below the method.

    Args:
        comparison: as :func:`scale_tune.analysis.comparison.compare` makes it.
        width: of the terminal, in columns.
        file: where a reader finds what has no room.
    """
    shown = reported(selecting(comparison))
    several_runs = comparison["run"].nunique() > 1
    several_datasets = comparison["dataset"].nunique() > 1
    for dataset, rows in comparison.groupby("dataset", sort=False):
        groups = by_knowledge(rows)
        ordered = pd.concat([of_group for _, of_group in groups])
        name = _names(ordered, _best(rows), several_runs=several_runs)
        accuracies = [_accuracy(ordered, each) for each in shown]
        room = width - name.width
        fitting = _fitting([*(accuracies[i] for i in (0, 1, 3)), *_others(ordered), accuracies[2]], room)
        others = [column for column in (*accuracies, *_others(ordered)) if column.name in fitting]
        left_out = [c.name for c in (*accuracies, *_others(ordered)) if c.name not in fitting]
        yield Group(
            *([Text(str(dataset), style="bold")] if several_datasets else []),
            *_grouped([name, *others], groups),
            Text(_caption(rows), style="dim"),
            *([Text(f"no room here for {', '.join(left_out)}: in {file}", style="dim")] if left_out else []),
        )


def is_told_by_map(comparison: pd.DataFrame, maps: Sequence[WinnersMap]) -> bool:
    """Whether there are too many datasets for a table of each, and a map of the winners instead."""
    return bool(maps) and comparison["dataset"].nunique() > MOST_DATASETS


def where_the_rest_is(comparison: pd.DataFrame, files: Sequence[str]) -> str:
    """Where the tables and differences are that a map stands for.

    Args:
        comparison: as :func:`comparison_tables` takes it.
        files: all that the analysis wrote.
    """
    shown = [file for file in files if file.endswith((".html", "comparison.csv", "differences.csv"))]
    datasets = comparison["dataset"].nunique()
    return f"the tables of all {datasets} datasets, and the differences between methods: {', '.join(shown)}"


def _fitting(columns: list[_Column], room: int) -> set[str]:
    """The names of those that have room, the first ones rather than the last."""
    found = set()
    for column in columns:
        if GAP + column.width <= room:
            found.add(column.name)
            room -= GAP + column.width
    return found


def _grouped(columns: list[_Column], groups: list[tuple[str, pd.DataFrame]]) -> Iterator[Table | Text]:
    yield _table(columns, header=True)
    yield Text("─" * (sum(column.width for column in columns) + GAP * (len(columns) - 1)))
    row = 0
    for heading, of_group in groups:
        yield Text(heading, style="bold")
        table = _table(columns)
        for _ in range(len(of_group)):
            table.add_row(*(column.cells[row] for column in columns))
            row += 1
        yield table


def _table(columns: list[_Column], *, header: bool = False) -> Table:
    table = Table(box=None, show_header=header, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(column.title, justify=column.justify, width=column.width, overflow="fold")
    return table


def _names(rows: pd.DataFrame, best: list[Any], *, several_runs: bool) -> _Column:
    cells = []
    for label, row in rows.iterrows():
        lines = [row["method"], *([row["run"]] if several_runs else []), *(["best on val"] if label in best else [])]
        length = LONGEST_NAME - GAP
        folded = (line[at : at + length] for line in lines for at in range(0, len(line), length))
        cells.append("\n".join(" " * GAP + line for line in folded))
    return _Column(name="method", title="method", cells=cells, justify="left")


def _best(rows: pd.DataFrame) -> list[Any]:
    """The best row of each kind of seeds; those of a comparison are in order."""
    return list(rows[rows["seeds"] > 0].drop_duplicates("seeds_kind").index)


def _accuracy(rows: pd.DataFrame, name: str) -> _Column:
    title, cells = METRICS[name], [_cell(row, name) for _, row in rows.iterrows()]
    return _Column(name=title, title=title.replace(" ", "\n", 1), cells=cells)


def _others(rows: pd.DataFrame) -> list[_Column]:
    absent = rows["seeds"].map(lambda seeds: "–" if seeds else "none eligible")
    trials = rows["trial"].where(rows["trial"].notna(), absent)
    return [
        _Column(name="seeds", title="\nseeds", cells=rows["seeds"].map(str).tolist()),
        _Column(name="trial", title="\ntrial", cells=trials.tolist(), justify="left"),
        _Column(name="epochs spent", title="epochs\nspent", cells=rows["epochs_spent"].map(_count).tolist()),
        _Column(
            name="own hyperparameters",
            title="own hyper-\nparameters",
            cells=rows["own_hyperparameters"].map(_count).tolist(),
        ),
    ]


def _count(value: Any) -> str:
    return "–" if pd.isna(value) else f"{value:.0f}"


def _cell(row: Any, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    text = mean_and_std(row[f"{name}_mean"], row[f"{name}_std"])
    return text if pd.isna(low) else f"{text}\n[{low:.3f}, {high:.3f}]"


def _caption(rows: pd.DataFrame) -> str:
    """What a cell has, and why some have no interval."""
    lacking = rows["val_average_low"].isna()
    interval = [", [95 % interval of the mean]"] * (not lacking.all())
    reasons = [f"; {reason}" for reason in rows.loc[lacking, "interval"].dropna().unique()]
    return "".join(["mean ± standard deviation over the seeds", *interval, *reasons])
