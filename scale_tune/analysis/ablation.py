"""How two parameters matter: a grid of a run as a pivot of mean ± deviation, for each method and for DFR."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scale_tune.analysis.arms import Arm, Kind, Registered, arms_of
from scale_tune.analysis.axes import Axes, axes_of, values_of
from scale_tune.analysis.cells import (
    NOT_REFITTED,
    Asked,
    Cell,
    Fingerprints,
    fingerprints,
    pretrained_cell,
    refitted_cell,
    trained_cell,
)
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.panels import Panel, united
from scale_tune.errors import UserError
from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.frozen import nearest
from scale_tune.spec.parameters import Constant
from scale_tune.tables.labels import METRICS
from scale_tune.tables.schemas import field, table_of


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A pivot of a run."""

    axes: Axes
    metric: str
    panels: list[Panel[Cell]]
    """Of each arm, by the names that publications use."""
    notes: list[str]

    @cached_property
    def table(self) -> pa.Table:
        """The cells of all panels."""
        shown = ("mean", "std", "seeds", "trial", "trials", "missing", "remark")
        rows = [
            {"method": panel.name, self.axes.rows: row, self.axes.cols: col, "metric": self.metric}
            | {name: getattr(cell, name) for name in shown}
            for panel in self.panels
            for (row, col), cell in panel.cells.items()
        ]
        return table_of(rows, schema(*self.axes.fields))

    @property
    def row_values(self) -> list[Any]:
        """Of all panels."""
        return united([panel.rows for panel in self.panels])

    @property
    def col_values(self) -> list[Any]:
        """Of all panels."""
        return united([panel.cols for panel in self.panels])

    def panel(self, name: str, option: str) -> Panel[Cell]:
        """The panel of this name.

        Raises:
            UserError: there is none; the message begins with the option.
        """
        found = {panel.name: panel for panel in self.panels}
        if name not in found:
            raise UserError(f"{option}: the ablation has no {name!r}; {nearest(name, found)}")
        return found[name]

    def fixed_at(self, row: Any) -> "Ablation":
        """The same with one value of the rows alone."""
        axes = replace(self.axes, at=row)
        return replace(self, axes=axes, panels=[panel.only(row) for panel in self.panels if row in panel.rows])


def ablate(
    run: RunTables,
    rows: str,
    cols: str,
    metric: str | None = None,
    by: str | None = None,
    *,
    protocol: DfrProtocol | None = None,
    registered: Registered | None = None,
) -> Ablation:
    """Pivot a run's accuracies by two of its parameters.

    A cell shows one trial: of those that are at their end with all seeds, the one with the best validation objective.

    Args:
        run: what was searched.
        rows: a parameter, as ``spurious_strength``; ``dataset.`` and ``config.`` may stand before it.
        cols: another one.
        metric: an accuracy, as ``test_worst_group``; None: the run's objective, on test.
        by: a parameter whose values have grids of their own.
        protocol: of DFR; None: without DFR.
        registered: what the registries know of the run's methods.

    Raises:
        UserError: the run has no such parameter, or there is no such metric.
    """
    metric = metric or f"test_{run.spec.objective.value}"
    if metric not in METRICS:
        raise UserError(f"--metric: there is no accuracy {metric!r}; {nearest(metric, METRICS)}")
    axes = axes_of(run, rows, cols, by)
    asked = Asked(metric=metric, objective=run.spec.objective.value, protocol="" if protocol is None else protocol)
    notes, values = [], {}
    for method in run.spec.methods:
        values[method] = {column: values_of(run, method, column) for column in axes.columns}
        if lacking := [axes.short(column) for column in axes.columns[:2] if not values[method][column]]:
            notes.append(f"{method} is left out: it has no {' and no '.join(lacking)}")
            del values[method]
    of_by = {method: own.get(axes.by_column or "", []) for method, own in values.items()}
    registered = registered or Registered()
    if protocol is not None and registered.no_baseline is not None:
        notes.append(f"pretrained baseline left out: {registered.no_baseline}")
    panels = []
    splits = fingerprints(run.tables)
    for arm in arms_of(of_by, axes.by_column, registered, refits=protocol is not None):
        own = [united([values[method][column] for method in arm.methods]) for column in axes.columns[:2]]
        panels.append(_panel(run, arm, axes, own, asked, splits))
        notes += _notes(run, arm, axes, panels[-1])
    return Ablation(axes=axes, metric=metric, panels=panels, notes=notes)


