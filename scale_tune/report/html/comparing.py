"""The section that compares the methods."""

import pandas as pd

from scale_tune.analysis.verdicts import with_result
from scale_tune.report.html import estimates
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.parts import Section, ShownFigure
from scale_tune.tables.schemas import Row, rows_of

MAX_DRAWN_ROWS = 30
"""A comparison of more rows is printed and not drawn."""


def comparison(analysed: Analysis) -> Section:
    """The selected trials side by side, and the differences between them."""
    rows = analysed.comparison
    pairs = analysed.differences[analysed.differences["accuracy"] == "worst_group"]
    drawn = with_result(rows)
    shown = []
    if 0 < len(drawn) <= MAX_DRAWN_ROWS:
        names = [_row_name(rows, row) for row in rows_of(drawn)]
        alt = "Accuracies of the selected trial of each method, with intervals"
        shown.append(ShownFigure("comparison-figure", "The selected trials", estimates.comparison(drawn, names), alt))
    if 0 < len(pairs) <= MAX_DRAWN_ROWS:
        names = [_pair_name(rows, row) for row in rows_of(pairs)]
        alt = "Differences between methods on the worst group of test, with intervals"
        shown.append(ShownFigure("differences-figure", "Differences", estimates.differences(pairs, names), alt))
    lead = (
        "The trial of each method that validation selected: mean ± sample standard deviation over its seeds, and the "
        "95 % interval of the mean. Validation is optimistic, since it has done the choosing."
        if len(drawn)
        else "No method has a trial that may be selected: one that ran to its end with every seed."
    )
    tables = (
        [_comparison_table(rows)] + ([_differences_table(pairs, rows)] if len(pairs) else []) + [_selection_table(rows)]
    )
    return Section(id="comparison", title="Comparison", lead=lead, figures=shown, tables=tables if len(rows) else [])


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


def _comparison_table(rows: pd.DataFrame) -> PrintedTable:
    rows = rows.assign(key=[_row_name(rows, row) for row in rows_of(rows)])
    columns = [
        Column("method", "method"),
        *(Column(c, c) for c in ("run", "dataset") if _several(rows, c)),
        Column("test_worst_group", "test worst-group", "estimate"),
        Column("val_worst_group", "validation worst-group", "estimate"),
        Column("test_average", "test average", "estimate"),
        Column("val_average", "validation average", "estimate"),
        Column("seeds", "seeds", "integer"),
    ]
    return PrintedTable("comparison-table", "Mean ± standard deviation, and 95 % interval", columns, rows, "key")


def _selection_table(rows: pd.DataFrame) -> PrintedTable:
    names = [_row_name(rows, row) for row in rows_of(rows)]
    absent = rows["trial"].isna() & (rows["seeds"] == 0)
    rows = rows.assign(key=names, trial=rows["trial"].mask(absent, "none selectable"))
    columns = [
        Column("key", "method"),
        Column("trial", "selected trial"),
        Column("config", "its hyperparameters"),
        Column("eligible", "selectable", "integer"),
        Column("trials", "of trials", "integer"),
        Column("selected_by", "selected by validation"),
    ]
    return PrintedTable("selection-table", "What was selected", columns, rows, "key")


def _differences_table(pairs: pd.DataFrame, rows: pd.DataFrame) -> PrintedTable:
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
    return PrintedTable(
        "differences-table", "Differences in test worst-group accuracy, and 95 % intervals", columns, pairs, "key"
    )
