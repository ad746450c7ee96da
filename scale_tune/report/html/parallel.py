"""The section of parallel coordinates: each trial a line through its hyperparameters to its objective.

Drawn with plain lines, since plotly's own parallel coordinates need WebGL, which a browser has for a few figures at a
time, and paper, remote desktops and old machines not at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html import data
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.parts import Section, ShownFigure, words
from scale_tune.report.html.style import NEUTRAL, Look, looks_of, styled, text
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from scale_tune.spec.space import RunSpec

MIN_PARAMETERS, MIN_TRIALS = 2, 3
"""With fewer, the slices show all there is."""
SHADES = 8
"""Steps between the lowest objective and the highest."""
SHOWN = 6
"""Of more methods, these with the highest objectives are shown, and the others folded."""
SPREAD = 0.05
"""How far apart the lines through one choice are at most: the higher the objective, the higher the line."""


@dataclass(frozen=True)
class Axis:
    """One of the upright axes."""

    label: str
    values: Sequence[Any]
    """Of each trial, as they were drawn."""
    places: Sequence[float]
    """Of each trial on the axis, from 0 to 1, and a little beyond where a choice's lines are kept apart."""
    ticks: dict[str, float]
    """What stands at the axis, and where."""


@dataclass(frozen=True)
class Parallel:
    """The trials of a method, the worst first, so that the best are drawn on top."""

    trials: Sequence[str]
    axes: Sequence[Axis]
    """Of each searched parameter, and last of the objective."""


def parallel(trials: pd.DataFrame, method: str, spec: RunSpec) -> Parallel | None:
    """A method's trials that have an objective; None if too few parameters were searched, or too few trials ended."""
    searched = {n: p for n, p in spec.method_space(method).items() if not isinstance(p, Constant)}
    rows = data.with_objective(trials, method).sort_values("objective", kind="stable")
    if len(searched) < MIN_PARAMETERS or len(rows) < MIN_TRIALS:
        return None
    objectives = rows["objective"].tolist()
    heights = _heights(objectives)
    axes = []
    for name, parameter in searched.items():
        values = [data.drawn(parameter, value) for value in rows[f"config.{name}"]]
        places, ticks = _placed(parameter, values, heights)
        axes.append(Axis(name, values, places, ticks))
    ends = {f"{min(objectives):.3f}": 0.0, f"{max(objectives):.3f}": 1.0}
    return Parallel(rows["trial"].tolist(), [*axes, Axis("objective", objectives, heights, ends)])


def _heights(objectives: Sequence[float]) -> list[float]:
    low, high = min(objectives), max(objectives)
    return [(each - low) / (high - low) if high > low else 1.0 for each in objectives]


def _placed(
    parameter: FloatRange | IntRange | Choice, values: Sequence[Any], heights: Sequence[float]
) -> tuple[list[float], dict[str, float]]:
    if isinstance(parameter, Choice):
        choices = _in_order(parameter)
        at = {str(choice): (i / (len(choices) - 1) if len(choices) > 1 else 0.5) for i, choice in enumerate(choices)}
        pairs = zip(values, heights, strict=True)
        return [at[str(value)] + SPREAD * (height - 0.5) for value, height in pairs], at
    marks = [parameter.low, parameter.high]
    if parameter.log:
        powers = range(math.floor(math.log10(parameter.low)) + 1, math.ceil(math.log10(parameter.high)))
        marks += [10.0**power for power in powers if 0.1 < parameter.position(10.0**power) < 0.9]
    return [parameter.position(value) for value in values], {f"{mark:g}": parameter.position(mark) for mark in marks}


def _in_order(parameter: Choice) -> list[Any]:
    values: list[Any] = list(parameter.values)
    return sorted(values) if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) else values


def section(analysed: Analysis) -> Section | None:
    """A figure for each method in which more than one parameter was searched; None if there is no such method."""
    looks, trials = looks_of(analysed), analysed.tables["trials"]
    shown = {m: found for m in analysed.spec.methods if (found := parallel(trials, m, analysed.spec))}
    if not shown:
        return None
    figures = []
    for method in sorted(shown, key=lambda method: -max(shown[method].axes[-1].values)):
        title = f"{method}, {len(shown[method].trials):,} trials"
        alt = f"Hyperparameters and objective of each {method} trial"
        figures.append(ShownFigure(f"parallel-{method}", title, drawn(shown[method], looks[method]), alt, of=method))
    return Section(
        id="parallel",
        title="Hyperparameters together",
        lead="Each line is a trial, from its hyperparameters on the left to its objective "
        f"({words(analysed.spec.objective)} accuracy on validation), the stronger the higher; of a pruned trial the "
        "objective that it had then. Each method has axes of its own, a choice’s lines are kept a little apart, and a "
        "click on a line opens its trial. The method with the highest objective comes first.",
        figures=figures[:SHOWN],
        more_figures=figures[SHOWN:],
    )


def drawn(found: Parallel, look: Look) -> go.Figure:
    """The lines, in the method's colour."""
    figure = go.Figure()
    heights = found.axes[-1].places
    for shade in range(SHADES):
        chosen = [i for i, height in enumerate(heights) if min(SHADES - 1, int(height * SHADES)) == shade]
        if not chosen:
            continue
        strength = shade / (SHADES - 1)
        x, y, names = [], [], []
        for i in chosen:
            x += [*range(len(found.axes)), None]
            y += [*(axis.places[i] for axis in found.axes), None]
            names += [f"{text(found.trials[i])}, {text(axis.label)} {_said(axis.values[i])}" for axis in found.axes] + [
                ""
            ]
        figure.add_scatter(
            x=x,
            y=y,
            text=names,
            mode="lines",
            showlegend=False,
            opacity=0.15 + 0.85 * strength**2,
            line={"color": look.colour, "width": 1 + 1.2 * strength},
            hovertemplate="%{text}<extra></extra>",
        )
    styled(figure, 300, hovermode="closest", margin={"l": 12, "r": 52, "t": 14, "b": 8})
    for i, axis in enumerate(found.axes):
        figure.add_shape(type="line", x0=i, x1=i, y0=0, y1=1, line={"color": NEUTRAL.light, "width": 1}, layer="below")
        for mark, place in axis.ticks.items():
            said = {"text": text(mark), "showarrow": False, "xanchor": "left", "xshift": 3, "font": {"size": 11}}
            figure.add_annotation(x=i, y=place, **said)
    labels = [text(axis.label) for axis in found.axes]
    ends = [-0.1, len(labels) - 0.9]
    figure.update_xaxes(tickvals=list(range(len(labels))), ticktext=labels, range=ends, showgrid=False, showline=False)
    figure.update_xaxes(ticks="", tickfont={"size": 12})
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    return figure


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else text(value)
