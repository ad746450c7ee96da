"""The figures with a line per seed: epochs, what methods report besides, DFR's path over C."""

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.style import INK, NEUTRAL, PANEL, Look, plain, seed_look, styled


def learning_curves(seeds: pd.DataFrame, best: pd.Series, look: Look) -> go.Figure:
    """A line per seed of a method's trial, and its best epoch.

    Args:
        seeds: a row per epoch, a column per seed.
        best: the best epoch of each seed.
        look: the method's.
    """
    figure = go.Figure()
    for i, seed in enumerate(seeds.columns):
        _seed_line(figure, seeds[seed], i, look)
        if seed in best.index and best[seed] in seeds.index:
            figure.add_scatter(
                x=[int(best[seed])],
                y=[float(seeds.loc[best[seed], seed])],
                mode="markers",
                showlegend=False,
                hoverinfo="skip",
                marker={
                    "color": look.colour,
                    "symbol": look.symbol,
                    "size": 9,
                    "line": {"color": INK.light, "width": 1},
                },
            )
    return styled(figure, PANEL)


def _seed_line(figure: go.Figure, values: pd.Series, i: int, of_method: Look) -> None:
    own = seed_look(i, of_method)
    figure.add_scatter(
        x=values.dropna().index.tolist(),
        y=values.dropna().tolist(),
        mode="lines",
        name=f"seed {values.name}",
        showlegend=False,
        line={"color": own.colour, "dash": own.dash, "width": 1.6},
        hovertemplate=f"seed {values.name}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
    )


def diagnostic(seeds: pd.DataFrame, look: Look) -> go.Figure:
    """What a method reports besides, a line per seed."""
    figure = go.Figure()
    for i, seed in enumerate(seeds.columns):
        _seed_line(figure, seeds[seed], i, look)
    figure.add_hline(y=0, line={"color": NEUTRAL.light, "width": 1})
    return styled(figure, PANEL)


def dfr_path(rows: pd.DataFrame, objective: str, look: Look) -> go.Figure:
    """The validation objective at each C that was tried on one network, a line per seed, the chosen C large.

    Args:
        rows: of the table ``dfr_path``.
        objective: the column that chose C.
        look: the refit's.
    """
    figure = go.Figure()
    for i, (seed, path) in enumerate(rows.sort_values("C").groupby("seed", dropna=False)):
        own = seed_look(i, look)
        # The pretrained network has no seed, which makes the others 0.0, 1.0, ….
        name = "no seed" if pd.isna(seed) else f"seed {path['seed'].iloc[0]:.0f}"
        figure.add_scatter(
            x=plain(path["C"]),
            y=plain(path[objective]),
            mode="lines+markers",
            name=name,
            showlegend=False,
            line={"color": own.colour, "dash": own.dash, "width": 1.6},
            marker={
                "symbol": own.symbol,
                "size": [12 if each else 5 for each in path["chosen"]],
                "line": {"color": INK.light, "width": [1.5 if each else 0 for each in path["chosen"]]},
            },
            hovertemplate=f"{name}, C %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    styled(figure, PANEL)
    figure.update_xaxes(type="log", dtick=1)
    return figure
