"""What is said of a comparison in a terminal beside its table, and the comparison as LaTeX, in percent."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table

from scale_tune.analysis.intervals import SPLITS
from scale_tune.analysis.knowledge import by_knowledge
from scale_tune.analysis.winners import WinnersMap, Won
from scale_tune.tables.labels import METRICS, percent, reported, selecting

Row = dict[Any, Any]

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def winners_table(winners: WinnersMap) -> Group:
    """Which method wins on each kind of data: its accuracy on test, and its margins below.

    Where a method could not win, since it has a result on other data alone, a mark says so, which is told below.
    """
    won = [of for row in winners.cells.values() for of in row.values()]
    lacking = list(dict.fromkeys(of.lacking for of in won if of.lacking))
    marks = {methods: str(number).translate(_RAISED) for number, methods in enumerate(lacking, 1)}
    table = Table()
    heads = [""] * bool(winners.rows)  # one row alone has no name
    for col in (*heads, *winners.col_values):
        table.add_column(col, justify="right" if col else "left")
    for row, cells in winners.cells.items():
        table.add_row(*[row] * len(heads), *(_won(cells.get(col), marks) for col in winners.col_values))
    accuracy = winners.objective.replace("_", "-")
    axes = " × ".join(filter(None, (winners.rows, winners.cols)))
    title = (
        f"winners by {axes}, chosen by val {accuracy}: test {accuracy}, and how far above the second on val and test "
        "(? not sure)"
    )
    below = [f"{mark} no result here, but on other data: {', '.join(methods)}" for methods, mark in marks.items()]
    return Group(title, table, *below)


def _won(won: Won | None, marks: dict[tuple[str, ...], str]) -> str:
    if won is None:
        return "–"
    text = f"{won.method}{marks.get(won.lacking, '')}\n{won.test:.3f}"
    if won.val_margin is None or won.test_margin is None:
        return text
    return f"{text}\n{won.val_margin:+.3f} {won.test_margin:+.3f}{'?' * (not won.sure)}"


def difference_lines(differences: pd.DataFrame, accuracy: str) -> list[str]:
    """How the first method differs on test from the others in an accuracy, as ``scale − erm: +0.06 [0.01, 0.11] …``.

    It is the first of each dataset and kind of seeds. What differences from several others have in common stands above
    them, once.
    """
    rows = differences[differences["accuracy"] == accuracy]
    first = rows.groupby(["dataset", "seeds_kind"], sort=False)[["run", "method"]].transform("first")
    of_first = rows[(rows["run"] == first["run"]) & (rows["method"] == first["method"])]
    several_runs = pd.concat([rows["run"], rows["other_run"]]).nunique() > 1
    several_datasets = rows["dataset"].nunique() > 1
    alike: dict[tuple[str, str, str], list[tuple[str, Row]]] = {}
    for row in of_first.to_dict("records"):
        one, other = (row[f"{which}method"] + f" of {row[f'{which}run']}" * several_runs for which in ("", "other_"))
        on = f" on {row['dataset']}" * several_datasets
        over = f"on test {accuracy.replace('_', '-')} over {_pairs(row)}"
        over += ", too few for an interval" * bool(pd.isna(row["low"]))
        alike.setdefault((one, on, over), []).append((other, row))
    return [line for (one, on, over), others in alike.items() for line in _against(one, on, over, others)]


def _against(one: str, on: str, over: str, others: list[tuple[str, Row]]) -> Iterator[str]:
    """One method against others, by the same seeds: a line for each, below one that says what they have in common."""
    if len(others) == 1:
        ((other, row),) = others
        sure = "" if _is_sure(row) else ": not sure"
        yield f"{one} − {other}{on}: {row['difference']:+.3f}{_interval(row)} {over}{sure}"
        return
    yield f"{one} − …{on}, {over}:"
    names, intervals = max(len(other) for other, _ in others), max(len(_interval(row)) for _, row in others)
    for other, row in others:
        sure = "" if _is_sure(row) else "  not sure"
        yield f"  {other:<{names}}  {row['difference']:+.3f}{_interval(row):<{intervals}}{sure}".rstrip()


def _interval(row: Row) -> str:
    return "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"


def _is_sure(row: Row) -> bool:
    """Whether 0 is outside of the interval; where there is none, something else says so."""
    return pd.isna(row["low"]) or not row["low"] <= 0 <= row["high"]


def _pairs(row: Row) -> str:
    """What both methods share, as ``3 shared seeds and their splits``."""
    seeds, splits = row["seeds"], " and their splits" if row["paired_over"] == SPLITS else ""
    return f"{seeds} shared seed{'s' * (seeds != 1)}{splits}"


def comparison_latex(comparison: pd.DataFrame) -> str:
    """The comparison as a LaTeX table, which needs the package booktabs.

    A cell has the mean ± the sample standard deviation over the seeds, in percent; the highest mean of a column on a
    dataset is bold. The interval is that of the mean on test of the accuracy that selected, which comes first. Methods
    are grouped by what they know. It is as wide as the text of a page, in small letters.
    """
    shown = reported(selecting(comparison))
    several_runs = comparison["run"].nunique() > 1
    several_datasets = comparison["dataset"].nunique() > 1
    splits, accuracies = zip(*(METRICS[name].capitalize().split(" ", 1) for name in shown), strict=True)
    above = [""] * (several_runs + 1) + [*splits, r"95\,\%", "", "", ""]
    header = ["Run"] * several_runs + ["Method", *accuracies, "interval", "$n$", "$h$", "$e$"]
    lines: list[str] = []
    for dataset, rows in comparison.groupby("dataset", sort=False):
        if several_datasets:
            lines += [r"\midrule"] * bool(lines) + [_across(header, latex_escaped(dataset))]
        best = {name: percent(rows[f"{name}_mean"].max()) for name in shown}
        for i, (heading, of_group) in enumerate(by_knowledge(rows)):
            lines += [r"\midrule"] * (i > 0 or several_datasets)
            lines.append(_across(header, rf"\emph{{{latex_escaped(heading)}}}"))
            for row in of_group.to_dict("records"):
                names = [latex_escaped(row["run"])] * several_runs + [latex_escaped(row["method"])]
                cells = [latex_mean(row, name, bold=percent(row[f"{name}_mean"]) == best[name]) for name in shown]
                counts = [_latex_count(row[name]) for name in ("seeds", "own_hyperparameters", "epochs_spent")]
                lines.append(" & ".join([*names, *cells, _latex_interval(row, shown[1]), *counts]) + r" \\")
    caption = (
        r"Accuracy in \%: mean $\pm$ standard deviation over $n$ seeds of the config with the best validation "
        rf"objective, and a 95\,\% interval of the mean {METRICS[shown[1]]} accuracy; $h$: hyperparameters of the "
        "method's own that were searched; $e$: epochs that each seed was trained for."
    )
    alignment = "l" * (1 + several_runs) + "c" * (len(shown) + 1) + "rrr"
    titles = " & ".join(above) + " \\\\\n" + " & ".join(header)
    return latex_table(alignment, titles, lines, caption, style=(r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"))


def latex_table(alignment: str, header: str, lines: Sequence[str], caption: str, style: Sequence[str] = ()) -> str:
    """A floating table for the package booktabs; the style is commands before the table."""
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            *style,
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


def _across(header: Sequence[str], text: str) -> str:
    """A row of one cell."""
    return rf"\multicolumn{{{len(header)}}}{{l}}{{{text}}} \\"


def _latex_count(value: Any) -> str:
    return "--" if pd.isna(value) else f"{value:.0f}"


def _latex_interval(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "--" if pd.isna(low) else f"$[{percent(low)}, {percent(high)}]$"
