"""Published numbers beside those of a run.

``published_numbers/`` has them: a CSV of percentages for each publication, and a YAML file of the same name that says
whose they are, of which dataset and metric, and which options of ours its columns are.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from scale_tune.analysis.ablation import Ablation
from scale_tune.analysis.axes import Axes
from scale_tune.analysis.cells import Cell, measured_of
from scale_tune.analysis.contrasts import excludes_0
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.intervals import IMAGES, intervals, kind_of_interval
from scale_tune.analysis.panels import Panel
from scale_tune.errors import UserError
from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.frozen import Frozen
from scale_tune.tables.schemas import field, table_of

DIRECTORY = Path(__file__).parent / "published_numbers"
NOT_PUBLISHED = "not published"


class Axis(Frozen):
    """How a column of the file belongs to an option of the dataset."""

    column: str
    divided_by: float = 1
    """The column is the option divided by this."""


class Publication(Frozen):
    """Numbers of a publication, and what they are of."""

    source: str
    licence: str
    dataset: str
    metric: str
    protocol: str
    """Of its DFR."""
    by: str
    """The option whose values have columns of their own."""
    axes: dict[str, Axis]
    """By option of the dataset."""
    percent: dict[tuple[str, tuple[float | None, ...]], float]
    """By method and the values of the axes; None stands for every value."""

    def fraction(self, method: str, options: dict[str, Any]) -> float | None:
        """What was published of a method at these options; None if nothing was."""
        at = tuple(round(float(options[name]) / axis.divided_by, 9) for name, axis in self.axes.items())
        for (name, known), percent in self.percent.items():
            if name == method and all(k in (None, a) for k, a in zip(known, at, strict=True)):
                return percent / 100
        return None


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A cell of a run, and the published one."""

    ours: Cell
    published: float | None = None
    ends: tuple[float, float] | None = None
    """Of the 95 % interval of the difference: that of the run's mean, since the published one has no spread."""
    missing: str | None = None
    """Why there is no difference."""

    @property
    def difference(self) -> float | None:
        """Ours minus the published one."""
        return None if self.ours.mean is None or self.published is None else self.ours.mean - self.published

    @property
    def sure(self) -> bool:
        """Whether there is an interval, and 0 is not in it."""
        return excludes_0(self.ends)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An ablation beside a publication."""

    axes: Axes
    publication: Publication
    panels: list[Panel[Beside]]
    notes: list[str]

    @cached_property
    def table(self) -> pa.Table:
        """The cells of all panels."""
        rows = [
            {
                "method": panel.name,
                self.axes.rows: row,
                self.axes.cols: col,
                **{name: getattr(cell.ours, name) for name in ("mean", "std", "seeds", "trial")},
                **{name: getattr(cell, name) for name in ("published", "difference", "missing")},
                **dict(zip(("low", "high"), cell.ends or (), strict=False)),
                "metric": self.publication.metric,
                "source": self.publication.source,
            }
            for panel in self.panels
            for (row, col), cell in panel.cells.items()
        ]
        return table_of(rows, schema(*self.axes.fields))


def schema(rows: pa.Field, cols: pa.Field) -> pa.Schema:
    """Of the table of an ablation beside published numbers."""
    return pa.schema(
        [
            field("method", pa.string(), "method, named as in ablation and in the publication"),
            rows,
            cols,
            field("mean", pa.float64(), "the run's mean over seeds; null for a missing cell", "fraction"),
            field("std", pa.float64(), "its sample standard deviation over seeds (n - 1); null for one", "fraction"),
            field("seeds", pa.int64(), "n of the run's mean; 0 for a missing cell", "count"),
            field("trial", pa.string(), "trial of the run that is shown, as in ablation"),
            field("published", pa.float64(), "published mean over seeds; null where none was published", "fraction"),
            field("difference", pa.float64(), "mean minus published", "fraction"),
            field(
                "low",
                pa.float64(),
                "lower end of the difference's 95 % interval: that of the run's mean, since the spread of the "
                "published one is not known; null where the data support none",
                "fraction",
            ),
            field("high", pa.float64(), "upper end, likewise", "fraction"),
            field("missing", pa.string(), "why there is no difference; null if there is one"),
            field("metric", pa.string(), "the accuracy, as test_minority"),
            field("source", pa.string(), "whose numbers they are"),
        ],
        metadata={"name": "ablation published", "rows": "one per method and pair of values, missing ones included"},
    )


def publications() -> Iterator[Publication]:
    """All that the package has."""
    for path in sorted(DIRECTORY.glob("*.yaml")):
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
        columns = [axis["column"] for axis in about["axes"].values()]
        with path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            percent = {
                (row["method"], tuple(float(row[c]) if row[c] else None for c in columns)): float(row["percent"])
                for row in csv.DictReader(file)
            }
        yield Publication.model_validate(about | {"percent": percent})


def publication_for(run: RunTables, rows: str, cols: str, metric: str | None, by: str | None) -> Publication:
    """The publication that an ablation of a run can be held against.

    Args:
        run: what was searched.
        rows: a parameter, with or without ``dataset.`` and ``config.`` before it.
        cols: another one.
        metric: that was asked for; None: any.
        by: that was asked for; None: any.

    Raises:
        UserError: there is none of this dataset, these parameters, or this metric.
    """
    known = list(publications())
    of_data = [each for each in known if each.dataset == run.spec.dataset.name]
    if not of_data:
        names = ", ".join(dict.fromkeys(each.dataset for each in known))
        raise UserError(f"--published: there are no published numbers on {run.spec.dataset.name}; known are: {names}")
    for each in of_data:
        if {Axes.short(rows), Axes.short(cols)} == set(each.axes):
            if metric not in (None, each.metric):
                raise UserError(f"--published: what was published is {each.metric}, not {metric}; leave out --metric")
            if by is not None and Axes.short(by) != each.by:
                raise UserError(f"--published: the published methods differ by {each.by}, not {by}; leave out --by")
            return each
    axes = " or ".join(f"--rows {' --cols '.join(each.axes)}" for each in of_data)
    raise UserError(f"--published: nothing was published by {rows} and {cols}; give {axes}")


def beside(run: RunTables, ablation: Ablation, publication: Publication, protocol: DfrProtocol | None) -> Comparison:
    """An ablation's cells beside the published ones, of which a method may have some or none."""
    panels = [_panel(run, ablation, panel, publication) for panel in ablation.panels]
    notes = [
        f"published: {publication.source} ({publication.licence}); means whose spread was not published, so the "
        "interval of a difference is that of this run's mean alone"
    ]
    for panel in panels:
        reasons = {place: cell.missing for place, cell in panel.cells.items() if cell.missing == NOT_PUBLISHED}
        notes += [f"{panel.name}: {why}: {named}" for why, named in ablation.axes.by_reason(reasons)]
    if protocol is not None and protocol.value != publication.protocol:
        notes.append(f"the published DFR is of the protocol {publication.protocol}, this run's of {protocol.value}")
    return Comparison(axes=ablation.axes, publication=publication, panels=panels, notes=notes)


def _panel(run: RunTables, ablation: Ablation, panel: Panel[Cell], publication: Publication) -> Panel[Beside]:
    names = (ablation.axes.rows, ablation.axes.cols)
    cells = {
        place: _beside(run, cell, publication.fraction(panel.name, dict(zip(names, place, strict=True))), publication)
        for place, cell in panel.cells.items()
    }
    return Panel(name=panel.name, rows=panel.rows, cols=panel.cols, cells=cells)


def _beside(run: RunTables, ours: Cell, published: float | None, publication: Publication) -> Beside:
    if ours.missing is not None:
        return Beside(ours=ours, published=published, missing=ours.missing)
    if published is None:
        return Beside(ours=ours, missing=NOT_PUBLISHED)
    split, _, accuracy = publication.metric.partition("_")
    counted = measured_of(ours, run.tables["groups"], split)
    one_seed = ours.trial is not None and kind_of_interval(ours.seeds) == IMAGES  # which may have made the difference
    found = {} if counted is None or one_seed else intervals(counted)
    if accuracy not in found:
        return Beside(ours=ours, published=published)
    low, high = (float(end - published) for end in found[accuracy])
    return Beside(ours=ours, published=published, ends=(low, high))
