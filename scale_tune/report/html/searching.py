"""The sections on the search as a whole: its trials, what mattered, what failed, how it was made."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import yaml

from scale_tune.report.html import data, marks
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.importance import MIN_TRIALS, SHUFFLES, importances
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.parts import Section, ShownFigure, words
from scale_tune.report.html.style import looks_of, on_one_scale
from scale_tune.spec.space import RunSpec


def history(analysed: Analysis) -> Section:
    """Every trial of every method, and what became of it."""
    trials = analysed.tables["trials"]
    looks = looks_of(analysed)
    drawn = []
    for method in analysed.spec.methods:
        rows = data.history(trials, method)
        if rows["objective"].notna().any():
            figure = marks.history(rows, looks[method])
            alt = f"Objective of each {method} trial"
            drawn.append(ShownFigure(f"history-{method}", method, figure, alt, of=method))
    on_one_scale(shown.figure for shown in drawn)
    columns = [
        Column("method", "method"),
        Column("asked", "asked for", "integer"),
        Column("complete", "complete", "integer"),
        Column("pruned", "pruned", "integer"),
        Column("failed", "failed", "integer"),
        Column("running", "running", "integer"),
        Column("waiting", "waiting", "integer"),
        Column("absent", "not begun", "integer"),
    ]
    progress = data.progress(trials, analysed.spec)
    first = analysed.spec.scheduler.first_seeds
    race = f" Up to the last rung, where others join, the mean is over the first {first} of the seeds."
    race *= first is not None
    return Section(
        id="history",
        title="The search",
        lead=f"Trials in the order in which the {analysed.spec.sampler} sampler drew them, with the mean over seeds of "
        f"the best objective so far ({words(analysed.spec.objective)} accuracy on validation); all methods are on one "
        "scale. A dot is a complete trial, a grey cross one that was pruned (stopped early), with the objective it had "
        "then, a grey triangle one that failed, a grey diamond one that is running. The line is the best that may be "
        f"selected. A trial without any epoch has no mark. A click on a mark opens its trial.{race}",
        figures=drawn,
        multiples=True,
        tables=[PrintedTable("history-table", "What became of the trials", columns, progress, "method")],
    )


def hyperparameters(analysed: Analysis) -> Section:
    """How much each one mattered, and the objective along each."""
    trials, spec = analysed.tables["trials"], analysed.spec
    searched = data.parameters(spec)
    if not searched:
        return Section(id="hyperparameters", title="Hyperparameters", lead="Every hyperparameter was held constant.")
    important, looks = importances(trials, spec), looks_of(analysed)
    objective = f"objective ({words(spec.objective)}, val)"
    drawn = [
        ShownFigure(
            f"importance-{m}",
            f"Importance, {m}",
            marks.importances(rows, looks[str(m)]),
            f"Importance for {m}",
            of=str(m),
        )
        for m, rows in important.groupby("method", sort=False)
    ]
    for name, spaces in searched.items():
        if any(len(data.with_objective(trials, method)) for method in spaces):
            figure = marks.parameter_slice(trials, name, spaces, objective, looks)
            drawn.append(ShownFigure(f"slice-{name}", name, figure, f"Objective against {name}", methods=list(spaces)))
    columns = [
        Column("key", "parameter"),
        Column("importance", "importance", "accuracy"),
        Column("by_chance", "reached by chance", "accuracy"),
        Column("trials", "trials", "integer"),
    ]
    rows = important.assign(key=important["method"] + ", " + important["parameter"])
    table = PrintedTable("importance-table", "Importance", columns, rows, "key")
    return Section(
        id="hyperparameters",
        title="Hyperparameters",
        lead=_words_on_importance(important, spec),
        figures=drawn,
        tables=[table] if len(rows) else [],
    )


def _words_on_importance(important: pd.DataFrame, spec: RunSpec) -> str:
    slices = "In the slices each mark is a trial; hollow ones were pruned or failed."
    too_few = [method for method in spec.methods if method not in set(important["method"])]
    least = f"Importance needs at least {MIN_TRIALS} ended trials of a method with different objectives"
    if important.empty:
        return f"{least}, and no method has them: with fewer, it can’t be told from chance. {slices}"
    above = important[important["importance"] > important["by_chance"]]
    named = ", ".join(f"{row['parameter']} ({row['method']})" for row in above.to_dict("records"))
    others = f"{least}; fewer have {', '.join(too_few)}. " if too_few else ""
    return (
        "Importance (PED-ANOVA) is the share of what sets the best tenth of a method's trials apart. The black "
        f"line is the most that chance reached: the highest of {SHUFFLES} shuffles of the objectives. "
        f"{f'Above it: {named}.' if named else 'None is above it: no parameter is seen to matter.'} "
        f"{others}{slices}"
    )


def failures(analysed: Analysis) -> Section:
    """What went wrong, with reasons."""
    trials = analysed.tables["trials"]
    reasons, diverged = data.failures(trials), data.diverged(trials)
    columns = [
        Column("trial", "trial"),
        Column("diverged", "diverged seeds", "integer"),
        Column("seeds_asked", "of", "integer"),
        Column("epochs", "epochs", "integer"),
        Column("state", "state"),
    ]
    if reasons.empty and diverged.empty:
        lead = "No trial failed and no seed diverged."
    else:
        failed = int(reasons["count"].sum())
        lead = (
            f"{failed:,} of {len(trials):,} trials failed; in {len(diverged)} a seed diverged, which "
            "means that its loss was no longer finite. Neither may be selected."
        )
    return Section(
        id="failures",
        title="Failures",
        lead=lead,
        tables=[PrintedTable("diverged-table", "Diverged", columns, diverged, "trial")] if len(diverged) else [],
        details={"reasons": reasons.to_dict("records")},
    )


def reproduce(analysed: Analysis) -> Section:
    """The command, the versions, the data."""
    provenance = dict(analysed.provenance)
    plain = {"spec": analysed.spec.model_dump(mode="json")}
    return Section(
        id="reproduce",
        title="How to reproduce",
        lead="How this run was made. A search that is repeated draws the same hyperparameters only if its trials end "
        "in the same order; a trial's own result depends on its config, seeds and data alone.",
        details={
            "command": provenance.get("command"),
            "created": _moment(provenance["created"]) if "created" in provenance else None,
            "priors": provenance.get("priors", []),
            "resumed": [start | {"created": _moment(start["created"])} for start in provenance.get("resumed", [])],
            "commit": provenance.get("git_commit"),
            "versions": {"python": provenance.get("python"), **provenance.get("versions", {})},
            "fingerprints": _trials_by(provenance.get("fingerprints", {})),
            "spec": yaml.safe_dump(plain, sort_keys=False, allow_unicode=True),
        },
    )


def _moment(written: str) -> str:
    """As the page has other moments: ``2030-01-02 03:04 UTC``."""
    return f"{datetime.fromisoformat(written):%Y-%m-%d %H:%M %Z}"


def _trials_by(fingerprints: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for trial, fingerprint in fingerprints.items():
        found.setdefault(fingerprint, []).append(trial)
    return found
