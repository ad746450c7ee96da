"""An ablation of a run: refit what its cells lack, pivot, hold it against what was published, write what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from scale_tune.analysis.ablation import Ablation, ablate
from scale_tune.analysis.arms import Registered
from scale_tune.analysis.contrasts import Contrasts, contrasts
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.published import Comparison, Publication, beside, publication_for
from scale_tune.errors import UserError
from scale_tune.methods import is_refitted, method_class
from scale_tune.networks import pretrained
from scale_tune.report.pivots import beside_latex, contrast_latex, pivot_latex
from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.lock import only_analysis
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables.files import write_files, write_tables
from scale_tune.workflows.refit import AnalysedRun, Say, refit_missing

if TYPE_CHECKING:
    from scale_tune.report.ablation_figures import Plot


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What an ablation is to show."""

    rows: str
    """A parameter."""
    cols: str
    metric: str | None = None
    """None: the run's objective, on test."""
    by: str | None = None
    """A parameter whose values have grids of their own."""
    at: str | None = None
    """The one value of the rows, as ``spurious_strength=1``."""
    protocol: DfrProtocol | None = None
    """Of DFR; None: without DFR."""
    plot: "Plot" = "lines"
    differences: Sequence[str] = ()
    """Pairs of methods, as ``scale,dfr``."""
    published: bool = False
    """Whether published numbers stand beside the run's."""


@dataclass(frozen=True, kw_only=True)
class Ablated:
    """What was found and written."""

    ablation: Ablation
    contrasts: Contrasts | None
    comparison: Comparison | None
    notes: list[str]
    written: list[Location]


def ablate_run(run: RunDir, shown: Shown, export: Location | None, say: Say) -> Ablated:
    """Pivot a run as it is now, see :func:`scale_tune.analysis.ablation.ablate`, and write what came out.

    Args:
        run: its directory.
        shown: what to show.
        export: where to write; None: ``ablation`` below the run's own ``results``.
        say: called with a line at each step that takes time.

    Raises:
        UserError: this is no run, it has no such parameter, metric, method or value, nothing like it was published;
            or another analysis works on the run.
        KeyboardInterrupt: it was stopped; what was refitted by then is kept in the run's directory.
    """
    spec = run.read_spec()
    tables = _as_it_is(run, spec)
    notes: list[str] = []
    found, compared, publication = _show(tables, spec, shown)
    if shown.protocol is not None:  # after all mistakes of the command, since it takes time
        tables, notes = _refitted(run, shown.protocol, say)
        found, compared, publication = _show(tables, spec, shown)
    comparison = None if publication is None else beside(tables, found, publication, shown.protocol)
    notes = [*found.notes, *notes, *(compared.notes if compared else ()), *(comparison.notes if comparison else ())]
    written = _write(found, compared, comparison, shown.plot, run.results / "ablation" if export is None else export)
    said = list(dict.fromkeys(notes))
    return Ablated(ablation=found, contrasts=compared, comparison=comparison, notes=said, written=written)


def registered(spec: RunSpec) -> Registered:
    """What the registries know of a run's methods and network. Users' own methods have no published names."""
    classes = {name: method_class(*spec.algorithm(name)) for name, own in spec.methods.items() if own.file is None}
    given = {
        name: {option for option, field in cls.Options.model_fields.items() if not field.is_required()}
        for name, cls in classes.items()
    }
    no_baseline = None
    try:
        pretrained(spec.model)
    except UserError as error:
        no_baseline = str(error)
    return Registered(
        defaults={
            name: cls.Options.model_construct().model_dump(mode="json", include=given[name])
            for name, cls in classes.items()
        },
        refitted=[name for name in classes if is_refitted(spec.first_config(name))],
        no_baseline=no_baseline,
    )


def _as_it_is(run: RunDir, spec: RunSpec) -> RunTables:
    frames = {name: table.to_pandas() for name, table in results.collect(run).items()}
    return RunTables(name=run.path.name, spec=spec, tables=frames)


def _refitted(run: RunDir, protocol: DfrProtocol, say: Say) -> tuple[RunTables, list[str]]:
    """The tables after every network of the run was refitted that could be, and what could not."""
    with only_analysis(run):
        analysed = AnalysedRun(run, run.path.name, (protocol,))
        refit_missing([(analysed, network) for network in analysed.missing], None, say)
        if analysed.missing and run.writable:
            analysed.write(None, "parquet")
    return analysed.as_asked_for(), analysed.notes


def _show(tables: RunTables, spec: RunSpec, shown: Shown) -> tuple[Ablation, Contrasts | None, Publication | None]:
    metric, by, publication = shown.metric, shown.by, None
    if shown.published:
        publication = publication_for(tables, shown.rows, shown.cols, metric, by)
        searched = {name for method in spec.methods for name in spec.method_space(method)}
        metric, by = publication.metric, publication.by if publication.by in searched else None
    found = ablate(tables, shown.rows, shown.cols, metric, by, protocol=shown.protocol, registered=registered(spec))
    if shown.at is not None:
        found = found.fixed_at(found.axes.value_at(shown.at, found.row_values))
    compared = contrasts(tables, found, shown.differences) if shown.differences else None
    return found, compared, publication


def _write(
    found: Ablation, compared: Contrasts | None, comparison: Comparison | None, plot: "Plot", directory: Location
) -> list[Location]:
    """The tables as parquet and LaTeX, and the figure of what was asked for beyond the means, or else of those."""
    from scale_tune.report.ablation_figures import ablation_figure, beside_figure, contrast_figure  # matplotlib: slow

    name = f"{found.axes.name}-{found.metric}"
    tables: dict[str, pa.Table] = {name: found.table}
    latex, figures = {name: pivot_latex(found)}, {}
    if compared is not None:
        of = f"{name}-differences"
        tables[of], latex[of], figures[of] = compared.table, contrast_latex(compared), contrast_figure(compared, plot)
    if comparison is not None:
        of = f"{name}-published"
        tables[of], latex[of], figures[of] = comparison.table, beside_latex(comparison), beside_figure(comparison, plot)
    if not figures:
        figures[name] = ablation_figure(found, plot)
    contents = {f"{of}.tex": text.encode() for of, text in latex.items()}
    contents |= {f"{of}-{plot}.{kind}": content for of, files in figures.items() for kind, content in files.items()}
    return [*write_tables(tables, directory), *write_files(contents, directory)]
