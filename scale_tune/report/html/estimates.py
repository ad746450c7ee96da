"""The figures that compare methods: estimates and differences, with their intervals."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.style import NEUTRAL, Look, error_bars, plain, styled, text
from scale_tune.tables.labels import METRICS

SYMBOLS = ("circle", "diamond-open", "x-thin")
"""Of the accuracies, which have no colours: these are of methods."""
MANY = 9
"""Rows from which they are closer together, so that a reader sees them at once."""


def comparison(rows: pd.DataFrame, names: list[str], columns: Sequence[str], looks: Mapping[str, Look]) -> go.Figure:
    """The selected trial of each row, by accuracy, with the interval of its mean.

    Args:
        rows: of the comparison, those with a selected trial.
        names: what to call each row.
        columns: the accuracies, as ``test_worst_group``; at most as many as there are :data:`SYMBOLS`.
        looks: of the methods.
    """
    figure = go.Figure()
    colours = [looks[method].colour for method in rows["method"]]
    for i, (column, symbol) in enumerate(zip(columns, SYMBOLS, strict=False)):
        mean = rows[f"{column}_mean"]
        bars = error_bars(mean, rows[f"{column}_low"], rows[f"{column}_high"], NEUTRAL.light)
        figure.add_scatter(
            x=plain(mean),
            y=[row + (i - (len(columns) - 1) / 2) * 0.22 for row in range(len(rows))],
            error_x=bars | {"thickness": 1.2, "width": 3},
            mode="markers",
            name=METRICS[column],
            text=[text(name) for name in names],
            marker={"color": colours, "symbol": symbol, "size": 9, "line": {"width": 1.8, "color": colours}},
            hovertemplate="%{text}: %{x:.3f}<extra>" + METRICS[column] + "</extra>",
            showlegend=False,
        )
        legend = {"color": NEUTRAL.light, "symbol": symbol, "size": 9, "line": {"width": 1.8, "color": NEUTRAL.light}}
        figure.add_scatter(x=[None], y=[None], mode="markers", name=METRICS[column], marker=legend, hoverinfo="skip")
    styled(figure, 110 + (56 if len(rows) < MANY else 36) * len(rows), "accuracy")
    _name_rows(figure, [text(name) for name in names])
    figure.update_xaxes(range=[-0.02, 1.02])
    return figure


def _name_rows(figure: go.Figure, names: list[str]) -> None:
    """The first row on top."""
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[len(names) - 0.45, -0.55],
        showgrid=False,
        ticks="",
    )
