"""The figure that answers: each method against the winner on test."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from scale_tune.analysis.verdicts import Verdict
from scale_tune.report.html.markup import is_missing
from scale_tune.report.html.style import INK, NEUTRAL, Look, error_bars, plain, styled, text
from scale_tune.tables.schemas import Row

WINNER, LESS, MORE, UNSURE, UNKNOWN = "winner", "less accurate", "more accurate", "not sure", "no interval"
"""How a method stands to the winner."""
SAID = (LESS, UNSURE, MORE, UNKNOWN)
"""The order in which a caption counts them."""
MAX_ROWS = 30
"""Methods that are drawn, the nearest on val."""
HEIGHT, ROWS, LEAST, MOST = 40, 440, 16, 36
"""Pixels: apart from the rows, of all rows, and of one at least and at most. A phone shows the figure at once."""
OPEN = {UNSURE: "-open", UNKNOWN: "-open-dot"}


def standings(verdict: Verdict, accuracy: str) -> pd.DataFrame:
    """How each method stands to the winner, which comes first; the others in their order on val.

    Args:
        verdict: of a dataset.
        accuracy: the one that selected, as ``worst_group``.

    Returns:
        Columns ``method``, ``mean`` (on test), ``difference`` (from the winner's mean, below 0 where the method is less
        accurate), ``low``, ``high`` (its 95 % interval, if one is known) and ``standing``.
    """
    column = f"test_{accuracy}_mean"
    best = verdict.winner
    rows = [{"method": best["method"], "mean": best[column], "difference": 0.0, "standing": WINNER}]
    for rival in verdict.rivals:
        mean, known = rival["rival"][column], not is_missing(rival["low"])
        rows.append(
            {
                "method": rival["rival"]["method"],
                "mean": mean,
                "difference": mean - best[column] if is_missing(rival["difference"]) else -rival["difference"],
                "low": -rival["high"] if known else None,
                "high": -rival["low"] if known else None,
                "standing": _standing(rival) if known else UNKNOWN,
            }
        )
    frame = pd.DataFrame(rows, columns=["method", "mean", "difference", "low", "high", "standing"])
    return frame.astype({"low": float, "high": float})


def _standing(rival: Row) -> str:
    return LESS if rival["low"] > 0 else MORE if rival["high"] < 0 else UNSURE


def drawn(rows: pd.DataFrame, looks: Mapping[str, Look]) -> go.Figure:
    """A row per method, with the winner's dotted line at 0; what is not sure is hollow.

    Args:
        rows: as :func:`standings` gives them.
        looks: of the methods.
    """
    rows = rows.head(MAX_ROWS)
    figure = go.Figure()
    for i, (_, row) in enumerate(rows.iterrows()):
        look, won = looks[row["method"]], row["standing"] == WINNER
        ends = row[["difference", "low", "high"]].to_frame().T.astype(float)
        figure.add_scatter(
            x=plain(ends["difference"]),
            y=[i],
            error_x=error_bars(ends["difference"], ends["low"], ends["high"], look.colour),
            mode="markers",
            name=text(row["method"]),
            marker={
                "color": look.colour,
                "symbol": look.symbol + OPEN.get(row["standing"], ""),
                "size": 14 if won else 10,
                "line": {"color": INK.light if won else look.colour, "width": 1.6},
            },
            hovertemplate="%{x:.3f}<extra>" + text(row["method"]).replace("%", "&#37;") + "</extra>",
            showlegend=False,
        )
    each = min(MOST, max(LEAST, ROWS // len(rows)))
    styled(figure, HEIGHT + each * len(rows))
    _ends(figure, rows, 12 if each > LEAST + 2 else 11)
    return figure


def _ends(figure: go.Figure, rows: pd.DataFrame, size: int) -> None:
    """The name of each row on its left, its accuracy on its right, and the winner's line."""
    names = [f"<b>{text(row.method)}</b>" if row.standing == WINNER else text(row.method) for row in rows.itertuples()]
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=names,
        tickfont={"size": size},
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
        showline=False,
        ticks="",
    )
    figure.update_xaxes(tickfont={"size": 11}, nticks=6)
    figure.add_vline(x=0, line={"color": NEUTRAL.light, "width": 1.4, "dash": "dot"}, layer="below")
    for i, row in enumerate(rows.itertuples()):
        font = {"size": size, "weight": 700 if row.standing == WINNER else 400}
        where = {"x": 1, "xref": "paper", "xanchor": "left", "y": i, "showarrow": False}
        figure.add_annotation(text=f"{row.mean:.3f}", font=font, **where)
    figure.update_layout(margin={"r": 44})