def schema(rows: pa.Field, cols: pa.Field) -> pa.Schema:
    """Of the table of an ablation by these two parameters."""
    return pa.schema(
        [
            field(
                "method",
                pa.string(),
                "method, as erm, with the value of --by where that is not the option's default, as scale_step; dfr and "
                "dfr_pretrained: the last layer refitted, of erm's networks and of the pretrained one",
            ),
            rows,
            cols,
            field("mean", pa.float64(), "mean of the metric over seeds; null for a missing cell", "fraction"),
            field("std", pa.float64(), "its sample standard deviation over seeds (n - 1); null for one", "fraction"),
            field(
                "seeds",
                pa.int64(),
                "n of the mean; 0 for a missing cell, 1 for dfr_pretrained where all seeds share their splits",
                "count",
            ),
            field("metric", pa.string(), "the accuracy, as test_worst_group"),
            field(
                "trial",
                pa.string(),
                "trial that is shown: the best validation objective of the cell's, for dfr that of the refitted layer; "
                "null for dfr_pretrained",
            ),
            field("trials", pa.int64(), "trials in the cell; 0 for dfr_pretrained", "count"),
            field("missing", pa.string(), "why the cell is missing; null if it is not"),
            field("remark", pa.string(), "what was left out of the choice, as trials that could not be refitted"),
        ],
        metadata={"name": "ablation", "rows": "one per method and pair of values, missing ones included"},
    )


def _panel(
    run: RunTables,
    arm: Arm,
    axes: Axes,
    values: list[list[Any]],
    asked: Asked,
    splits: dict[str, Fingerprints],
) -> Panel[Cell]:
    trials = arm.trials(run.tables["trials"])
    cells = {}
    for row, col in product(*values):
        wanted = dict(zip(axes.columns[:2], (row, col), strict=True)) | arm.fixed
        if arm.kind is Kind.PRETRAINED:  # it depends on the data alone
            wanted = {column: value for column, value in wanted.items() if column.startswith("config.dataset.")}
        matching = [trials[column] == value for column, value in wanted.items()]
        of_cell = trials[np.logical_and.reduce(matching)] if matching else trials
        cells[row, col] = _cell(run, arm.kind, of_cell, asked, splits)
    rows, cols = values
    return Panel(name=arm.name, rows=rows, cols=cols, cells=cells)


def _cell(run: RunTables, kind: Kind, trials: pd.DataFrame, asked: Asked, splits: dict[str, Fingerprints]) -> Cell:
    match kind:
        case Kind.TRAINED:
            return trained_cell(trials, asked)
        case Kind.REFITTED:
            return refitted_cell(trials, run.tables["dfr"], asked)
        case Kind.PRETRAINED:
            data = {splits[trial] for trial in trials["trial"] if trial in splits}
            return pretrained_cell(data, run.tables["dfr"], asked)


def _notes(run: RunTables, arm: Arm, axes: Axes, panel: Panel[Cell]) -> Iterator[str]:
    """A sentence for each reason why cells are missing, for what was left out, and of trials that share a cell."""
    remedy = f"; analyze.py on {run.name} refits it"
    reasons = {place: cell.missing for place, cell in panel.cells.items() if cell.missing is not None}
    yield from (
        f"{panel.name}: missing ({reason}): {named}" + remedy * (reason == NOT_REFITTED)
        for reason, named in axes.by_reason(reasons)
    )
    remarks = {place: cell.remark for place, cell in panel.cells.items() if cell.remark is not None}
    yield from (f"{panel.name}: {remark}: {named}" for remark, named in axes.by_reason(remarks))
    most = max((cell.trials for cell in panel.cells.values()), default=0)
    if most > 1:
        spaces = [run.spec.method_space(method).items() for method in arm.methods]
        shown = {*axes.columns[:2], *arm.fixed}
        varying = dict.fromkeys(
            n for space in spaces for n, p in space if not isinstance(p, Constant) and f"config.{n}" not in shown
        )
        yield (
            f"{panel.name}: up to {most} trials share a cell, which differ in {', '.join(varying) or 'nothing'}; "
            "shown is the one with the best validation objective"
        )
