"""The figures with a mark for each trial or parameter. Every name passes through ``text``."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.data import drawn, with_objective
from scale_tune.report.html.style import INK, NEUTRAL, PANEL, STATES, Look, styled, text
from scale_tune.spec.parameters import Choice, Constant, Parameter


def validation_against_test(
    trials: pd.DataFrame, accuracy: str, shown: pd.DataFrame, looks: Mapping[str, Look]
) -> go.Figure:
    """Each trial that was judged on test, by this accuracy; the selected ones are large."""
    figure = go.Figure()
    columns = [f"{split}_{accuracy}_mean" for split in ("val", "test")]
    values = trials[columns].to_numpy()
    low, high = max(0.0, values.min() - 0.03), min(1.0, values.max() + 0.03)
    line = {"color": NEUTRAL.light, "dash": "dot"}
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", line=line, hoverinfo="skip", showlegend=False)
    for method, rows in trials.groupby("method", sort=False):
        own = looks[str(method)]
        large = rows["trial"].isin(shown["trial"])
        figure.add_scatter(
            x=rows[columns[0]].tolist(),
            y=rows[columns[1]].tolist(),
            mode="markers",
            name=text(method),
            showlegend=False,
            text=rows["trial"].map(text).tolist(),
            marker={
                "color": own.colour,
                "symbol": own.symbol,
                "size": [15 if each else 8 for each in large],
                "opacity": 0.75,
                "line": {"color": INK.light, "width": [1.5 if each else 0 for each in large]},
            },
            hovertemplate="%{text}<br>val %{x:.3f}, test %{y:.3f}<extra></extra>",
        )
    return styled(figure, 420, "validation", "test")


def history(rows: pd.DataFrame, look: Look) -> go.Figure:
    """A method's trials in the order drawn, by what became of them, and the best selectable one so far."""
    figure = go.Figure()
    states = STATES | {"complete": STATES["complete"]._replace(colour=look.colour)}
    for state, own in states.items():
        of_state = rows[rows["state"] == state].dropna(subset="objective")
        if of_state.empty:
            continue
        thin = own.symbol.endswith("thin")
        figure.add_scatter(
            x=of_state["number"].tolist(),
            y=of_state["objective"].tolist(),
            mode="markers",
            name=state,
            showlegend=False,
            text=of_state["trial"].map(text).tolist(),
            customdata=of_state["epochs"].tolist(),
            marker={
                "color": own.colour,
                "symbol": own.symbol,
                "size": 8,
                "line": {"color": own.colour, "width": 1.8 if thin else 0.5},
            },
            hovertemplate="%{text}, %{customdata} epochs: %{y:.3f}<extra></extra>",
        )
    if rows["best"].notna().any():
        figure.add_scatter(
            x=rows["number"].tolist(),
            y=[None if pd.isna(value) else value for value in rows["best"]],
            mode="lines",
            name="best so far",
            showlegend=False,
            line={"color": look.colour, "shape": "hv", "width": 1.5},
            hoverinfo="skip",
        )
    return styled(figure, PANEL)


def importances(rows: pd.DataFrame, look: Look) -> go.Figure:
    """A bar for each parameter of a method, and what chance alone gives."""
    names = rows["parameter"].map(text).tolist()
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=rows["importance"].tolist(),
        orientation="h",
        name="importance",
        marker={"color": look.colour},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.add_scatter(
        y=names,
        x=rows["by_chance"].tolist(),
        mode="markers",
        name="reached by chance",
        marker={"symbol": "line-ns", "size": 20, "line": {"width": 3, "color": INK.light}},
        hovertemplate="%{y} by chance: %{x:.3f}<extra></extra>",
    )
    styled(figure, 90 + 38 * len(names), "share")
    figure.update_xaxes(range=[0, 1.03])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def parameter_slice(
    trials: pd.DataFrame, name: str, spaces: dict[str, Parameter], objective: str, looks: Mapping[str, Look]
) -> go.Figure:
    """The objective against one parameter; methods side by side where it is a choice, stopped trials hollow."""
    choices = _choices(spaces)
    figure = go.Figure()
    for i, (method, parameter) in enumerate(spaces.items()):
        rows = with_objective(trials, method)
        values = [drawn(parameter, value) for value in rows[f"config.{name}"]]
        own = looks[method]
        offset = (i - (len(spaces) - 1) / 2) * 0.6 / len(spaces)
        whole = (rows["state"] == "complete").tolist()
        figure.add_scatter(
            x=[choices.index(value) + offset for value in values] if choices else values,
            y=rows["objective"].tolist(),
            mode="markers",
            name=text(method),
            showlegend=False,
            text=[f"{text(trial)}, {text(value)}" for trial, value in zip(rows["trial"], values, strict=True)],
            marker={
                "symbol": [own.symbol if each else f"{own.symbol}-open" for each in whole],
                "color": own.colour,
                "size": 8,
                "opacity": 0.8,
            },
            hovertemplate="%{text}: %{y:.3f}<extra></extra>",
        )
    styled(figure, 300, text(name), objective)
    if choices:
        figure.update_xaxes(tickvals=list(range(len(choices))), ticktext=[text(choice) for choice in choices])
        figure.update_xaxes(range=[-0.6, len(choices) - 0.4], showgrid=False)
    elif any(not isinstance(p, Choice | Constant) and p.log for p in spaces.values()):
        figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    return figure


def _choices(spaces: dict[str, Parameter]) -> list[Any]:
    """Every value of a parameter that is a choice for all methods, numbers in their order; else none."""
    if not all(isinstance(parameter, Choice) for parameter in spaces.values()):
        return []
    values = list(dict.fromkeys(value for p in spaces.values() for value in p.extremes()))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(values) if numbers else values
