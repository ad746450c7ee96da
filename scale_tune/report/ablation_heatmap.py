"""An ablation as heat maps: rows × columns, a panel for each method or difference, with the numbers in the cells."""

from collections.abc import Sequence
from itertools import product

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from scale_tune.report.drawing import Series, arranged
from scale_tune.tables.labels import percent, shortened

HATCHES = ("////", "....", "xxxx")
"""Of what is marked, in the order of the legend."""
MISSING = "missing"
DARK = 0.5
"""Luminance below which a cell's number is white."""


def heatmap(series: Sequence[Series], rows: str, cols: str, label: str, *, diverging: bool = False) -> Figure:
    """Draw them, on one scale of colours; the cells have percent.

    Args:
        series: a panel for each.
        rows: the parameter from top to bottom.
        cols: the parameter from left to right.
        label: of what is measured.
        diverging: whether values are differences: the scale is centred at 0.
    """
    panels = [each.panel for each in series]
    figure, axes = arranged(len(panels), 3.0, 2.6, one_scale=False)  # a method may have another grid
    values = [cell.value for panel in panels for cell in panel.cells.values() if cell.value is not None]
    scale = _scale(values, diverging=diverging)
    colours = mpl.colormaps["RdBu" if diverging else "cividis"]
    marks = [mark for panel in panels for cell in panel.cells.values() if (mark := cell.mark)]
    hatches = dict(zip(dict.fromkeys(marks), HATCHES, strict=False))
    for each, axis in zip(series, axes, strict=False):
        _draw(axis, each, scale, colours, hatches, diverging=diverging)
        axis.set_title(each.panel.name)
        axis.set_xlabel(cols)
        axis.set_ylabel(rows)
    bar = figure.colorbar(mpl.cm.ScalarMappable(scale, colours), ax=list(axes), shrink=0.8)
    bar.set_label(label)
    bar.formatter = mpl.ticker.FuncFormatter(lambda value, _: percent(value))
    handles = [
        Patch(facecolor="white", edgecolor="#444444", hatch=hatch, label=mark) for mark, hatch in hatches.items()
    ]
    if any(cell.value is None for panel in panels for cell in panel.cells.values()):
        handles.append(Patch(facecolor="#dddddd", label=MISSING))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _scale(values: list[float], *, diverging: bool) -> Normalize:
    if not values:
        return Normalize(-1, 1)
    if diverging:
        most = max(map(abs, values)) or 0.01
        return Normalize(-most, most)
    return Normalize(min(values), max(max(values), min(values) + 0.01))


def _draw(
    axis: Axes,
    series: Series,
    scale: Normalize,
    colours: mpl.colors.Colormap,
    hatches: dict[str, str],
    *,
    diverging: bool,
) -> None:
    panel = series.panel
    axis.set_facecolor("#dddddd")
    shape = (len(panel.rows), len(panel.cols))
    cells = [panel.cells[place] for place in product(panel.rows, panel.cols)]
    grid = np.array([np.nan if cell.value is None else cell.value for cell in cells]).reshape(shape)
    axis.imshow(np.ma.masked_invalid(grid), cmap=colours, norm=scale, aspect="auto")
    axis.set_xticks(range(shape[1]), [shortened(col) for col in panel.cols])
    axis.set_yticks(range(shape[0]), [shortened(row) for row in panel.rows])
    for (y, x), cell in zip(product(*map(range, shape)), cells, strict=True):
        if cell.value is None:
            continue
        red, green, blue, _ = colours(scale(cell.value))
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < DARK
        ink = "white" if dark else "black"
        if cell.mark:
            square = Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch=hatches[cell.mark], linewidth=0)
            square.set_edgecolor((*mpl.colors.to_rgb(ink), 0.3))
            axis.add_patch(square)
        text = f"{100 * cell.value:+.1f}" if diverging else percent(cell.value)
        axis.text(x, y, text, ha="center", va="center", color=ink, fontsize=8)
