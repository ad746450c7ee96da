"""What a section of the page is made of."""

from collections.abc import Sequence
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


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page. One that has nothing to show says why."""

    id: str
    title: str
    lead: str
    figures: Sequence[ShownFigure] = ()
    tables: Sequence[PrintedTable] = ()
    folded: Sequence[PrintedTable] = ()
    """Tables that a click unfolds."""
    details: dict[str, Any] = field(default_factory=dict)
    """What only this section's part of the template knows."""


def words(name: str) -> str:
    """A name of the tables as it stands in a sentence."""
    return name.replace("_", "-")


def label(trial: str, selected: bool) -> str:
    """A trial, and whether it counts."""
    return trial if selected else f"{trial}, best so far, not selectable"


def seeds_table(id_: str, title: str, seeds: pd.DataFrame) -> PrintedTable:
    """A row per epoch, a column per seed."""
    named = seeds.rename(columns=lambda seed: f"seed {seed}")
    named.columns.name = None
    columns = [Column("epoch", "epoch", "integer"), *(Column(c, c, "accuracy") for c in named.columns)]
    return PrintedTable(id_, title, columns, named.reset_index(), "epoch")
