"""The first screen: one sentence and one figure, and what they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scale_tune.analysis.selection import eligible
from scale_tune.analysis.verdicts import Verdict, verdicts
from scale_tune.analysis.winners import winners_map
from scale_tune.report.html import data, standings
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import is_missing
from scale_tune.report.html.parts import ShownFigure, words
from scale_tune.report.html.style import Look, looks_of

SHOWN_WARNINGS = 4
"""Warnings that are read at once; the others are to be unfolded."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """On one kind of data."""

    verdict: Verdict
    config: dict[str, Any]
    """Of the winner: what the search drew for it."""
    figure: ShownFigure | None
    """None where there is nothing to compare with."""
    standings: pd.DataFrame
    """What the figure shows."""


def answers(analysed: Analysis) -> list[Answer]:
    """One for each kind of data that the run searched; none if no trial may be selected."""
    looks = looks_of(analysed)
    found = verdicts(analysed.name, analysed.comparison, analysed.differences)
    by_dataset = {verdict.dataset: verdict for verdict in found}
    return [_answer(analysed, by_dataset[name], i, looks) for i, name in enumerate(data.in_order(by_dataset))]


def _answer(analysed: Analysis, verdict: Verdict, i: int, looks: Mapping[str, Look]) -> Answer:
    accuracy = analysed.spec.objective.value
    rows = standings.standings(verdict, accuracy)
    counts = rows["standing"].value_counts()
    figure = None
    if verdict.rivals:
        said = ", ".join(f"{counts[each]} {each}" for each in standings.SAID if each in counts)
        nearest = f" (the nearest {standings.MAX_ROWS} of {len(rows)})" * (len(rows) > standings.MAX_ROWS)
        hollow = "hollow: not sure; " * (standings.UNSURE in counts)
        title = (
            f"{words(accuracy).capitalize()} accuracy on test, against the winner’s{nearest}: {said}. Lines are 95 % "
            f"intervals of the difference; {hollow}bold: the winner, best on val. Right: the accuracy."
        )
        alt = f"Each method’s {words(accuracy)} accuracy on test, as a difference from the winner’s"
        figure = ShownFigure(f"answer-figure-{i}", title, standings.drawn(rows, looks), alt)
    return Answer(verdict=verdict, config=_config(analysed, verdict.winner["trial"]), figure=figure, standings=rows)


def view(analysed: Analysis, found: list[Answer]) -> dict[str, Any]:
    """What the template is told of the first screen."""
    trials = analysed.tables["trials"]
    progress = data.progress(trials, analysed.spec)
    return {
        "name": analysed.name,
        "made": f"{analysed.made:%Y-%m-%d %H:%M %Z}",
        "spec": analysed.spec,
        "accuracy": analysed.spec.objective.value,
        "objective": words(analysed.spec.objective),
        "progress": progress,
        "asked": int(progress["asked"].sum()),
        "ended": int(progress[list(data.ENDED)].sum().sum()),
        "counts": progress.drop(columns="method").sum().to_dict(),
        "winners": winners_map(analysed.name, analysed.spec, trials, analysed.comparison, analysed.differences),
        "looks": looks_of(analysed),
        "answers": found,
        "eligible": len(eligible(trials)),
        "reasons": data.failures(trials),
        "warnings": analysed.warnings,
        "shown_warnings": SHOWN_WARNINGS,
        "methods": list(analysed.spec.methods),
    }


def _config(analysed: Analysis, trial: str | None) -> dict[str, Any]:
    if is_missing(trial):  # a pretrained network has none
        return {}
    return data.config_of(analysed.tables["trials"], str(trial), analysed.spec)
