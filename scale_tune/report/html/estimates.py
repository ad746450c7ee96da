"""The figures that compare methods: estimates and differences, with their intervals."""

from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.style import GRID, INK, Look, plain, styled, text


class _Shown(NamedTuple):
    """An accuracy in the comparison."""

    column: str
    name: str
    look: Look


_ACCURACIES = (
    _Shown("test_worst_group", "test, worst group", Look("#0072B2", "circle", "solid")),
    _Shown("val_worst_group", "validation, worst group", Look("#B87A00", "diamond-open", "solid")),
    _Shown("test_average", "test, average", Look("#009E73", "square-open", "solid")),
)


MANY = 9
"""Rows from which they are closer together, so that a reader sees them at once."""


def comparison(rows: pd.DataFrame, names: list[str]) -> go.Figure:
    """The selected trial of each row, by accuracy, with the interval of its mean.

    Args:
        rows: of the comparison, those with a selected trial.
        names: what to call each row.
    """
    figure = go.Figure()
    for i, shown in enumerate(_ACCURACIES):
        mean = rows[f"{shown.column}_mean"]
        figure.add_scatter(
            x=plain(mean),
            y=[row + (i - 1) * 0.22 for row in range(len(rows))],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": plain((rows[f"{shown.column}_high"] - mean).fillna(0)),
                "arrayminus": plain((mean - rows[f"{shown.column}_low"]).fillna(0)),
                "color": shown.look.colour,
                "thickness": 1.6,
                "width": 4,
            },
            mode="markers",
            name=shown.name,
            text=[text(name) for name in names],
            marker={"color": shown.look.colour, "symbol": shown.look.symbol, "size": 10, "line": {"width": 1.6}},
            hovertemplate="%{text}: %{x:.3f}<extra>" + shown.name + "</extra>",
        )
    styled(figure, 110 + (62 if len(rows) < MANY else 44) * len(rows), "accuracy")
    _name_rows(figure, [text(name) for name in names])
    figure.update_xaxes(range=[-0.02, 1.02])
    return figure


def differences(rows: pd.DataFrame, names: list[str]) -> go.Figure:
    """Pairs of methods on the worst group of test; an interval that crosses the line may be no difference."""
    unknown, crosses = rows["low"].isna(), (rows["low"] <= 0) & (rows["high"] >= 0)
    figure = go.Figure()
    for name, own, symbol in (
        ("interval without 0", ~crosses & ~unknown, "circle"),
        ("interval with 0", crosses, "circle-open"),
        ("no interval", unknown, "x-thin-open"),
    ):
        if not own.any():
            continue
        of = rows[own]
        figure.add_scatter(
            x=plain(of["difference"]),
            y=[row for row, mine in enumerate(own) if mine],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": plain((of["high"] - of["difference"]).fillna(0)),
                "arrayminus": plain((of["difference"] - of["low"]).fillna(0)),
                "color": INK,
                "thickness": 1.6,
                "width": 4,
            },
            mode="markers",
            name=name,
            text=[text(label) for label, mine in zip(names, own, strict=True) if mine],
            marker={"color": INK, "symbol": symbol, "size": 10, "line": {"width": 1.6}},
            hovertemplate="%{text}: %{x:.3f}<extra></extra>",
        )
    styled(figure, 110 + 40 * len(rows), "difference, worst group of test")
    figure.add_vline(x=0, line={"color": INK, "width": 1.2, "dash": "dot"})
    _name_rows(figure, [text(name).replace(" − ", "<br>− ") for name in names])
    return figure


def _name_rows(figure: go.Figure, names: list[str]) -> None:
    """The first row on top."""
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[len(names) - 0.45, -0.55],
        showgrid=False,
        gridcolor=GRID,
        ticks="",
    )
