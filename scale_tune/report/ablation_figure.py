"""Figures of an ablation, as vector graphics that are the same for the same data."""

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scale_tune.analysis.ablation import Ablation, Panel
from scale_tune.tables.labels import METRICS, shortened

MARKERS = "osD^vP*X<>"
SETTINGS: Any = {
    "svg.hashsalt": "scale-tune",  # ids by content: the same data gives the same bytes
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # fonts are embedded as TrueType, which journals ask for
    "font.size": 9,
    "axes.titlesize": "medium",
}
FORMATS: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""By format, its metadata without a date."""


def ablation_figures(ablation: Ablation) -> dict[str, bytes]:
    """A figure by format: a panel for each method, a line for each row of its grid, with deviations as error bars."""
    with mpl.rc_context(SETTINGS):
        panels = ablation.panels
        figure = Figure(figsize=(1.5 + 3 * max(len(panels), 1), 3.2), layout="constrained")
        axes = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
        styles = _styles(list(dict.fromkeys(row for panel in panels for row in panel.rows)))
        for panel, axis in zip(panels, axes, strict=False):
            _draw(panel, axis, styles, ablation.cols)
        axes[0].set_ylabel(METRICS[ablation.metric])
        lines = [Line2D([], [], label=shortened(row), **style) for row, style in styles.items()]
        if 0 in ablation.table["seeds"].to_pylist():
            lines.append(Line2D([], [], label="missing", color="black", marker="x", markersize=4, linestyle=""))
        figure.legend(handles=lines, title=ablation.rows, loc="outside right center", frameon=False)
        return {name: _saved(figure, name, metadata) for name, metadata in FORMATS.items()}


def _styles(rows: list[Any]) -> dict[Any, dict[str, Any]]:
    """How the line of each row looks, in all panels."""
    # viridis is ordered in brightness, so it survives colour blindness and grey print; its end is too light on white.
    colours = mpl.colormaps["viridis"]([0.85 * i / max(len(rows) - 1, 1) for i in range(len(rows))])
    return {
        row: {"color": colour, "marker": MARKERS[i % len(MARKERS)], "markersize": 4, "linewidth": 1}
        for i, (row, colour) in enumerate(zip(rows, colours, strict=True))
    }


def _draw(panel: Panel, axis: Axes, styles: dict[Any, dict[str, Any]], cols: str) -> None:
    """The lines of a panel; a missing cell breaks its line, and is a cross at the lower edge."""
    numeric = all(isinstance(col, int | float) for col in panel.cols)
    places = panel.cols if numeric else list(range(len(panel.cols)))
    for i, row in enumerate(panel.rows):
        cells = [panel.at(row, col) for col in panel.cols]
        means, stds = ([cell[stat] for cell in cells] for stat in ("mean", "std"))
        axis.errorbar(places, means, yerr=stds, capsize=2, **styles[row])
        missing = [place for place, cell in zip(places, cells, strict=True) if cell["seeds"] == 0]
        cross = styles[row] | {"marker": "x", "linestyle": ""}
        axis.plot(missing, [0.03 * (i + 1)] * len(missing), transform=axis.get_xaxis_transform(), **cross)
    axis.set_xticks(places, [shortened(col) for col in panel.cols])
    axis.set_xlabel(cols)
    axis.set_title(panel.name.replace(" (", "\n("))


def _saved(figure: Figure, format_: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format_, metadata=metadata)
    return buffer.getvalue()
