"""How the figures look. Colour is of methods alone: splits, seeds and states have marks, dashes and greys.

A figure is drawn in the colours of a light page; ``report.js`` takes those of a dark one for them, and sets the colours
of text, axes and grids, which are the page's.
"""

import html
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from scale_tune.analysis.entries import refit_name
from scale_tune.report.html.data import Analysis


class Look(NamedTuple):
    """How something is told from the others, by colour and without it."""

    colour: str
    symbol: str
    dash: str


class Shade(NamedTuple):
    """A colour on a light page and on a dark one."""

    light: str
    dark: str


SHADES = (
    Shade("#286099", "#3295F6"),
    Shade("#FA5D32", "#D85734"),
    Shade("#566609", "#BBCF7C"),
    Shade("#5A60E6", "#5E68AE"),
    Shade("#159CB7", "#92DFF3"),
    Shade("#5B3106", "#F68C11"),
)
"""Of methods. Found by a search for colours that stay apart, also for the colour-blind and from grey, and stand out
from either page. No more than these can be told apart; with symbols and dashes, 30 methods can."""
NEUTRAL = Shade("#767676", "#8C8C8C")
INK = Shade("#222222", "#E6E6E6")
"""Of all that is no method; ink of what is to be seen first."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
STATES = {
    "complete": Look(NEUTRAL.light, "circle", "solid"),
    "pruned": Look(NEUTRAL.light, "x-thin", "solid"),
    "failed": Look(NEUTRAL.light, "triangle-down-open", "solid"),
    "running": Look(NEUTRAL.light, "diamond-open", "solid"),
}
"""Of trials; a complete one has its method's colour."""
PANEL = 190
"""Height of a small multiple, in pixels."""
LEGEND_ROW, LEGEND_ENTRIES = 19, 7
"""Pixels of a legend's row, of which a phone has one for each entry; up to so many have room within any height."""


def looks_of(analysed: Analysis) -> dict[str, Look]:
    """The look of each method, the same in every figure.

    It follows from a method's place in the spec; what else there is, as refits, comes after these by its name. No
    result changes it.
    """
    refits = analysed.tables["dfr"][["trial", "features", "protocol"]].itertuples(index=False)
    others = {*analysed.comparison["method"], *(refit_name(*refit) for refit in refits)}
    return looks([*analysed.spec.methods, *sorted(others - set(analysed.spec.methods))])


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The looks of methods in this order."""
    return {
        method: Look(SHADES[i % len(SHADES)].light, SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])
        for i, method in enumerate(methods)
    }


def seed_look(i: int, of_method: Look) -> Look:
    """The look of the i-th seed, in figures of a single method."""
    return Look(of_method.colour, SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])


def text(name: object) -> str:
    """A name for a label: plotly reads some HTML in labels, and a name is not to be read as HTML."""
    return html.escape(str(name), quote=False)


def styled(figure: go.Figure, height: int, x: str = "", y: str = "", **layout: Any) -> go.Figure:
    """The common look. Titles are the page's; axes make room for their own labels, and the height for a long legend."""
    entries = sum(trace.showlegend is not False for trace in figure.data)
    axis = {"automargin": True, "zeroline": False, "showline": True, "ticks": "outside", "fixedrange": True}
    figure.update_layout(
        template="none",
        height=height + (LEGEND_ROW * entries if entries > LEGEND_ENTRIES else 0),
        margin={"l": 8, "r": 14, "t": 10, "b": 8},
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", "size": 13},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        hoverlabel={"font": {"size": 13}, "align": "left", "namelength": -1},
        dragmode=False,
    )
    for update, name in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        update(title={"text": name, "standoff": 8, "font": {"size": 13}} if name else None, **axis)
    figure.update_layout(**layout)
    return figure


def error_bars(mean: pd.Series, low: pd.Series, high: pd.Series, colour: str) -> dict[str, Any]:
    """An interval around each mean, as plotly's ``error_x`` or ``error_y``; none where its ends are not known."""
    return {
        "type": "data",
        "symmetric": False,
        "array": plain((high - mean).fillna(0)),
        "arrayminus": plain((mean - low).fillna(0)),
        "color": colour,
        "thickness": 1.6,
        "width": 4,
    }


def on_one_scale(figures: Iterable[go.Figure]) -> None:
    """Give the panels of a row the same two axes of numbers, so that they can be compared at a glance."""
    drawn = list(figures)
    for axis in ("x", "y"):
        values = [
            value for figure in drawn for trace in figure.data for value in trace[axis] or () if value is not None
        ]
        if values:
            logarithmic = any(figure.layout[f"{axis}axis"].type == "log" for figure in drawn)
            low, high = (math.log10(end) if logarithmic else end for end in (min(values), max(values)))
            room = 0.05 * (high - low) or 0.02
            for figure in drawn:
                figure.update_layout({f"{axis}axis": {"range": [low - room, high + room]}})


def plain(values: pd.Series) -> list[float | None]:
    """Numbers as plotly wants them: None where there is none."""
    return [None if pd.isna(value) else float(value) for value in values]
