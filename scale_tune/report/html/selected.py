"""The sections on the selected trials."""

from collections.abc import Iterable

import pandas as pd

from scale_tune.analysis.entries import refit_name
from scale_tune.ranking import best_first
from scale_tune.report.html import data, lines, marks
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import Column, PrintedTable, is_missing
from scale_tune.report.html.parts import Section, ShownFigure, label, seeds_in_words, seeds_table, words
from scale_tune.report.html.style import looks_of, on_one_scale
from scale_tune.tables.labels import METRICS, reported
from scale_tune.tables.schemas import Row, rows_of

MAX_PATHS = 6
"""DFR's path is drawn for this many networks and protocols, the best on val first."""


def validation_against_test(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """Whether validation promised what test kept."""
    accuracy = analysed.spec.objective.value
    judged = data.validation_against_test(analysed.tables["trials"], accuracy)
    title = "Validation against test"
    if judged.empty:
        lead = "No trial has been judged on test yet; that is done when a trial has run to its end."
        return Section(id="validation", title=title, lead=lead)
    columns = [
        Column("trial", "trial"),
        *(Column(column, METRICS[column], "estimate") for column in reported(accuracy)),
    ]
    looks = looks_of(analysed)
    figure = marks.validation_against_test(judged, accuracy, shown, looks)
    named = f"{words(accuracy).capitalize()} accuracy"
    methods = list(dict.fromkeys(judged["method"]))
    return Section(
        id="validation",
        title=title,
        lead="Every trial that ran to its end; the selected ones are large. Below the dotted line, validation promised "
        "more than test kept. Test is read once per trial, and never chooses.",
        figures=[
            ShownFigure("validation-figure", named, figure, f"{named} of each trial on validation and test", methods)
        ],
        folded=[PrintedTable("validation-table", "The trials that were judged on test", columns, judged, "trial")],
    )


def curves(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """How each seed's accuracy went."""
    epochs, groups = analysed.tables["epochs"], analysed.tables["groups"]
    accuracy = analysed.spec.objective.value
    looks = looks_of(analysed)
    drawn: list[ShownFigure] = []
    printed: dict[str, pd.DataFrame] = {}
    for method, trial, selected in shown.itertuples(index=False):
        seeds = data.per_seed(epochs, trial, accuracy)
        if seeds.empty:
            continue
        of = f"{method} ({label(trial, selected, data.dataset_of(analysed, trial))})"
        figure = lines.learning_curves(seeds, data.best_epochs(groups, trial), looks[method])
        alt = f"{words(accuracy).capitalize()} accuracy of {method} on validation by epoch and seed"
        drawn.append(ShownFigure(f"epochs-{method}", of, figure, alt, of=method))
        printed[of] = seeds
    title = f"{words(accuracy).capitalize()} accuracy over epochs"
    if not drawn:
        return Section(id="epochs", title=title, lead="No trial has completed an epoch yet.")
    on_one_scale(figure.figure for figure in drawn)
    return Section(
        id="epochs",
        title=title,
        lead="Validation accuracy of each method’s trial by epoch, all on one scale. A line per seed: "
        f"{_seeds(printed.values())}. A mark is the epoch whose weights are kept, the first with the best accuracy.",
        figures=drawn,
        multiples=True,
        folded=[seeds_table("epochs-table", "Validation accuracy by epoch and seed", printed)],
    )


def _seeds(shown: Iterable[pd.DataFrame]) -> str:
    """How the lines are told apart, of the frame with the most seeds."""
    return seeds_in_words(max((list(frame.columns) for frame in shown), key=len))


def diagnostics(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """Whatever the methods report of their training: of each name a row of panels on one scale."""
    looks = looks_of(analysed)
    by_name: dict[str, list[ShownFigure]] = {}
    printed: dict[str, pd.DataFrame] = {}
    for method, trial, selected in shown.itertuples(index=False):
        for i, (name, seeds) in enumerate(data.diagnostics(analysed.tables["diagnostics"], trial).items()):
            of = f"{name}, {method} ({label(trial, selected, data.dataset_of(analysed, trial))})"
            figure = lines.diagnostic(seeds, looks[method])
            shown_as = ShownFigure(
                f"diagnostics-{method}-{i}", of, figure, f"{name} of {method} by epoch and seed", of=method
            )
            by_name.setdefault(name, []).append(shown_as)
            printed[of] = seeds
    for of_name in by_name.values():
        on_one_scale(each.figure for each in of_name)
    lead = (
        "Means over the steps of each epoch, of each method’s trial, what has one name on one scale. A line per seed: "
        f"{_seeds(printed.values())}."
        if printed
        else "No method of this run reports anything besides its accuracies, or none has completed an epoch yet."
    )
    return Section(
        id="diagnostics",
        title="What the methods report besides",
        lead=lead,
        figures=[each for of_name in by_name.values() for each in of_name],
        multiples=True,
        folded=[seeds_table("diagnostics-table", "By epoch and seed", printed)] if printed else [],
    )


def dfr(analysed: Analysis) -> Section:
    """Every refitted checkpoint, and the path over C of the best ones."""
    rows, title = analysed.tables["dfr"], "DFR: the last layer refitted"
    if rows.empty:
        lead = "No last layer was refitted: DFR takes an erm trial that ran to its end, whose features are then kept."
        return Section(id="dfr", title=title, lead=lead)
    rows = rows.assign(network=_networks(rows))
    rows = rows.assign(key=[_refit_name(row) for row in rows_of(rows)])
    columns = [
        Column("network", "features of"),
        Column("protocol", "protocol"),
        Column("seed", "seed", "integer"),
        Column("status", "status"),
        Column("C", "chosen C", "value"),
        *(Column(column, METRICS[column], "accuracy") for column in reported(analysed.spec.objective.value)),
    ]
    drawn, path = _dfr_paths(analysed)
    return Section(
        id="dfr",
        title=title,
        lead="L1 logistic regression on the frozen features of a network. C, the inverse strength of the penalty, is "
        f"chosen by {words(analysed.spec.objective)} accuracy on validation, for each seed; the chosen one is large. "
        f"Drawn are the best {len(drawn)} on validation, over C on one scale, a line per seed.",
        figures=drawn,
        multiples=True,
        folded=[PrintedTable("dfr-table", "Each refitted network", columns, rows, "key"), *path],
    )


def _refit_name(row: Row) -> str:
    seed = "" if is_missing(row["seed"]) else f", seed {row['seed']:.0f}"
    return f"{row['network']}, {row['protocol']}{seed}"


def _networks(rows: pd.DataFrame) -> pd.Series:
    """Of which network the features are: a trial's, or the pretrained one's."""
    return rows["trial"].fillna(rows["features"])


def _dfr_paths(analysed: Analysis) -> tuple[list[ShownFigure], list[PrintedTable]]:
    path = analysed.tables["dfr_path"]
    if path.empty:
        return [], []
    objective = f"val_{analysed.spec.objective}"
    path = path.assign(network=_networks(path))
    chosen = path[path["chosen"]].groupby(["network", "protocol"], sort=False)[objective].mean()
    best = chosen.index[best_first(chosen)[:MAX_PATHS]]
    looks, drawn = looks_of(analysed), []
    for i, (network, protocol) in enumerate(best):
        rows = path[(path["network"] == network) & (path["protocol"] == protocol)]
        method = refit_name(rows["trial"].iloc[0], rows["features"].iloc[0], protocol)
        figure = lines.dfr_path(rows, objective, looks[method])
        alt = f"Validation accuracy by C, {protocol} protocol"
        drawn.append(ShownFigure(f"dfr-path-{i}", f"{method}, features of {network}", figure, alt, of=method))
    on_one_scale(shown.figure for shown in drawn)
    columns = [
        Column("network", "features of"),
        Column("protocol", "protocol"),
        Column("seed", "seed", "integer"),
        Column("C", "C", "value"),
        Column("chosen", "chosen"),
        Column(objective, f"validation {words(analysed.spec.objective)}", "accuracy"),
    ]
    keys = [f"{_refit_name(row)}, C {row['C']:g}" for row in rows_of(path)]
    rows = path.assign(key=keys, chosen=path["chosen"].map({True: "chosen", False: ""}))
    return drawn, [PrintedTable("dfr-path-table", "Every C that was tried", columns, rows, "key")]
