"""An ablation as lines over its columns: one for each method, in a panel for each row."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scale_tune.analysis.panels import united
from scale_tune.report.drawing import Series, arranged
from scale_tune.tables.labels import shortened


def lines(series: Sequence[Series], rows: str, cols: str, label: str, *, zero: bool = False) -> Figure:
    """Draw them.

    Args:
        series: a line for each, which a missing cell breaks; it is a cross at the lower edge.
        rows: the parameter that is the same within a panel.
        cols: the parameter along the lines.
        label: of what is measured.
        zero: whether values are differences, of which 0 is a line.
    """
    row_values = united([each.panel.rows for each in series])
    figure, axes = arranged(len(row_values), 3.4, 2.8)
    places = _places(united([each.panel.cols for each in series]))
    for i, (row, axis) in enumerate(zip(row_values, axes, strict=False)):
        if zero:
            axis.axhline(0, color="#888888", linewidth=0.8)
        for number, each in enumerate(series):
            _draw(axis, each, row, places, 0.03 * (number + 1))
        axis.set_title(f"{rows} = {shortened(row)}")
        axis.set_xticks(list(places.values()), list(map(shortened, places)))
        if i + 3 >= len(row_values):
            axis.set_xlabel(cols)
            axis.tick_params(labelbottom=True)
        if i % 3 == 0:
            axis.set_ylabel(label)
    own = [each for each in series if not each.published]
    handles = [Line2D([], [], label=each.panel.name, **each.style()) for each in own]
    if len(own) < len(series):
        hollow: dict[str, Any] = {"color": "black", "linestyle": "--", "markerfacecolor": "white"}
        handles.append(Line2D([], [], label="published", marker="o", markersize=4, linewidth=1, **hollow))
    if any(cell.value is None for each in own for cell in each.panel.cells.values()):
        handles.append(Line2D([], [], label="missing", color="black", marker="x", markersize=4, linestyle=""))
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    return figure


def _places(cols: list[Any]) -> dict[Any, float]:
    """Where each column is: numbers where they lie, words side by side."""
    numeric = all(isinstance(col, int | float) for col in cols)
    return {col: float(col) if numeric else float(i) for i, col in enumerate(cols)}


def _draw(axis: Axes, series: Series, row: Any, places: dict[Any, float], height: float) -> None:
    cells = [series.panel.at(row, col) for col in series.panel.cols]
    x = [places[col] for col in series.panel.cols]
    nan = float("nan")
    values = [nan if cell is None or cell.value is None else cell.value for cell in cells]
    ends = [(nan, nan) if cell is None or cell.bar is None else cell.bar for cell in cells]
    below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
    above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
    axis.errorbar(x, values, yerr=[below, above], capsize=2, **series.style())
    if not series.published:
        missing = [place for place, value in zip(x, values, strict=True) if value != value]
        cross = series.style() | {"marker": "x", "linestyle": ""}
        axis.plot(missing, [height] * len(missing), transform=axis.get_xaxis_transform(), **cross)
