"""The figures of an ablation, of differences in it, and of it beside published numbers, as lines or as heat maps."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from matplotlib.figure import Figure

from scale_tune.analysis.ablation import Ablation
from scale_tune.analysis.cells import Cell
from scale_tune.analysis.contrasts import Contrast, Contrasts
from scale_tune.analysis.panels import Panel
from scale_tune.analysis.published import Beside, Comparison
from scale_tune.report.ablation_heatmap import heatmap
from scale_tune.report.ablation_lines import lines
from scale_tune.report.drawing import Drawn, Series, figure_files
from scale_tune.tables.labels import METRICS

T = TypeVar("T")
INCLUDES_0 = "95 % interval includes 0"
"""What a heat map marks."""
Plot = Literal["lines", "heatmap"]


def ablation_figure(ablation: Ablation, plot: Plot) -> dict[str, bytes]:
    """The means by format; as lines with their deviations over seeds as bars."""
    series = _series(ablation.panels, _mean)
    return _files(series, ablation.axes.rows, ablation.axes.cols, METRICS[ablation.metric], plot)


def contrast_figure(found: Contrasts, plot: Plot) -> dict[str, bytes]:
    """The differences by format, with their intervals: bars of lines, or marks of the cells whose interval holds 0."""
    label = f"difference in {METRICS[found.metric]}"
    return _files(_series(found.panels, _difference), found.axes.rows, found.axes.cols, label, plot, differences=True)


def beside_figure(found: Comparison, plot: Plot) -> dict[str, bytes]:
    """Ours and the published numbers by format: lines hollow and dashed for the latter, heat maps of the difference."""
    rows, cols, metric = found.axes.rows, found.axes.cols, METRICS[found.publication.metric]
    if plot == "heatmap":
        series = _series(found.panels, _difference)
        return _files(series, rows, cols, f"difference in {metric} to the published", plot, differences=True)
    series = _series(found.panels, lambda cell: _mean(cell.ours))
    theirs = _series(found.panels, lambda cell: Drawn(value=cell.published), published=True)
    return _files([*series, *theirs], rows, cols, metric, plot)


def _files(
    series: Sequence[Series], rows: str, cols: str, label: str, plot: Plot, *, differences: bool = False
) -> dict[str, bytes]:
    def draw() -> Figure:
        if plot == "heatmap":
            unit = "percentage points" if differences else "%"
            return heatmap(series, rows, cols, f"{label}, {unit}", diverging=differences)
        return lines(series, rows, cols, label, zero=differences)

    return figure_files(draw)


def _series(panels: Sequence[Panel[T]], drawn: Callable[[T], Drawn], *, published: bool = False) -> list[Series]:
    found = []
    for look, panel in enumerate(panels):
        cells = {place: drawn(cell) for place, cell in panel.cells.items()}
        shown = Panel(name=panel.name, rows=panel.rows, cols=panel.cols, cells=cells)
        if not published or any(cell.value is not None for cell in cells.values()):
            found.append(Series(panel=shown, look=look, published=published))
    return found


def _mean(cell: Cell) -> Drawn:
    if cell.mean is None or cell.std is None:
        return Drawn(value=cell.mean)
    return Drawn(value=cell.mean, bar=(cell.mean - cell.std, cell.mean + cell.std))


def _difference(cell: Contrast | Beside) -> Drawn:
    mark = "" if cell.sure or cell.difference is None else "no interval" if cell.ends is None else INCLUDES_0
    return Drawn(value=cell.difference, bar=cell.ends, mark=mark)
