"""What a section of the page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from scale_tune.report.html.markup import Column, PrintedTable


@dataclass(frozen=True)
class ShownFigure:
    """A figure, its title, and what a reader who doesn't see it is told."""

    id: str
    title: str
    figure: go.Figure
    alt: str
    methods: Sequence[str] = ()
    """Those that it tells apart by their looks without naming them: they stand above it."""
    of: str | None = None
    """The method that it is about, if it is about one: its mark stands before the title."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page. One that has nothing to show says why."""

    id: str
    title: str
    lead: str
    """What it tells first; each line is a paragraph."""
    figures: Sequence[ShownFigure] = ()
    more_figures: Sequence[ShownFigure] = ()
    """Figures of the same kind that a click unfolds."""
    multiples: bool = False
    """Whether the figures are small multiples, which stand side by side as many as there is room for."""
    tables: Sequence[PrintedTable] = ()
    folded: Sequence[PrintedTable] = ()
    """Tables that a click unfolds."""
    details: dict[str, Any] = field(default_factory=dict)
    """What only this section's part of the template knows."""


def words(name: str) -> str:
    """A name of the tables as it stands in a sentence."""
    return name.replace("_", "-")


def label(trial: str, selected: bool, dataset: str = "") -> str:
    """A trial, whether it counts, and what it was trained on where the run has several kinds of data."""
    return trial + ", best so far, not selectable" * (not selected) + f", on {dataset}" * bool(dataset)


def seeds_table(id_: str, title: str, curves: Mapping[str, pd.DataFrame]) -> PrintedTable:
    """A row per epoch, a column per seed.

    Args:
        id_: of the table.
        title: its caption.
        curves: by the heading that each stands below, a frame with a row per epoch and a column per seed.
    """
    frames = []
    for heading, seeds in curves.items():
        named = seeds.rename(columns=lambda seed: f"seed {seed}").reset_index()
        frames.append(named.assign(heading=heading, key=[f"{heading}, {epoch}" for epoch in named["epoch"]]))
    rows = pd.concat(frames, ignore_index=True)
    of_seeds = [str(column) for column in rows.columns if str(column).startswith("seed ")]
    columns = [Column("epoch", "epoch", "integer"), *(Column(name, name, "accuracy") for name in of_seeds)]
    return PrintedTable(id_, title, columns, rows, "key", "heading")


def seeds_in_words(seeds: Sequence[object]) -> str:
    """How the lines of seeds are told apart, as ``seed 0 solid, seed 1 dashed``."""
    return ", ".join(f"seed {seed} {DASHES[i % len(DASHES)]}" for i, seed in enumerate(seeds))


DASHES = ("solid", "dashed", "dotted", "dash-dotted", "in long dashes")
"""Of seeds, in words; see :data:`scale_tune.report.html.style.DASHES`."""
