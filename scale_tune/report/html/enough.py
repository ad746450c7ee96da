"""The section on whether the search was large enough, and what a smaller one would have found."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from scale_tune.analysis.entries import RunTables
from scale_tune.economy.bands import band
from scale_tune.economy.budgets import expected, spread_out
from scale_tune.economy.findings import Economy, economy_of
from scale_tune.economy.panel import Outcome, Panel
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.parts import Section, ShownFigure, words
from scale_tune.report.html.style import Look, looks_of, styled

ORDERS = 200
"""In which searches are replayed here; analyze.py economy takes more."""
MOST_REPLAYED, MOST_TOLD = 150, 1_000
"""Trials of a run that is replayed here, and of one of which anything is told here: within a second or two."""
MOST_POINTS = 12
"""Of a budget curve."""
TOLD = 3
"""Sentences of a kind; there are as many as methods and kinds of data."""


def section(analysed: Analysis) -> Section:
    """What a search cost and what less would have found; or why that is not known."""
    tables = RunTables(name=analysed.name, spec=analysed.spec, tables=dict(analysed.tables))
    trials = len(analysed.tables["trials"])
    if trials > MOST_TOLD:
        lead = f"A search of more than {MOST_TOLD:,} trials takes minutes to be replayed: analyze.py economy does it."
        return Section(id="enough", title="Was it enough?", lead=lead)
    found = economy_of(tables, orders=ORDERS, brief=True, replayed=trials <= MOST_REPLAYED)
    looks = looks_of(analysed)
    printed = [*_policies(found, looks), *_ranks(found, looks)]
    return Section(
        id="enough",
        title="Was it enough?",
        lead="\n".join(f"{sentence}." for sentence in _sentences(found)) or "No trial has run to its end yet.",
        figures=[*_budget_figures(found, analysed, looks), *_cost_figures(found, looks)],
        tables=printed[:1],
        folded=printed[1:],
    )


def _sentences(found: Economy) -> Iterator[str]:
    if found.panel is not None:
        yield f"Of the smaller searches that were replayed: {found.panel.sentence}"
    elif found.draws:
        yield f"A search of more than {MOST_REPLAYED} trials is not replayed here: analyze.py economy does it"
    yield from _first(found.warnings)
    yield from _first(list(found.leading))
    for apart in found.apart[:1]:
        yield from apart.said
    yield from _first(found.notes)


def _first(sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:TOLD]
    if len(sentences) > TOLD:
        yield f"{len(sentences) - TOLD} more of this kind are told by analyze.py economy"


def _budget_figures(found: Economy, analysed: Analysis, looks: Mapping[str, Look]) -> Iterator[ShownFigure]:
    """For each kind of data, what searches of more and more random trials find on average."""
    objective = words(analysed.spec.objective)
    for number, dataset in enumerate(dict.fromkeys(curves.dataset for curves, _ in found.draws)):
        figure, methods = go.Figure(), []
        for curves, drawn in found.draws:
            if curves.dataset != dataset:
                continue
            methods.append(curves.method)
            numbers = spread_out(drawn.trials, MOST_POINTS)
            means = [expected(drawn, n).val for n in numbers]
            ends = [(n * drawn.epochs, band(drawn, n, "val")) for n in numbers]
            known = [(x, of.low, of.high) for x, of in ends if of.low is not None]
            look = looks[curves.method]
            if known:
                outline = [*known, *reversed(known)]
                figure.add_scatter(
                    x=[x for x, *_ in outline],
                    y=[*(low for _, low, _ in known), *(high for *_, high in reversed(known))],
                    fill="toself",
                    fillcolor=look.colour,
                    opacity=0.15,
                    mode="none",
                    hoverinfo="skip",
                    showlegend=False,
                )
            figure.add_scatter(
                x=[n * drawn.epochs for n in numbers],
                y=means,
                mode="lines+markers",
                name=curves.method,
                text=[f"{n} trial{'s' * (n != 1)}" for n in numbers],
                line={"color": look.colour, "dash": look.dash, "width": 1.6},
                marker={"symbol": look.symbol, "size": 6},
                hovertemplate=f"{curves.method}, %{{text}}: %{{y:.3f}}<extra></extra>",
                showlegend=False,
            )
        styled(figure, 300, "epochs of a search, each of as many seeds as a trial has")
        figure.update_xaxes(type="log")
        title = f"Best {objective} on val expected of a random search" + _on(dataset, found)
        yield ShownFigure(f"budgets-{number}", title, figure, title, methods)


def _cost_figures(found: Economy, looks: Mapping[str, Look]) -> Iterator[ShownFigure]:
    """For each kind of data, what the policies cost and lose that are the best at their price."""
    panel = found.panel
    if panel is None:
        return
    for number, dataset in enumerate(dict.fromkeys(of[0].curves.dataset for of in panel.outcomes)):
        figure, methods = go.Figure(), []
        for outcomes, front in zip(panel.outcomes, panel.fronts, strict=True):
            if outcomes[0].curves.dataset != dataset:
                continue
            method = outcomes[0].curves.method
            methods.append(method)
            shown = sorted({*front, panel.recommended}, key=lambda i: outcomes[i].share.mean)
            look = looks[method]
            figure.add_scatter(
                x=[outcomes[i].share.mean for i in shown],
                y=[outcomes[i].val_loss.mean for i in shown],
                mode="lines+markers",
                text=[_named(outcomes[i]) for i in shown],
                line={"color": look.colour, "dash": look.dash, "width": 1.2},
                marker={"symbol": look.symbol, "size": [12 if i == panel.recommended else 6 for i in shown]},
                hovertemplate=f"{method}, %{{text}}: %{{x:.2f}} of the epochs, loses %{{y:.3f}}<extra></extra>",
                showlegend=False,
            )
        styled(figure, 300, "share of the epochs spent", "mean loss on val")
        title = "What smaller searches cost and lose; the recommended one is large" + _on(dataset, found)
        yield ShownFigure(f"policies-{number}", title, figure, title, methods)


def _on(dataset: str, found: Economy) -> str:
    return f", {dataset}" if len({curves.dataset for curves, _ in found.ranks}) > 1 else ""


def _named(outcome: Outcome) -> str:
    policy = outcome.policy
    trials = policy.trials(len(outcome.curves.trials))
    return f"{policy.name}, {trials} trial{'s' * (trials != 1)}, {policy.seeds} seed{'s' * (policy.seeds != 1)}"


def _policies(found: Economy, looks: Mapping[str, Look]) -> Iterator[PrintedTable]:
    """The whole search, the recommended one, one with half of the trials and one of a single seed, for each method."""
    panel = found.panel
    if panel is None:
        return
    shown = [i for i, policy in enumerate(panel.policies) if policy.is_to_the_end or i == panel.recommended]
    rows = [
        {
            "method": outcome.curves.method,
            "look": looks[outcome.curves.method],
            "about": outcome.curves.method + _on(outcome.curves.dataset, found),
            "key": f"{outcome.curves.method}, {outcome.curves.dataset}, {_named(outcome)}",
            "policy": _named(outcome) + ", recommended" * (i == panel.recommended and i > 0),
            "spent": round(outcome.share.mean * _whole(panel, number)),
            "share": outcome.share.mean,
            "found": outcome.found,
            "near": outcome.near,
            "val_loss": outcome.val_loss.mean,
            "test_loss": outcome.test_loss.mean,
        }
        for number, outcomes in enumerate(panel.outcomes)
        for i in shown
        for outcome in [outcomes[i]]
    ]
    columns = [
        Column("policy", "search"),
        Column("spent", "epochs, all seeds", "integer"),
        Column("share", "share of the epochs", "accuracy"),
        Column("found", "winner found", "accuracy"),
        Column("near", "within a standard error", "accuracy"),
        Column("val_loss", "loss on val", "accuracy"),
        Column("test_loss", "loss on test", "accuracy"),
    ]
    orders = panel.outcomes[0][0].orders
    caption = f"What smaller searches would have found, replayed in {orders} random orders"
    yield PrintedTable("enough-table", caption, columns, pd.DataFrame(rows), "key", "about")


def _whole(panel: Panel, number: int) -> int:
    return int(panel.outcomes[number][0].curves.trained.sum())


def _ranks(found: Economy, looks: Mapping[str, Look]) -> Iterator[PrintedTable]:
    rows = [
        {
            "key": curves.method + _on(curves.dataset, found),
            "look": looks[curves.method],
            "first": float(ranks.correlation[0]),
            "first_low": float(ranks.low[0]),
            "first_high": float(ranks.high[0]),
            "trusted": ranks.trusted_from,
            "visible": ranks.visible_from(3),
            "epochs": ranks.epochs,
        }
        for curves, ranks in found.ranks
    ]
    columns = [
        Column("key", "method", "method"),
        Column("first", "rank correlation of epoch 1 with the end", "accuracy"),
        Column("first_low", "lower end", "accuracy"),
        Column("first_high", "upper end", "accuracy"),
        Column("trusted", "above 0 for sure from epoch", "integer"),
        Column("visible", "winner in the best third from epoch", "integer"),
        Column("epochs", "epochs of a trial", "integer"),
    ]
    if rows:
        yield PrintedTable("ranks-table", "How early ranks foretell the end", columns, pd.DataFrame(rows), "key")
