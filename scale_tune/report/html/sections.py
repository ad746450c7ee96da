"""What stands where on the page."""

from typing import Any

from scale_tune.analysis.selection import eligible, leading
from scale_tune.analysis.verdicts import verdicts
from scale_tune.analysis.winners import winners_map
from scale_tune.report.html import comparing, data, searching, selected
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import is_missing
from scale_tune.report.html.parts import Section, words
from scale_tune.report.html.style import looks_of

SHOWN_RIVALS = 5
"""Methods that the first screen compares the winner with; the others are to be unfolded."""


def sections(analysed: Analysis) -> list[Section]:
    """All of them, in the order of the page."""
    shown = leading(analysed.tables["trials"])
    return [
        comparing.comparison(analysed),
        selected.validation_against_test(analysed, shown),
        selected.groups(analysed, shown),
        selected.curves(analysed, shown),
        searching.history(analysed),
        searching.hyperparameters(analysed),
        selected.diagnostics(analysed, shown),
        selected.dfr(analysed),
        searching.failures(analysed),
        searching.trials(analysed),
        searching.reproduce(analysed),
    ]


def view(analysed: Analysis) -> dict[str, Any]:
    """What the first screen says."""
    trials = analysed.tables["trials"]
    progress = data.progress(trials, analysed.spec)
    compared = (analysed.comparison, analysed.differences)
    found = verdicts(analysed.name, *compared)
    winners = winners_map(analysed.name, analysed.spec, trials, *compared)
    refits = [] if winners is None else [method for method, _ in winners.wins if method not in analysed.spec.methods]
    return {
        "name": analysed.name,
        "made": f"{analysed.made:%Y-%m-%d %H:%M %Z}",
        "spec": analysed.spec,
        "objective": words(analysed.spec.objective),
        "progress": progress,
        "asked": int(progress["asked"].sum()),
        "ended": int(progress[list(data.ENDED)].sum().sum()),
        "counts": progress.drop(columns="method").sum().to_dict(),
        "winners": winners,
        "looks": looks_of([*analysed.spec.methods, *refits]),
        "verdicts": [(verdict, _config(analysed, verdict.winner["trial"])) for verdict in found],
        "eligible": len(eligible(trials)),
        "reasons": data.failures(trials),
        "warnings": analysed.warnings,
        "methods": list(analysed.spec.methods),
        "shown_rivals": SHOWN_RIVALS,
    }


def _config(analysed: Analysis, trial: str | None) -> dict[str, Any]:
    if is_missing(trial):  # a pretrained network has none
        return {}
    return data.config_of(analysed.tables["trials"], str(trial), analysed.spec)
