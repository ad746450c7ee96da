"""How two arms of an ablation differ, cell by cell, over the seeds that both have."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import pyarrow as pa

from scale_tune.analysis.ablation import Ablation
from scale_tune.analysis.axes import Axes
from scale_tune.analysis.cells import Cell, measured_of
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.intervals import paired_differences
from scale_tune.analysis.panels import Panel
from scale_tune.errors import UserError
from scale_tune.tables.schemas import field, table_of


def excludes_0(ends: tuple[float, float] | None) -> bool:
    """Whether there is an interval, and 0 is not in it."""
    return ends is not None and (ends[0] > 0 or ends[1] < 0)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A difference of two means, with its 95 % interval."""

    difference: float | None = None
    """None of a missing cell."""
    ends: tuple[float, float] | None = None
    """Of the interval; None where the data don't support one."""
    seeds: int = 0
    """That both have, which the difference is over."""
    paired_over: str | None = None
    """What both share in each pair."""
    missing: str | None = None
    """Why there is no difference."""

    @property
    def sure(self) -> bool:
        """Whether there is an interval, and 0 is not in it."""
        return excludes_0(self.ends)


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """The differences of pairs of arms."""

    axes: Axes
    metric: str
    pairs: list[tuple[str, str]]
    panels: list[Panel[Contrast]]
    """One for each pair."""
    notes: list[str]

    @cached_property
    def table(self) -> pa.Table:
        """The cells of all panels."""
        shown = ("difference", "seeds", "paired_over", "missing")
        rows = [
            {"method": one, "other_method": other, self.axes.rows: row, self.axes.cols: col, "metric": self.metric}
            | {name: getattr(cell, name) for name in shown}
            | dict(zip(("low", "high"), cell.ends or (), strict=False))
            for (one, other), panel in zip(self.pairs, self.panels, strict=True)
            for (row, col), cell in panel.cells.items()
        ]
        return table_of(rows, schema(*self.axes.fields))


def schema(rows: pa.Field, cols: pa.Field) -> pa.Schema:
    """Of the table of the differences in an ablation by these two parameters."""
    return pa.schema(
        [
            field("method", pa.string(), "method, named as in ablation"),
            field("other_method", pa.string(), "method that is subtracted"),
            rows,
            cols,
            field("difference", pa.float64(), "mean over the seeds of both of method minus other_method", "fraction"),
            field("low", pa.float64(), "lower end of its 95 % interval; null where the data support none", "fraction"),
            field("high", pa.float64(), "upper end of its 95 % interval; null where the data support none", "fraction"),
            field("seeds", pa.int64(), "seeds that both have; 0 for a missing cell", "count"),
            field("paired_over", pa.string(), "what both share in each pair: seeds, or seeds and their splits"),
            field("metric", pa.string(), "the accuracy, as test_worst_group"),
            field("missing", pa.string(), "why there is no difference; null if there is one"),
        ],
        metadata={"name": "ablation differences", "rows": "one per pair of methods and of values"},
    )


def contrasts(run: RunTables, ablation: Ablation, texts: Sequence[str]) -> Contrasts:
    """The differences that texts as ``scale,dfr`` name.

    Raises:
        UserError: one does not name two different methods of the ablation.
    """
    panels, pairs, notes = [], [], []
    for text in texts:
        names = [name.strip() for name in text.split(",")]
        if len(names) != 2 or names[0] == names[1]:
            raise UserError(f"--difference takes two different methods, as scale,dfr; got {text!r}")
        one, other = (ablation.panel(name, "--difference") for name in names)
        pairs.append((one.name, other.name))
        panels.append(_panel(run, ablation.metric, one, other))
        missing = {place: cell.missing for place, cell in panels[-1].cells.items() if cell.missing is not None}
        notes += [f"{panels[-1].name}: missing ({why}): {named}" for why, named in ablation.axes.by_reason(missing)]
    return Contrasts(axes=ablation.axes, metric=ablation.metric, pairs=pairs, panels=panels, notes=notes)


def _panel(run: RunTables, metric: str, one: Panel[Cell], other: Panel[Cell]) -> Panel[Contrast]:
    rows = [row for row in one.rows if row in other.rows]
    cols = [col for col in one.cols if col in other.cols]
    groups = run.tables["groups"]
    cells = {
        (row, col): _contrast(groups, metric, (one.name, one.cells[row, col]), (other.name, other.cells[row, col]))
        for row in rows
        for col in cols
    }
    return Panel(name=f"{one.name} − {other.name}", rows=rows, cols=cols, cells=cells)


def _contrast(groups: pd.DataFrame, metric: str, one: tuple[str, Cell], other: tuple[str, Cell]) -> Contrast:
    for name, cell in (one, other):
        if cell.missing is not None:
            return Contrast(missing=f"{name}: {cell.missing}")
    split, _, accuracy = metric.partition("_")
    counts = [measured_of(cell, groups, split) for _, cell in (one, other)]
    if counts[0] is None or counts[1] is None:
        return Contrast(missing="their counts are gone from groups")
    found = paired_differences(counts[0], counts[1]).get(accuracy)
    if found is None:
        return Contrast(missing="they have no seed in common")
    ends = None if found.low is None or found.high is None else (float(found.low), float(found.high))
    return Contrast(difference=float(found.difference), ends=ends, seeds=found.seeds, paired_over=found.paired_over)
