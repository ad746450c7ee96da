"""Comparisons as text for a terminal, in fractions, and as LaTeX for a paper, in percent."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table

from scale_tune.analysis.intervals import SPLITS
from scale_tune.analysis.winners import WinnersMap, Won
from scale_tune.tables.labels import METRICS, mean_and_std, percent, reported, selecting

Row = dict[Any, Any]

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def winners_table(winners: WinnersMap) -> Group:
    """Which method wins on each kind of data: its accuracy on test, and its margins below."""
    table = Table()
    table.add_column("")
    for col in winners.col_values:
        table.add_column(col, justify="right")
    for row, cells in winners.cells.items():
        table.add_row(row, *(_won(cells.get(col)) for col in winners.col_values))
    accuracy = winners.objective.replace("_", "-")
    axes = " × ".join(filter(None, (winners.rows, winners.cols)))
    title = (
        f"winners by {axes}, chosen by val {accuracy}: test {accuracy}, and how far above the second on val and test "
        "(? not sure)"
    )
    return Group(title, table)


def _won(won: Won | None) -> str:
    if won is None:
        return "–"
    text = f"{won.method}\n{won.test:.3f}"
    if won.val_margin is None or won.test_margin is None:
        return text
    return f"{text}\n{won.val_margin:+.3f} {won.test_margin:+.3f}{'?' * (not won.sure)}"


def comparison_tables(comparison: pd.DataFrame) -> Iterator[Table]:
    """The comparison for a terminal, a table for each dataset.

    A cell has the mean ± the sample standard deviation over the seeds and, below, the 95 % interval of the mean. The
    accuracy that selected comes first. Of several runs, each row names its run below the method.
    """
    shown = reported(selecting(comparison))
    several_runs = comparison["run"].nunique() > 1
    several_datasets = comparison["dataset"].nunique() > 1
    for dataset, rows in comparison.groupby("dataset", sort=False):
        table = Table(title=str(dataset) if several_datasets else None, title_justify="left")
        table.add_column("method", overflow="fold")
        for title in (*map(METRICS.__getitem__, shown), "n seeds"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("trial", no_wrap=True)
        for row in rows.to_dict("records"):
            cells = [_cell(row, name) for name in shown]
            absent = "–" if row["seeds"] else "none eligible"
            trial = absent if pd.isna(row["trial"]) else row["trial"]
            method = row["method"] + f"\n{row['run']}" * several_runs
            table.add_row(method, *cells, str(row["seeds"]), trial)
        table.caption = _caption(rows)
        yield table


def difference_lines(differences: pd.DataFrame, accuracy: str) -> list[str]:
    """How the first method differs on test from the others in an accuracy, as ``scale − erm: +0.06 [0.01, 0.11]``.

    It is the first of each dataset and kind of seeds.
    """
    rows = differences[differences["accuracy"] == accuracy]
    first = rows.groupby(["dataset", "seeds_kind"], sort=False)[["run", "method"]].transform("first")
    of_first = rows[(rows["run"] == first["run"]) & (rows["method"] == first["method"])]
    several_runs = pd.concat([rows["run"], rows["other_run"]]).nunique() > 1
    several_datasets = rows["dataset"].nunique() > 1
    lines = []
    for row in of_first.to_dict("records"):
        one, other = (row[f"{which}method"] + f" of {row[f'{which}run']}" * several_runs for which in ("", "other_"))
        on = f" on {row['dataset']}" * several_datasets
        lines.append(
            f"{one} − {other}{on}: {row['difference']:+.3f}{_interval(row)} "
            f"on test {accuracy.replace('_', '-')} over {_pairs(row)}{_doubt(row)}"
        )
    return lines


def _caption(rows: pd.DataFrame) -> str:
    """What a cell has, and why some have no interval."""
    lacking = rows["val_average_low"].isna()
    interval = [", [95 % interval of the mean]"] * (not lacking.all())
    reasons = [f"; {reason}" for reason in rows.loc[lacking, "interval"].dropna().unique()]
    return "".join(["mean ± standard deviation over n seeds", *interval, *reasons])


def _interval(row: Row) -> str:
    return "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"


def _doubt(row: Row) -> str:
    if pd.isna(row["low"]):
        return ", too few for an interval"
    return ": not sure" if row["low"] <= 0 <= row["high"] else ""


def _pairs(row: Row) -> str:
    """What both methods share, as ``3 shared seeds and their splits``."""
    seeds, splits = row["seeds"], " and their splits" if row["paired_over"] == SPLITS else ""
    return f"{seeds} shared seed{'s' * (seeds != 1)}{splits}"


def comparison_latex(comparison: pd.DataFrame) -> str:
    """The comparison as a LaTeX table, which needs the package booktabs.

    A cell has the mean ± the sample standard deviation over the seeds, in percent; the highest mean of a column on a
    dataset is bold. The interval is that of the mean on test of the accuracy that selected, which comes first.
    """
    shown = reported(selecting(comparison))
    several_runs = comparison["run"].nunique() > 1
    several_datasets = comparison["dataset"].nunique() > 1
    accuracies = [METRICS[name].capitalize() for name in shown]
    header = ["Run"] * several_runs + ["Method", *accuracies, r"95\,\% interval", "$n$"]
    lines: list[str] = []
    for dataset, rows in comparison.groupby("dataset", sort=False):
        if several_datasets:
            lines += [r"\midrule"] * bool(lines) + [
                rf"\multicolumn{{{len(header)}}}{{l}}{{{latex_escaped(dataset)}}} \\"
            ]
        best = {name: percent(rows[f"{name}_mean"].max()) for name in shown}
        for row in rows.to_dict("records"):
            names = [latex_escaped(row["run"])] * several_runs + [latex_escaped(row["method"])]
            cells = [latex_mean(row, name, bold=percent(row[f"{name}_mean"]) == best[name]) for name in shown]
            interval = _latex_interval(row, shown[1])
            lines.append(" & ".join([*names, *cells, interval, str(row["seeds"])]) + r" \\")
    caption = (
        r"Accuracy in \%: mean $\pm$ standard deviation over $n$ seeds of the config with the best validation "
        rf"objective, and a 95\,\% interval of the mean {METRICS[shown[1]]} accuracy."
    )
    alignment = "l" * (1 + several_runs) + "c" * (len(shown) + 1) + "r"
    return latex_table(alignment, " & ".join(header), lines, caption)


def latex_table(alignment: str, header: str, lines: Sequence[str], caption: str) -> str:
    """A floating table for the package booktabs."""
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            header + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def latex_mean(row: Row, name: str, *, bold: bool = False) -> str:
    """The mean ± standard deviation of this accuracy in percent, or a dash."""
    mean, std = row[f"{name}_mean"], row[f"{name}_std"]
    if pd.isna(mean):
        return "--"
    text = rf"\mathbf{{{percent(mean)}}}" if bold else percent(mean)
    return f"${text}$" if pd.isna(std) else rf"${text} \pm {percent(std)}$"


def latex_escaped(text: object) -> str:
    """Text in which nothing is a command of LaTeX."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: _LATEX[match[0]], str(text))


def _cell(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    text = mean_and_std(row[f"{name}_mean"], row[f"{name}_std"])
    return text if pd.isna(low) else f"{text}\n[{low:.3f}, {high:.3f}]"


def _latex_interval(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "--" if pd.isna(low) else f"$[{percent(low)}, {percent(high)}]$"
