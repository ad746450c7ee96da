"""An ablation as text for a terminal and as LaTeX for a paper."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table

from scale_tune.analysis.ablation import Ablation
from scale_tune.report.text import latex_escaped, latex_mean, latex_table
from scale_tune.tables.labels import METRICS, mean_and_std, shortened


def pivot_tables(ablation: Ablation) -> Iterator[Group]:
    """A titled table for each method, with the mean ± the sample standard deviation over seeds, or ``missing``."""
    n = "" if ablation.seeds is None else f" over {ablation.seeds} seeds"
    what = f"{METRICS[ablation.metric]} by {ablation.rows} × {ablation.cols}"
    for panel in ablation.panels:
        title = f"{panel.name}: {what}, mean ± std{n}"
        table = Table()
        table.add_column(ablation.rows, no_wrap=True)
        for col in panel.cols:
            table.add_column(shortened(col), justify="right", no_wrap=True)
        for row in panel.rows:
            table.add_row(shortened(row), *(_text(panel.at(row, col), ablation) for col in panel.cols))
        yield Group(title, table)  # a table's own title would be as narrow as the table


def pivot_latex(ablation: Ablation) -> str:
    """All methods as one LaTeX table, which needs the package booktabs; accuracies are in percent."""
    columns = max((len(panel.cols) for panel in ablation.panels), default=1)
    lines: list[str] = []
    for panel in ablation.panels:
        empty = [""] * (columns - len(panel.cols))
        lines += [r"\midrule"] * bool(lines)
        lines.append(rf"\multicolumn{{{columns + 1}}}{{l}}{{{latex_escaped(panel.name)}}} \\")
        values = [latex_escaped(shortened(col)) for col in panel.cols]
        lines.append(" & ".join([latex_escaped(ablation.rows), *values, *empty]) + r" \\")
        for row in panel.rows:
            cells = [_latex(panel.at(row, col), ablation) for col in panel.cols]
            lines.append(" & ".join([latex_escaped(shortened(row)), *cells, *empty]) + r" \\")
    n = "$n$" if ablation.seeds is None else f"$n = {ablation.seeds}$"
    caption = (
        rf"{METRICS[ablation.metric].capitalize()} accuracy in \%, mean $\pm$ standard deviation over {n} seeds, "
        rf"by {latex_escaped(ablation.rows)} and {latex_escaped(ablation.cols)}."
    )
    header = rf" & \multicolumn{{{columns}}}{{c}}{{{latex_escaped(ablation.cols)}}}"
    return latex_table("l" + "c" * columns, header, lines, caption)


def _text(cell: dict[str, Any], ablation: Ablation) -> str:
    if cell["seeds"] == 0:
        return "missing"
    return mean_and_std(cell["mean"], cell["std"]) + f" ({cell['seeds']})" * (ablation.seeds is None)


def _latex(cell: dict[str, Any], ablation: Ablation) -> str:
    if cell["seeds"] == 0:
        return "missing"
    as_row = {f"{ablation.metric}_{stat}": cell[stat] for stat in ("mean", "std")}
    return latex_mean(as_row, ablation.metric) + f" ({cell['seeds']})" * (ablation.seeds is None)
