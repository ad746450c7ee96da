"""The section that compares the methods."""

from collections.abc import Mapping, Sequence

import pandas as pd

from scale_tune.analysis.knowledge import by_knowledge
from scale_tune.analysis.verdicts import with_result
from scale_tune.report.html import estimates
from scale_tune.report.html.data import Analysis, in_order
from scale_tune.report.html.labelled import labelled
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.parts import Section, ShownFigure
from scale_tune.report.html.style import Look, looks_of
from scale_tune.tables.labels import METRICS, reported, selecting
from scale_tune.tables.schemas import Row, rows_of

MAX_DRAWN_ROWS = 30
"""A comparison of more rows is to be unfolded, and not drawn in one figure."""
MAX_DRAWN_DATASETS = 12
"""Nor is one of more datasets."""


def comparison(analysed: Analysis) -> Section:
    """The selected trials side by side; the differences between any two are to be unfolded."""
    rows = analysed.comparison.reset_index(drop=True)
    looks = looks_of(analysed)
    accuracy = selecting(rows)
    drawn = with_result(rows)
    shown = _estimates(rows, drawn, looks) + _against_information(rows, drawn, looks)
    lead = (
        "The trial of each method that validation selected: mean ± sample standard deviation over its seeds, and the "
        "95 % interval of the mean. Validation is optimistic, since it has done the choosing. In the tables, methods "
        "are grouped by the splits of which every image's group had to be known: part of a lead may be information."
        if len(drawn)
        else "No method has a trial that may be selected: one that ran to its end with every seed."
    )
    printed: list[PrintedTable] = []
    if len(rows):
        grouped = _grouped(rows).assign(look=lambda frame: frame["method"].map(looks))
        printed = [
            _comparison_table(grouped, reported(accuracy)),
            _information_table(grouped),
            _selection_table(grouped),
        ]
    pairs = analysed.differences[analysed.differences["accuracy"] == accuracy]
    folded = [_differences_table(pairs, rows, accuracy)] if len(pairs) else []
    if len(rows) > MAX_DRAWN_ROWS:
        printed, folded = [], printed + folded
    return Section(id="comparison", title="Comparison", lead=lead, figures=shown, tables=printed, folded=folded)


def _estimates(rows: pd.DataFrame, drawn: pd.DataFrame, looks: Mapping[str, Look]) -> list[ShownFigure]:
    """Of each dataset the methods' accuracies; nothing where there are too many to be read."""
    on_val, on_test, *_, average = reported(selecting(rows))
    columns = list(dict.fromkeys([on_test, on_val, average]))
    by_dataset = {str(name): of_data for name, of_data in drawn.groupby("dataset", sort=False)}
    if len(by_dataset) > MAX_DRAWN_DATASETS or any(len(of_data) > MAX_DRAWN_ROWS for of_data in by_dataset.values()):
        return []
    found = []
    for i, dataset in enumerate(in_order(by_dataset)):
        of_data = by_dataset[dataset]
        on = dataset if _several(rows, "dataset") else "The selected trials"
        names = [_row_name(of_data, row) for row in rows_of(of_data)]
        alt = f"{on}: accuracies of the selected trial of each method, with intervals"
        found.append(
            ShownFigure(f"comparison-figure-{i}", on, estimates.comparison(of_data, names, columns, looks), alt)
        )
    return found


def _against_information(rows: pd.DataFrame, drawn: pd.DataFrame, looks: Mapping[str, Look]) -> list[ShownFigure]:
    """Of each dataset on which methods differ in what they know."""
    found: list[ShownFigure] = []
    if len(drawn) > MAX_DRAWN_ROWS:
        return found
    column = reported(selecting(rows))[1]
    for i, (dataset, of_data) in enumerate(drawn.groupby("dataset", sort=False)):
        if of_data["group_labelled"].nunique() > 1:
            names = pd.Series([_row_name(of_data, row) for row in rows_of(of_data)], index=of_data.index)
            of = f" of {dataset}" * _several(rows, "dataset")
            title = f"Accuracy against information{of}; bold: best on validation"
            alt = f"{METRICS[column]} accuracy{of} of each method by the number of images whose group had to be known"
            found.append(ShownFigure(f"labelled-figure-{i}", title, labelled(of_data, names, column, looks), alt))
    return found


