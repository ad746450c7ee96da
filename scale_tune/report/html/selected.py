"""The sections on the selected trials."""

from typing import Any

import pandas as pd

from scale_tune.ranking import best_first
from scale_tune.report.html import data, lines, marks
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import Column, PrintedTable, is_missing
from scale_tune.report.html.parts import Section, ShownFigure, label, seeds_table, words
from scale_tune.report.html.style import looks_of
from scale_tune.tables.schemas import Row, rows_of

MAX_PATHS = 6
"""DFR's path is drawn for this many networks and protocols, the best on val first."""


def validation_against_test(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """Whether validation promised what test kept."""
    judged = data.validation_against_test(analysed.tables["trials"])
    title = "Validation against test"
    if judged.empty:
        lead = "No trial has been judged on test yet; that is done when a trial has run to its end."
        return Section(id="validation", title=title, lead=lead)
    columns = [
        Column("trial", "trial"),
        Column("val_worst_group", "validation worst-group", "estimate"),
        Column("test_worst_group", "test worst-group", "estimate"),
        Column("test_average", "test average", "estimate"),
    ]
    figure = marks.validation_against_test(judged, shown, looks_of(analysed.spec.methods))
    return Section(
        id="validation",
        title=title,
        lead="Every trial that ran to its end; the selected ones are large. Below the dotted line, validation promised "
        "more than test kept. Test is read once per trial, and never chooses.",
        figures=[ShownFigure("validation-figure", "Worst-group accuracy", figure, "Validation and test of each trial")],
        folded=[PrintedTable("validation-table", "The trials that were judged on test", columns, judged, "trial")],
    )


def groups(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """A heat map of the groups for each method."""
    drawn: list[ShownFigure] = []
    tables: list[PrintedTable] = []
    counts: dict[str, PrintedTable] = {}
    for method, trial, selected in shown.itertuples(index=False):
        split, cells = data.group_accuracies(analysed.tables["groups"], trial)
        if cells.empty:
            continue
        title = f"{method} ({label(trial, selected)}), {split}"
        alt = f"Accuracy of {method} by label and attribute on {split}"
        drawn.append(ShownFigure(f"groups-{method}", title, marks.heat_map(cells), alt))
        tables.append(_cells_table(f"groups-{method}-table", title, cells, "accuracy", "accuracy"))
        counts[split] = _cells_table(f"groups-{split}-counts", f"Samples of {split}", cells, "n", "integer")
    lead = (
        "Accuracy by label (down) and attribute (across) at each seed's best epoch, the seeds pooled. Dark is low; the "
        "scale runs from 0 to 1 for all. Those of refitted layers are in groups.parquet."
        if drawn
        else "No trial has been evaluated yet."
    )
    return Section(id="groups", title="Accuracy by group", lead=lead, figures=drawn, folded=[*tables, *counts.values()])


def _cells_table(id_: str, title: str, cells: pd.DataFrame, values: str, kind: Any) -> PrintedTable:
    table = cells.pivot(index="label", columns="attribute", values=values)
    table.columns = [f"attribute {column}" for column in table.columns]
    columns = [Column("label", "label"), *(Column(c, c, kind) for c in table.columns)]
    return PrintedTable(id_, title, columns, table.reset_index(), "label")


def curves(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """How each seed's worst group went."""
    epochs, groups = analysed.tables["epochs"], analysed.tables["groups"]
    curves = []
    for method, trial, selected in shown.itertuples(index=False):
        seeds = data.per_seed(epochs, trial, "worst_group")
        if len(seeds):
            curves.append((method, label(trial, selected), seeds, data.best_epochs(groups, trial)))
    if not curves:
        return Section(id="epochs", title="Worst group over epochs", lead="No trial has completed an epoch yet.")
    figure = lines.learning_curves(curves, looks_of(analysed.spec.methods))
    tables = [seeds_table(f"epochs-{m}-table", f"{m} ({trial})", seeds) for m, trial, seeds, _ in curves]
    return Section(
        id="epochs",
        title="Worst group over epochs",
        lead="Validation accuracy of each method's trial, a line per seed. A mark is the epoch whose weights are kept: "
        f"the first with the seed's best {words(analysed.spec.objective)} accuracy.",
        figures=[ShownFigure("epochs-figure", "By seed", figure, "Worst-group accuracy on validation by epoch")],
        folded=tables,
    )


def diagnostics(analysed: Analysis, shown: pd.DataFrame) -> Section:
    """Whatever the methods report of their training."""
    title, drawn, tables = "What the methods report besides", [], []
    for method, trial, selected in shown.itertuples(index=False):
        for i, (name, seeds) in enumerate(data.diagnostics(analysed.tables["diagnostics"], trial).items()):
            id_ = f"diagnostics-{method}-{i}"
            of = f"{method}, {name} ({label(trial, selected)})"
            drawn.append(ShownFigure(id_, of, lines.diagnostic(seeds, name), f"{name} of {method} by epoch and seed"))
            tables.append(seeds_table(f"{id_}-table", of, seeds))
    lead = (
        "Means over the steps of each epoch, of each method's trial, a line per seed."
        if drawn
        else "No method of this run reports anything besides its accuracies, or none has completed an epoch yet."
    )
    return Section(id="diagnostics", title=title, lead=lead, figures=drawn, folded=tables)


def dfr(analysed: Analysis) -> Section:
    """Every refitted checkpoint, and the path over C of the best ones."""
    rows, title = analysed.tables["dfr"], "DFR: the last layer refitted"
    if rows.empty:
        lead = "DFR has not been fitted: it needs a completed erm trial that kept its weights."
        return Section(id="dfr", title=title, lead=lead)
    rows = rows.assign(network=_networks(rows))
    rows = rows.assign(key=[_refit_name(row) for row in rows_of(rows)])
    columns = [
        Column("network", "features of"),
        Column("protocol", "protocol"),
        Column("seed", "seed", "integer"),
        Column("status", "status"),
        Column("C", "chosen C", "value"),
        Column("val_worst_group", "validation worst-group", "accuracy"),
        Column("test_worst_group", "test worst-group", "accuracy"),
        Column("test_average", "test average", "accuracy"),
    ]
    drawn, path = _dfr_paths(analysed)
    return Section(
        id="dfr",
        title=title,
        lead="L1 logistic regression on the frozen features of a network. C, the inverse strength of the penalty, is "
        f"chosen by {words(analysed.spec.objective)} accuracy on validation, for each seed; the chosen one is large.",
        figures=drawn,
        tables=[PrintedTable("dfr-table", "Each refitted network", columns, rows, "key")],
        folded=path,
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
    drawn = []
    for i, (network, protocol) in enumerate(best):
        rows = path[(path["network"] == network) & (path["protocol"] == protocol)]
        figure = lines.dfr_path(rows, objective, f"{words(analysed.spec.objective)} accuracy, val")
        alt = f"Validation accuracy by C, {protocol} protocol"
        drawn.append(ShownFigure(f"dfr-path-{i}", f"{network}, {protocol} protocol", figure, alt))
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
