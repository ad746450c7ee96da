"""How two parameters matter: a grid of a run as a pivot of mean ± deviation, for each method."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import ranked
from scale_tune.errors import UserError
from scale_tune.spec.frozen import nearest
from scale_tune.spec.parameters import Choice, Constant, Parameter, Space
from scale_tune.tables.labels import METRICS, shortened
from scale_tune.tables.run_schemas import TRIALS
from scale_tune.tables.schemas import field, table_from, table_of

NAMED = 6
"""Cells that a note names."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The grid of one method, or of one method at one value of ``by``."""

    name: str
    rows: list[Any]
    cols: list[Any]
    cells: pd.DataFrame
    """One row per cell, row by row, with the columns of :func:`schema`."""

    def at(self, row: Any, col: Any) -> dict[str, Any]:
        """The cell of these values."""
        found = self.cells.iloc[self.rows.index(row) * len(self.cols) + self.cols.index(col)]
        return {str(name): value for name, value in found.items()}


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A pivot of a run."""

    rows: str
    cols: str
    by: str | None
    metric: str
    panels: list[Panel]
    table: pa.Table
    """The cells of all panels."""
    notes: list[str]

    @property
    def seeds(self) -> int | None:
        """N of every mean, if it is the same for all."""
        counts = set(self.table["seeds"].to_pylist()) - {None, 0}
        return counts.pop() if len(counts) == 1 else None


def ablate(run: RunTables, rows: str, cols: str, metric: str = "test_worst_group", by: str | None = None) -> Ablation:
    """Pivot a run's accuracies by two of its parameters.

    A cell shows one trial: of those that are at their end with all seeds, the one with the best validation objective.

    Args:
        run: what was searched.
        rows: a parameter, as ``spurious_strength``; ``dataset.`` and ``config.`` may stand before it.
        cols: another one.
        metric: an accuracy, as ``test_worst_group``.
        by: a parameter whose values have grids of their own.

    Raises:
        UserError: the run has no such parameter, or there is no such metric.
    """
    if metric not in METRICS:
        raise UserError(f"--metric: there is no accuracy {metric!r}; {nearest(metric, METRICS)}")
    trials = run.tables["trials"]
    names = {option: _column(run, name, option) for option, name in (("--rows", rows), ("--cols", cols))}
    if by is not None:
        names["--by"] = _column(run, by, "--by")
    if len(set(names.values())) < len(names):
        raise UserError(f"{', '.join(names)} must name different parameters")
    panels, notes = [], []
    for method in run.spec.methods:
        of_method, space = trials[trials["method"] == method], run.spec.method_space(method)
        axes = {column: _values(space, of_method, column) for column in names.values()}
        if lacking := [_short(column) for column in list(axes)[:2] if not axes[column]]:
            notes.append(f"{method} is left out: it has no {' and no '.join(lacking)}")
            continue
        for value in (axes[names["--by"]] or [None]) if by is not None else [None]:
            fixed = {} if value is None else {names["--by"]: value}
            panel, said = _panel(method, space, of_method, axes, fixed, metric)
            panels.append(panel)
            notes += said
    return _joined(names, metric, panels, notes)


def schema(rows: str, cols: str) -> pa.Schema:
    """Of the table of an ablation by these two columns of ``trials``, which are in it under their short names."""
    return pa.schema(
        [
            field("method", pa.string(), "method, with the value of --by"),
            *(TRIALS.field(column).with_name(_short(column)) for column in (rows, cols)),
            field("mean", pa.float64(), "mean of the metric over seeds; null for a missing cell", "fraction"),
            field("std", pa.float64(), "its sample standard deviation over seeds (n - 1)", "fraction"),
            field("seeds", pa.int64(), "n of the mean; 0 for a missing cell", "count"),
            field("metric", pa.string(), "the accuracy, as test_worst_group"),
            field("trial", pa.string(), "trial that is shown: the best validation objective of the cell's"),
            field("trials", pa.int64(), "trials in the cell", "count"),
            field("missing", pa.string(), "why the cell is missing; null if it is not"),
        ],
        metadata={"name": "ablation", "rows": "one per method and pair of values, missing ones included"},
    )


def _column(run: RunTables, name: str, option: str) -> str:
    """The column of ``trials`` that a parameter's name means."""
    of_searched = (f"config.{n}" for method in run.spec.methods for n in run.spec.method_space(method))
    columns = [column for column in run.tables["trials"].columns if column.startswith("config.")]
    known = {_short(column): column for column in [*columns, *of_searched]}
    short = _short(name if name.startswith("config.") else f"config.{name}")
    if short not in known:
        searched = list(dict.fromkeys(_short(f"config.{n}") for n in _searched(run)))
        raise UserError(f"{option}: the run has no parameter {name!r}; {nearest(short, [*searched, *known])}")
    return known[short]


