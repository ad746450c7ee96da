"""The section on what the search cost: epochs and hours, by method."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.parts import Section, ShownFigure
from scale_tune.report.html.style import NEUTRAL, Look, looks_of, styled, text

KINDS = ("complete", "pruned", "other")
"""What became of the trials that hours went to; other ones failed or are running."""

UNITS = {"hours": 1, "minutes": 60}
"""How many make an hour."""


def cost(analysed: Analysis) -> pd.DataFrame:
    """What each method has cost, in the spec's order.

    Returns:
        Columns ``method``, ``complete``, ``pruned``, ``other`` (numbers of trials), ``epochs`` (of all seeds of all
        trials), ``preparation`` (likewise, before those that count), ``hours`` of training and validation,
        ``hours_complete``, ``hours_pruned`` and ``hours_other`` of them, ``share`` of all methods' hours, and
        ``epoch_seconds``, of one seed's epoch.
    """
    trials = analysed.tables["trials"]
    kinds = trials["state"].where(trials["state"].isin(KINDS), "other")
    # Seeds that diverged have fewer epochs than their trial, so they are counted and not multiplied.
    epochs = analysed.tables["epochs"]
    trained = epochs.drop_duplicates(["trial", "seed", "epoch"]).groupby("trial").size()
    # In a race, the seeds that joined have prepared as well.
    in_lockstep = [
        analysed.spec.seeds_in(method, epochs)
        for method, epochs in zip(trials["method"], trials["epochs"], strict=True)
    ]
    begun = np.maximum(trials["seeds"].fillna(0) + trials["diverged"].fillna(0), in_lockstep)
    own = pd.DataFrame(
        {
            "method": trials["method"],
            "epochs": trials["trial"].map(trained).fillna(0).astype(int),
            "preparation": (trials["preparation"].fillna(0) * begun).astype(int),
            "hours": trials["seconds"].fillna(0) / 3600,
        }
    )
    for kind in KINDS:
        own[kind] = (kinds == kind).astype(int)
        own[f"hours_{kind}"] = own["hours"].where(kinds == kind, 0.0)
    found = own.groupby("method").sum().reindex(list(analysed.spec.methods), fill_value=0).reset_index()
    all_hours = found["hours"].sum()
    return found.assign(
        share=found["hours"] / all_hours if all_hours else None,
        epoch_seconds=3600 * found["hours"] / found["epochs"].where(found["epochs"] > 0),
    )


def section(analysed: Analysis) -> Section:
    """How much was trained for each method."""
    rows = cost(analysed)
    if not rows["epochs"].sum():
        return Section(id="cost", title="Cost", lead="No trial has completed an epoch yet.")
    looks, unit = looks_of(analysed), _unit(rows)
    prepared, unfinished = bool(rows["preparation"].sum()), bool(rows["hours_other"].sum())
    columns = [
        Column("method", "method", "method"),
        Column("time", unit, "value"),
        Column("share", "share of all", "accuracy"),
        Column("time_pruned", f"{unit} of pruned trials", "value"),
        Column("epochs", "epochs, all seeds", "integer"),
        *([Column("preparation", "epochs of preparation", "integer")] if prepared else []),
        Column("epoch_seconds", "seconds per epoch", "value"),
        Column("complete", "complete trials", "integer"),
        Column("pruned", "pruned", "integer"),
        Column("other", "failed or not ended", "integer"),
    ]
    lead = (
        f"{rows['hours'].sum() * UNITS[unit]:,.1f} {unit} of training and validation, {rows['epochs'].sum():,} epochs "
        "of single seeds, added up over workers: two trials at once take half of that by the clock. The pale part of a "
        f"bar went to trials that were pruned{', its grey part to those that failed or have not ended' * unfinished}. "
        f"Not timed are refits{' and epochs of preparation, which trials may share' * prepared}."
    )
    shown = rows.assign(
        look=rows["method"].map(looks), time=rows["hours"] * UNITS[unit], time_pruned=rows["hours_pruned"] * UNITS[unit]
    )
    table = PrintedTable("cost-table", "Cost by method", columns, shown, "method")
    title = f"{unit.capitalize()} by method"
    figure = ShownFigure("cost-figure", title, bars(rows, looks), f"{unit.capitalize()} of training of each method")
    return Section(id="cost", title="Cost", lead=lead, figures=[figure], tables=[table])


def bars(rows: pd.DataFrame, looks: Mapping[str, Look]) -> go.Figure:
    """A bar of hours for each method, by what became of the trials."""
    methods = rows["method"].tolist()
    unit = _unit(rows)
    colours = {"other": NEUTRAL.light}
    figure = go.Figure()
    for kind in KINDS:
        figure.add_bar(
            y=[text(method) for method in methods],
            x=(rows[f"hours_{kind}"] * UNITS[unit]).tolist(),
            orientation="h",
            name=kind,
            showlegend=False,
            marker={
                "color": [colours.get(kind, looks[method].colour) for method in methods],
                "opacity": 0.4 if kind == "pruned" else 1,
            },
            hovertemplate=f"%{{y}}, {'failed or not ended' if kind == 'other' else kind}: "
            f"%{{x:.3g}} {unit}<extra></extra>",
        )
    styled(figure, 70 + 26 * len(methods), unit, barmode="stack", bargap=0.3)
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    return figure


def _unit(rows: pd.DataFrame) -> str:
    return "hours" if rows["hours"].max() >= 1 else "minutes"
