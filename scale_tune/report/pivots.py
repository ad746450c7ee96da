"""An ablation as text for a terminal, in fractions, and as LaTeX for a paper, in percent."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from rich.console import Group
from rich.table import Table

from scale_tune.analysis.ablation import Ablation
from scale_tune.analysis.cells import Cell
from scale_tune.analysis.contrasts import Contrast, Contrasts
from scale_tune.analysis.panels import Panel
from scale_tune.analysis.published import Comparison
from scale_tune.report.text import latex_escaped, latex_table
from scale_tune.tables.labels import METRICS, mean_and_std, percent, shortened

T = TypeVar("T")
BESIDE = ("ours", "published", "difference", "95 % interval")


def pivot_tables(ablation: Ablation) -> Iterator[Group]:
    """A titled table for each method, with the mean ± the sample standard deviation over seeds, or ``missing``.

    Of one row alone, a table with a row for each method.
    """
    axes = ablation.axes
    if axes.at is not None:
        n = _n(ablation.panels)
        title = f"{METRICS[ablation.metric]} by {axes.cols} at {axes.rows} = {shortened(axes.at)}, mean ± std"
        title += _over(n, ablation.panels)
        rows = {panel.name: [panel.at(axes.at, col) for col in ablation.col_values] for panel in ablation.panels}
        yield _text_table(title, "method", ablation.col_values, rows, partial(_text, n=n))
        return
    for panel in ablation.panels:
        n = _n([panel])
        title = f"{panel.name}: {METRICS[ablation.metric]} by {axes.rows} × {axes.cols}, mean ± std{_over(n, [panel])}"
        yield _text_table(title, axes.rows, panel.cols, _rows(panel), partial(_text, n=n))


def contrast_tables(found: Contrasts) -> Iterator[Group]:
    """A titled table for each pair of methods, with the mean difference and, below it, its interval."""
    for panel in found.panels:
        title = f"{panel.name}: {METRICS[found.metric]} by {found.axes.rows} × {found.axes.cols}, [95 % interval]"
        yield _text_table(title, found.axes.rows, panel.cols, _rows(panel), _contrast_text)


def beside_tables(found: Comparison) -> Iterator[Group]:
    """A titled table for each method: a line for each cell, ours and the published one."""
    for panel in found.panels:
        table = Table()
        for name in (found.axes.rows, found.axes.cols, *BESIDE):
            table.add_column(name, justify="right")
        for (row, col), cell in panel.cells.items():
            published = "–" if cell.published is None else f"{cell.published:.3f}"
            difference = (cell.missing or "–") if cell.difference is None else f"{cell.difference:+.3f}"
            values = (_text(cell.ours, cell.ours.seeds), published, difference, _interval(cell.ends))
            table.add_row(shortened(row), shortened(col), *values)
        yield Group(f"{panel.name}: {METRICS[found.publication.metric]}, this run's beside the published one", table)


def pivot_latex(ablation: Ablation) -> str:
    """All methods as one LaTeX table, which needs the package booktabs; accuracies are in percent."""
    axes, n = ablation.axes, _n(ablation.panels)
    caption = (
        rf"{METRICS[ablation.metric].capitalize()} accuracy in \%, mean $\pm$ standard deviation"
        rf"{_over(n, ablation.panels)}, by {latex_escaped(axes.rows)} and {latex_escaped(axes.cols)}"
    )
    if axes.at is not None:
        rows = {panel.name: [panel.at(axes.at, col) for col in ablation.col_values] for panel in ablation.panels}
        block = _latex_block("Method", ablation.col_values, rows, partial(_latex, n=n))
        caption += f", at {latex_escaped(axes.rows)} {latex_escaped(shortened(axes.at))}"
        return _latex_pivot([("", block)], axes.cols, caption, len(ablation.col_values))
    blocks = [
        (panel.name, _latex_block(axes.rows, panel.cols, _rows(panel), partial(_latex, n=n)))
        for panel in ablation.panels
    ]
    return _latex_pivot(blocks, axes.cols, caption, max((len(panel.cols) for panel in ablation.panels), default=1))


def contrast_latex(found: Contrasts) -> str:
    """All differences as one LaTeX table, likewise, in percentage points."""
    axes = found.axes
    blocks = [
        (panel.name, _latex_block(axes.rows, panel.cols, _rows(panel), _contrast_latex)) for panel in found.panels
    ]
    caption = (
        rf"Difference in {METRICS[found.metric]} accuracy in percentage points, with its 95\,\% interval, "
        rf"by {latex_escaped(axes.rows)} and {latex_escaped(axes.cols)}"
    )
    return _latex_pivot(blocks, axes.cols, caption, max((len(panel.cols) for panel in found.panels), default=1))


def beside_latex(found: Comparison) -> str:
    """All methods as one LaTeX table, likewise, with a line for each cell."""
    axes = found.axes
    lines: list[str] = []
    for panel in found.panels:
        lines += [r"\midrule"] * bool(lines) + [rf"\multicolumn{{6}}{{l}}{{{latex_escaped(panel.name)}}} \\"]
        for (row, col), cell in panel.cells.items():
            published = "--" if cell.published is None else f"${percent(cell.published)}$"
            difference = "--" if cell.difference is None else f"${100 * cell.difference:+.1f}$"
            values = (shortened(row), shortened(col), _latex(cell.ours, cell.ours.seeds), published, difference)
            lines.append(" & ".join([*values, _latex_interval(cell.ends)]) + r" \\")
    header = [axes.rows, axes.cols, *(name.capitalize() for name in BESIDE)]
    caption = (
        rf"{METRICS[found.publication.metric].capitalize()} accuracy in \%, this run's mean $\pm$ standard deviation "
        "over seeds beside the published mean; the interval of the difference is that of this run's mean."
    )
    return latex_table("rrcccc", " & ".join(map(latex_escaped, header)), lines, caption)


def _n(panels: Sequence[Panel[Cell]]) -> int:
    """N of most means; the larger one of two that are as frequent, 0 without any mean."""
    counts = Counter(cell.seeds for panel in panels for cell in panel.cells.values() if cell.mean is not None)
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _over(n: int, panels: Sequence[Panel[Cell]]) -> str:
    differ = any(cell.seeds not in (0, n) for panel in panels for cell in panel.cells.values())
    return f" over {n} seed{'s' * (n != 1)}" * (n > 0) + ", or as (n) says" * differ


def _rows(panel: Panel[T]) -> dict[str, list[T | None]]:
    return {shortened(row): [panel.at(row, col) for col in panel.cols] for row in panel.rows}


def _text_table(
    title: str, corner: str, cols: Sequence[Any], rows: dict[str, list[T | None]], text: Callable[[T | None], str]
) -> Group:
    table = Table()
    table.add_column(corner, no_wrap=True)
    for col in cols:
        table.add_column(shortened(col), justify="right")
    for name, cells in rows.items():
        table.add_row(name, *map(text, cells))
    return Group(title, table)  # a table's own title would be as narrow as the table


def _latex_block(
    corner: str, cols: Sequence[Any], rows: dict[str, list[T | None]], text: Callable[[T | None], str]
) -> list[list[str]]:
    header = [latex_escaped(each) for each in (corner, *map(shortened, cols))]
    return [header, *([latex_escaped(name), *map(text, cells)] for name, cells in rows.items())]


def _latex_pivot(blocks: Sequence[tuple[str, list[list[str]]]], cols: str, caption: str, columns: int) -> str:
    """Blocks below each other, each with its name above it, filled up to as many columns."""
    lines: list[str] = []
    for name, rows in blocks:
        lines += [r"\midrule"] * bool(lines)
        if name:
            title = latex_escaped(name).replace("−", "$-$")
            lines.append(rf"\multicolumn{{{columns + 1}}}{{l}}{{{title}}} \\")
        lines += [" & ".join([*row, *[""] * (columns + 1 - len(row))]) + r" \\" for row in rows]
    header = rf" & \multicolumn{{{columns}}}{{c}}{{{latex_escaped(cols)}}}"
    return latex_table("l" + "c" * columns, header, lines, caption + ".")


def _text(cell: Cell | None, n: int) -> str:
    if cell is None or cell.mean is None:
        return "missing"
    return mean_and_std(cell.mean, cell.std) + f" ({cell.seeds})" * (cell.seeds != n)


def _latex(cell: Cell | None, n: int) -> str:
    if cell is None or cell.mean is None:
        return "missing"
    spread = "" if cell.std is None else rf" \pm {percent(cell.std)}"
    return f"${percent(cell.mean)}{spread}$" + f" ({cell.seeds})" * (cell.seeds != n)


def _contrast_text(cell: Contrast | None) -> str:
    if cell is None or cell.difference is None:
        return "missing"
    return f"{cell.difference:+.3f}\n{_interval(cell.ends)}"


def _contrast_latex(cell: Contrast | None) -> str:
    if cell is None or cell.difference is None:
        return "missing"
    return f"${100 * cell.difference:+.1f}$ {_latex_interval(cell.ends)}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "no interval" if ends is None else f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def _latex_interval(ends: tuple[float, float] | None) -> str:
    return "--" if ends is None else f"$[{percent(ends[0])}, {percent(ends[1])}]$"
