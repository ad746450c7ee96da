"""How the figures look: colours for the colour-blind (Okabe and Ito), and a shape and dash for each, for print."""

import html
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go


class Look(NamedTuple):
    """How a method is told from the others, by colour and without it."""

    colour: str
    symbol: str
    dash: str


INK = "#222222"
GRID = "#e3e3e3"
LOOKS = (
    Look("#D55E00", "square", "dot"),
    Look("#B87A00", "diamond", "dash"),  # Okabe and Ito's orange, darker: lines are thin on white
    Look("#0072B2", "circle", "solid"),
    Look("#009E73", "triangle-up", "dashdot"),
    Look("#CC79A7", "triangle-down", "longdash"),
    Look("#56B4E9", "star", "longdashdot"),
    Look(INK, "hexagon", "solid"),
    # No more colours can be told apart; shape and dash can.
    Look("#D55E00", "cross", "solid"),
    Look("#B87A00", "x", "dot"),
    Look("#0072B2", "triangle-left", "dash"),
    Look("#009E73", "triangle-right", "solid"),
    Look("#CC79A7", "bowtie", "dot"),
    Look("#56B4E9", "pentagon", "dash"),
    Look(INK, "hourglass", "dot"),
)
STATES = {
    "complete": Look("#0072B2", "circle", "solid"),
    "pruned": Look("#8a8a8a", "x-thin", "solid"),
    "failed": Look("#D55E00", "triangle-down", "solid"),
    "running": Look("#009E73", "diamond-open", "solid"),
}
LEGEND_ROW, LEGEND_ENTRIES = 19, 7
"""Pixels of a legend's row, of which a phone has one for each entry; up to so many have room within any height."""
SEED_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SEED_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star")
SEED_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B87A00", "#CC79A7", "#56B4E9")


def looks_of(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method of a run, in their order; the same in every figure."""
    return {str(method): LOOKS[i % len(LOOKS)] for i, method in enumerate(methods)}


def seed_look(i: int) -> Look:
    """The look of the i-th seed, in figures of a single method."""
    return Look(SEED_COLOURS[i % 6], SEED_SYMBOLS[i % 6], SEED_DASHES[i % 6])


def text(name: object) -> str:
    """A name for a label: plotly reads some HTML in labels, and a name is not to be read as HTML."""
    return html.escape(str(name), quote=False)


def styled(figure: go.Figure, height: int, x: str = "", y: str = "", **layout: Any) -> go.Figure:
    """The common look. Titles are the page's; axes make room for their own labels, and the height for a long legend."""
    entries = sum(trace.showlegend is not False for trace in figure.data)
    axis = {
        "automargin": True,
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": "#888888",
        "showline": True,
        "ticks": "outside",
        "tickcolor": "#888888",
        "fixedrange": True,
    }
    figure.update_layout(
        template="none",
        height=height + (LEGEND_ROW * entries if entries > LEGEND_ENTRIES else 0),
        margin={"l": 8, "r": 14, "t": 10, "b": 8},
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        hoverlabel={"bgcolor": "white", "font": {"size": 13}, "align": "left", "namelength": -1},
        dragmode=False,
    )
    figure.update_xaxes(title={"text": x, "standoff": 8, "font": {"size": 13}}, **axis)
    figure.update_yaxes(title={"text": y, "standoff": 8, "font": {"size": 13}}, **axis)
    figure.update_layout(**layout)
    return figure


def plain(values: pd.Series) -> list[float | None]:
    """Numbers as plotly wants them: None where there is none."""
    return [None if pd.isna(value) else float(value) for value in values]
