"""Numbers and tables as HTML.

Every number carries its full value in its ``data`` element, so that it can be read off as the tables have it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from markupsafe import Markup, escape

from scale_tune.report.html.style import Look
from scale_tune.report.html.swatches import swatch
from scale_tune.tables.schemas import rows_of

Kind = Literal["text", "method", "accuracy", "integer", "value", "seconds", "estimate", "gain", "heat"]
"""How a column is printed; a method's has its mark, which the column ``look`` of the frame says."""
MIDDLE = 0.29
"""Accuracies below it have a background on which white is the clearer."""
MISSING = Markup('<span class="missing" title="not available">–</span>')


@dataclass(frozen=True)
class Column:
    """A column of a printed table.

    The key of an estimate is a prefix: mean, std, low and high are columns of the frame. So is that of a heat, an
    accuracy on a background that is the darker the lower it is.
    """

    key: str
    title: str
    kind: Kind = "text"

    @property
    def is_number(self) -> bool:
        """Whether its cells are set to the right."""
        return self.kind not in ("text", "method")


@dataclass(frozen=True)
class PrintedTable:
    """A frame as it is printed."""

    id: str
    caption: str
    columns: Sequence[Column]
    rows: pd.DataFrame
    key: str
    """The column that names a row."""
    group: str | None = None
    """The column with the heading of the rows that it stands above, if there are such."""

    def body(self) -> list[tuple[str | None, str, list[tuple[Column, Markup]]]]:
        """For each row the heading above it, if one begins with it, its name and its cells."""
        found, above = [], None
        for row in rows_of(self.rows):
            heading = None if self.group is None else str(row[self.group])
            cells = [(column, cell(column, row)) for column in self.columns]
            found.append((heading if heading != above else None, str(row[self.key]), cells))
            above = heading
        return found


def is_missing(value: Any) -> bool:
    """Whether a cell of a frame is empty, in any of pandas' ways."""
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)) or value is pd.NA


def number(value: Any, kind: Kind = "accuracy", column: str = "") -> Markup:
    """A number as a reader wants it, with its full value beside it."""
    if is_missing(value):
        return MISSING
    marked = Markup(' data-column="{}"').format(column) if column else ""
    return Markup('<data value="{}"{}>{}</data>').format(repr(_plain(value)), marked, _shown(value, kind))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _shown(value: Any, kind: Kind) -> str:
    if kind == "integer":
        return f"{int(value):,}"
    if kind == "seconds":
        return f"{value:,.0f}"
    if kind == "value":
        return f"{value:.4g}".replace("-", "−") if isinstance(value, int | float) else str(value)
    shown = f"{value:.3f}".replace("-", "−")
    # A difference that rounds to nothing has no sign.
    bare = shown.lstrip("−")
    if float(bare) == 0:
        return bare
    return f"+{shown}" if kind == "gain" and value > 0 else shown


def cell(column: Column, row: Mapping[str, Any]) -> Markup:
    """A cell of a printed table."""
    if column.kind == "estimate":
        return estimate(row, column.key)
    if column.kind == "heat":
        return _heat(column, row)
    value = row.get(column.key)
    if is_missing(value):
        return MISSING
    if column.kind == "method":
        return named(str(value), row["look"])
    if column.kind == "text" or isinstance(value, str | bool):
        return escape(value)
    return number(value, column.kind, column.key)


def named(method: str, look: Look) -> Markup:
    """A method's name behind its mark."""
    return Markup('<span class="method">{}&nbsp;{}</span>').format(swatch(look), method)


def _heat(column: Column, row: Mapping[str, Any]) -> Markup:
    mean: Any = row.get(f"{column.key}_mean")
    if is_missing(mean):
        return MISSING
    classes = "heat" + " low" * (mean < MIDDLE) + " worst" * (row.get("worst") == column.key)
    shown = estimate(row, column.key, interval=False)
    return Markup('<span class="{}" style="--share: {:.3f}">{}</span>').format(classes, mean, shown)


def estimate(row: Mapping[str, Any], prefix: str, *, interval: bool = True) -> Markup:
    """As 0.668 ± 0.011 with its interval below; what is not known is left out."""
    mean, std, low, high = (row.get(f"{prefix}_{stat}") for stat in ("mean", "std", "low", "high"))
    if is_missing(mean):
        return MISSING
    shown = number(mean, column=f"{prefix}_mean")
    if not is_missing(std):
        shown += Markup(" ± ") + number(std, column=f"{prefix}_std")
    if interval and not is_missing(low):
        ends = number(low, column=f"{prefix}_low"), number(high, column=f"{prefix}_high")
        shown += Markup(' <span class="interval">[{}, {}]</span>').format(*ends)
    return Markup('<span class="estimate">{}</span>').format(shown)
