"""The figures with a line per seed: epochs, what methods report besides, DFR's path over C."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.style import INK, Look, plain, seed_look, styled, text


def learning_curves(curves: list[tuple[str, str, pd.DataFrame, pd.Series]], looks: Mapping[str, Look]) -> go.Figure:
    """A line per seed of each method's trial, and its best epoch.

    Args:
        curves: for each, the method, the trial, :func:`~scale_tune.report.html.data.per_seed` and the best epochs.
        looks: of the methods.
    """
    figure = go.Figure()
    for method, trial, seeds, best in curves:
        own = looks[method]
        for i, seed in enumerate(seeds.columns):
            _seed_line(figure, seeds[seed], own, text(method), f"{text(trial)}, seed {seed}", i == 0)
            if seed in best.index and best[seed] in seeds.index:
                _best_mark(figure, best[seed], seeds.loc[best[seed], seed], own, text(method))
    return styled(figure, 420, "epoch", "worst-group accuracy, validation")


def _seed_line(figure: go.Figure, values: pd.Series, own: Look, name: str, hover: str, legend: bool) -> None:
    figure.add_scatter(
        x=values.dropna().index.tolist(),
        y=values.dropna().tolist(),
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=legend,
        line={"color": own.colour, "dash": own.dash, "width": 1.8},
        hovertemplate=f"{hover.replace('%', '&#37;')}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
    )


def _best_mark(figure: go.Figure, epoch: int, value: float, own: Look, group: str) -> None:
    figure.add_scatter(
        x=[int(epoch)],
        y=[float(value)],
        mode="markers",
        legendgroup=group,
        showlegend=False,
        hoverinfo="skip",
        marker={"color": own.colour, "symbol": own.symbol, "size": 10, "line": {"color": INK, "width": 1}},
    )


def diagnostic(seeds: pd.DataFrame, name: str) -> go.Figure:
    """What a method reports besides, a line per seed."""
    figure = go.Figure()
    for i, seed in enumerate(seeds.columns):
        own = seed_look(i)
        values = seeds[seed].dropna()
        figure.add_scatter(
            x=values.index.tolist(),
            y=values.tolist(),
            mode="lines+markers",
            name=f"seed {seed}",
            line={"color": own.colour, "dash": own.dash, "width": 1.8},
            marker={"symbol": own.symbol, "size": 6},
            hovertemplate=f"seed {seed}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": "#888888", "width": 1})
    return styled(figure, 340, "epoch", text(name))


def dfr_path(rows: pd.DataFrame, objective: str, title: str) -> go.Figure:
    """The validation objective at each C that was tried on one network, a line per seed, the chosen C large.

    Args:
        rows: of the table ``dfr_path``.
        objective: the column that chose C.
        title: of its axis.
    """
    figure = go.Figure()
    for i, (seed, path) in enumerate(rows.sort_values("C").groupby("seed", dropna=False)):
        own = seed_look(i)
        # The pretrained network has no seed, which makes the others 0.0, 1.0, ….
        name = "no seed" if pd.isna(seed) else f"seed {path['seed'].iloc[0]:.0f}"
        figure.add_scatter(
            x=plain(path["C"]),
            y=plain(path[objective]),
            mode="lines+markers",
            name=name,
            line={"color": own.colour, "dash": own.dash, "width": 1.8},
            marker={
                "symbol": own.symbol,
                "size": [14 if each else 6 for each in path["chosen"]],
                "line": {"color": INK, "width": [1.5 if each else 0 for each in path["chosen"]]},
            },
            hovertemplate=f"{name}, C %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    styled(figure, 320, "C (weaker penalty to the right)", title)
    figure.update_xaxes(type="log", dtick=1)
    return figure