def _grouped(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows by dataset and by what methods know, with the heading of each such group and the name of each row."""
    rows = rows.assign(key=[_row_name(rows, row) for row in rows_of(rows)])
    found = []
    for dataset in in_order(rows["dataset"]):
        of_data = rows[rows["dataset"] == dataset]
        on = f"{dataset}, " * _several(rows, "dataset")
        found += [of_group.assign(group=f"{on}{heading}") for heading, of_group in by_knowledge(of_data)]
    return pd.concat(found)


def _several(rows: pd.DataFrame, column: str) -> bool:
    return rows[column].nunique() > 1


def _row_name(rows: pd.DataFrame, row: Row) -> str:
    names = [row["method"], *(row[c] for c in ("run", "dataset") if _several(rows, c))]
    return " · ".join(names)


def _pair_name(rows: pd.DataFrame, pair: Row) -> str:
    def name(prefix: str) -> str:
        run = f" ({pair[prefix + 'run']})" if _several(rows, "run") else ""
        return f"{pair[f'{prefix}method']}{run}"

    return f"{name('')} − {name('other_')}" + (f" · {pair['dataset']}" if _several(rows, "dataset") else "")


def _comparison_table(rows: pd.DataFrame, accuracies: Sequence[str]) -> PrintedTable:
    on_val, on_test, *others = accuracies
    columns = [
        Column("method", "method", "method"),
        *(Column(c, c) for c in ("run", "dataset") if _several(rows, c)),
        *(Column(column, METRICS[column], "estimate") for column in (on_test, on_val, *others)),
        Column("seeds", "seeds", "integer"),
    ]
    caption = "Mean ± standard deviation, and 95 % interval"
    return PrintedTable("comparison-table", caption, columns, rows, "key", "group")


def _information_table(rows: pd.DataFrame) -> PrintedTable:
    words = {True: "yes", False: "no"}
    rows = rows.assign(**{column: rows[column].map(words) for column in ("train_attributes", "val_attributes")})
    columns = [
        Column("key", "method", "method"),
        Column("train_attributes", "attributes of train"),
        Column("target", "of target"),
        Column("val_attributes", "attributes of validation, to select"),
        Column("group_labelled", "images whose group had to be known", "integer"),
        Column("own_hyperparameters", "own hyperparameters searched", "integer"),
        Column("epochs_spent", "epochs of each seed", "integer"),
    ]
    return PrintedTable(
        "information-table", "What each method was told, and what it cost", columns, rows, "key", "group"
    )


def _selection_table(rows: pd.DataFrame) -> PrintedTable:
    absent = rows["trial"].isna() & (rows["seeds"] == 0)
    rows = rows.assign(trial=rows["trial"].mask(absent, "none selectable"))
    columns = [
        Column("key", "method", "method"),
        Column("trial", "selected trial"),
        Column("config", "its hyperparameters"),
        Column("eligible", "selectable", "integer"),
        Column("trials", "of trials", "integer"),
        Column("selected_by", "selected by validation"),
    ]
    return PrintedTable("selection-table", "What was selected", columns, rows, "key", "group")


def _differences_table(pairs: pd.DataFrame, rows: pd.DataFrame, accuracy: str) -> PrintedTable:
    pairs = pairs.assign(key=[_pair_name(rows, pair) for pair in rows_of(pairs)])
    columns = [
        Column("key", "methods"),
        Column("difference", "mean", "gain"),
        Column("low", "low", "gain"),
        Column("high", "high", "gain"),
        Column("seeds", "seeds", "integer"),
        Column("paired_over", "paired over"),
        Column("interval", "the interval accounts for"),
    ]
    caption = f"Any two methods: differences in {METRICS[f'test_{accuracy}']} accuracy, and 95 % intervals"
    return PrintedTable("differences-table", caption, columns, pairs, "key")
