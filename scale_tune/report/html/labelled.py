"""The figure of accuracy against information: how many images' groups each method had to know."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from scale_tune.analysis.knowledge import by_knowledge
from scale_tune.report.html.style import NEUTRAL, Look, error_bars, plain, styled, text
from scale_tune.tables.labels import METRICS

NARROWEST = 2.4
"""Of a number of images, in methods: its own label needs the room."""
GAP = 0.5


def labelled(rows: pd.DataFrame, names: pd.Series, column: str, looks: Mapping[str, Look]) -> go.Figure:
    """Each method's accuracy with its interval, those that needed the same images side by side.

    The numbers of images are in their order and not to scale: with all of a large train, and val or target besides,
    they would lie on top of each other on any axis, logarithmic or not.

    Args:
        rows: of a comparison on one dataset, those with a result; the best on val is the first of them.
        names: what to call each row.
        column: the accuracy, as ``test_worst_group``.
        looks: of the methods.
    """
    figure = go.Figure()
    at, positions, ticks, start = [], [], [], 0.0
    for shaded, (_, of_group) in enumerate(by_knowledge(rows)):
        width = max(NARROWEST, len(of_group))
        first = start + (width - len(of_group) + 1) / 2
        positions += [first + i for i in range(len(of_group))]
        at += list(of_group.index)
        ticks.append((start + width / 2, _shortened(of_group["group_labelled"].min())))
        if shaded % 2:
            figure.add_vrect(
                x0=start - GAP / 2,
                x1=start + width + GAP / 2,
                fillcolor="rgba(128, 128, 128, 0.12)",
                line_width=0,
                layer="below",
            )
        start += width + GAP
    ordered = rows.loc[at]
    _points(figure, ordered, positions, names.loc[at], column, [looks[method] for method in ordered["method"]])
    styled(figure, 440, "images whose group had to be known<br>(in order, not to scale)", METRICS[column])
    figure.update_xaxes(
        tickvals=[x for x, _ in ticks],
        ticktext=[label for _, label in ticks],
        range=[-GAP / 2, start - GAP / 2],
        tickfont={"size": 12},
        showgrid=False,
        ticks="",
    )
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def _shortened(images: float) -> str:
    return f"{images:,.0f}" if images < 10_000 else f"{images / 1000:.1f}k"


def _points(
    figure: go.Figure, rows: pd.DataFrame, x: list[float], names: pd.Series, column: str, looks: list[Look]
) -> None:
    mean = rows[f"{column}_mean"]
    low, high = (rows[f"{column}_{end}"].fillna(mean) for end in ("low", "high"))
    figure.add_scatter(
        x=x,
        y=plain(mean),
        error_y=error_bars(mean, low, high, NEUTRAL.light),
        mode="markers",
        text=names.map(text).tolist(),
        customdata=rows["group_labelled"].tolist(),
        marker={"color": [look.colour for look in looks], "symbol": [look.symbol for look in looks], "size": 10},
        hovertemplate="%{text}: %{y:.3f}, %{customdata:,} images<extra></extra>",
        showlegend=False,
    )
    best = rows.index.min()
    for i, label in enumerate(rows.index):
        above = mean[label] < 0.5  # where there is room for the name
        figure.add_annotation(
            x=x[i],
            y=float(high[label] if above else low[label]),
            text=text(names[label]),
            textangle=-90,
            showarrow=False,
            yanchor="bottom" if above else "top",
            yshift=4 if above else -4,
            font={"size": 12, "weight": 700 if label == best else 400},
        )
