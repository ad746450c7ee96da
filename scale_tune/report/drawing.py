"""What the figures of an ablation share: what is drawn of a cell, how methods look, and files without a date."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from scale_tune.analysis.panels import Panel

SETTINGS: Any = {
    "svg.hashsalt": "scale-tune",  # ids by content: the same data gives the same bytes
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # fonts are embedded as TrueType, which journals ask for
    "font.size": 9,
    "axes.titlesize": "medium",
    "hatch.linewidth": 0.5,
    "savefig.dpi": 300,
}
FORMATS: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
"""By format, its metadata without what changes from one day or machine to the next."""
MARKERS = "osD^vP*X<>"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B87A00", "#CC79A7", "#56B4E9", "#222222")
"""Okabe and Ito's, for the colour-blind, with a darker orange: lines are thin on white."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is drawn of a cell."""

    value: float | None
    """None of a missing cell."""
    bar: tuple[float, float] | None = None
    """Where its bar ends."""
    mark: str = ""
    """What is to be said of it beside its value, as a label of the legend."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A panel to be drawn, and how."""

    panel: Panel[Drawn]
    look: int
    """Number of its colour and marker."""
    published: bool = False
    """Whether it is drawn hollow and dashed."""

    def style(self) -> dict[str, Any]:
        """Of its line."""
        style: dict[str, Any] = {
            "color": COLOURS[self.look % len(COLOURS)],
            "marker": MARKERS[self.look % len(MARKERS)],
        }
        style |= {"markersize": 4, "linewidth": 1}
        return style | ({"linestyle": "--", "markerfacecolor": "white"} if self.published else {})


def figure_files(draw: Callable[[], Figure]) -> dict[str, bytes]:
    """A figure by format, the same bytes for the same data."""
    with mpl.rc_context(SETTINGS):
        figure = draw()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # everything has its place, which is not sought again for each format
        return {name: _saved(figure, name, metadata) for name, metadata in FORMATS.items()}


def arranged(
    panels: int, width: float, height: float, most: int = 3, *, one_scale: bool = True
) -> tuple[Figure, Sequence[Any]]:
    """A figure with so many axes, up to ``most`` in a row, each of this size in inches.

    Args:
        panels: how many.
        width: of each.
        height: of each.
        most: in a row.
        one_scale: whether they share what is to the right and what is up.

    Returns:
        The figure, and its axes.
    """
    rows, cols = -(-max(panels, 1) // most), min(max(panels, 1), most)
    figure = Figure(figsize=(1.6 + width * cols, 0.4 + height * rows), layout="constrained")
    axes = figure.subplots(rows, cols, sharex=one_scale, sharey=one_scale, squeeze=False).flat
    for unused in axes[max(panels, 1) :]:
        unused.remove()
    return figure, list(axes[: max(panels, 1)])


def _saved(figure: Figure, format_: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format_, metadata=metadata)
    return buffer.getvalue()