def _searched(run: RunTables) -> Iterator[str]:
    for method in run.spec.methods:
        yield from run.spec.method_space(method)


def _short(column: str) -> str:
    return column.removeprefix("config.").removeprefix("dataset.")


def _values(space: Space, trials: pd.DataFrame, column: str) -> list[Any]:
    """The values of a parameter that the method's grid has, numbers in ascending order."""
    parameter: Parameter | None = space.get(column.removeprefix("config."))
    match parameter:
        case Choice():
            values = list(parameter.values)
        case Constant():
            values = [parameter.value]
        case _:
            values = trials[column].dropna().unique().tolist()
    return sorted(values) if all(isinstance(value, int | float) for value in values) else values


def _panel(
    method: str,
    space: Space,
    trials: pd.DataFrame,
    axes: dict[str, list[Any]],
    fixed: dict[str, Any],
    metric: str,
) -> tuple[Panel, list[str]]:
    name = method + "".join(f" ({_short(column)}={shortened(value)})" for column, value in fixed.items())
    row_column, col_column = list(axes)[:2]
    cells, shared = [], 0
    for row, col in product(axes[row_column], axes[col_column]):
        wanted = {row_column: row, col_column: col, **fixed}
        of_cell = trials[np.logical_and.reduce([trials[column] == value for column, value in wanted.items()])]
        cells.append({"method": name, _short(row_column): row, _short(col_column): col, **_cell(of_cell, metric)})
        shared = max(shared, len(of_cell))
    notes = list(_missing(name, cells, _short(row_column), _short(col_column)))
    if shared > 1:
        notes.append(_sharing(name, shared, space, {*axes}))
    frame = table_of(cells, schema(row_column, col_column)).to_pandas()
    return Panel(name=name, rows=axes[row_column], cols=axes[col_column], cells=frame), notes


def _cell(trials: pd.DataFrame, metric: str) -> dict[str, Any]:
    best = ranked(trials)["trial"]
    cell: dict[str, Any] = {"metric": metric, "trials": len(trials), "seeds": 0}
    if best.empty:
        return cell | {"missing": _reason(trials)}
    (row,) = trials[trials["trial"] == best.iloc[0]].to_dict("records")
    if pd.isna(row[f"{metric}_mean"]):
        return cell | {"missing": f"no sample to measure {metric} on"}
    stats = {stat: row[f"{metric}_{stat}"] for stat in ("mean", "std")}
    return cell | {"trial": row["trial"], "seeds": int(row["seeds"])} | stats


def _reason(trials: pd.DataFrame) -> str:
    if trials.empty:
        return "no trial"
    return ", ".join(dict.fromkeys(map(_flaw, trials.to_dict("records"))))


def _flaw(row: dict[Any, Any]) -> str:
    if row["diverged"] > 0:
        return "a seed diverged"
    return "complete, but its record is gone" if row["state"] == "complete" else str(row["state"])


def _missing(name: str, cells: list[dict[str, Any]], rows: str, cols: str) -> Iterator[str]:
    """A sentence for each reason why cells are missing."""
    for reason in dict.fromkeys(cell.get("missing") for cell in cells):
        if reason is not None:
            of_reason = [cell for cell in cells if cell.get("missing") == reason]
            named = [f"{rows}={shortened(c[rows])} {cols}={shortened(c[cols])}" for c in of_reason[:NAMED]]
            more = f" and {len(of_reason) - NAMED} more" * (len(of_reason) > NAMED)
            yield f"{name}: missing ({reason}): {', '.join(named)}{more}"


def _sharing(name: str, shared: int, space: Space, shown: set[str]) -> str:
    varying = [n for n, p in space.items() if not isinstance(p, Constant) and f"config.{n}" not in shown]
    return (
        f"{name}: up to {shared} trials share a cell, which differ in {', '.join(varying) or 'nothing'}; "
        "shown is the one with the best validation objective"
    )


def _joined(names: dict[str, str], metric: str, panels: list[Panel], notes: list[str]) -> Ablation:
    fields = schema(names["--rows"], names["--cols"])
    tables = [table_from(panel.cells, fields) for panel in panels]
    return Ablation(
        rows=_short(names["--rows"]),
        cols=_short(names["--cols"]),
        by=_short(names["--by"]) if "--by" in names else None,
        metric=metric,
        panels=panels,
        table=pa.concat_tables([table_of([], fields), *tables]),
        notes=notes,
    )
