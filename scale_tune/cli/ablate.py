"""The command ``analyze.py ablation``: two parameters of a run as tables and figures."""

from typing import Annotated, Literal

import typer

from scale_tune.cli.common import APP, COMMAND, exit_with, say, say_written, shown_steps
from scale_tune.errors import UserError
from scale_tune.search.stopping import STOPPED, Stop

ablation_app = typer.Typer(**APP)


@ablation_app.command(**COMMAND)
def ablation(
    context: typer.Context,
    run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR", help="Directory of a run.")],
    rows: Annotated[str, typer.Option(help="Parameter of the rows, as spurious_strength.")],
    cols: Annotated[str, typer.Option(help="Parameter of the columns, as val_target_size.")],
    metric: Annotated[
        str | None, typer.Option(help="Accuracy to show, as val_average. [default: the run's objective, on test]")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Parameter whose values have tables of their own, as scale and scale_step.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="One value of the rows alone, as spurious_strength=1.", metavar="ROW=VALUE")
    ] = None,
    dfr: Annotated[str, typer.Option(help="Protocol of DFR: scale, dfr, class or train; or none.")] = "scale",
    plot: Annotated[
        Literal["lines", "heatmap"],
        typer.Option(help="Lines over the columns, a panel for each row; or heat maps, one for each method."),
    ] = "lines",
    difference: Annotated[
        list[str] | None,
        typer.Option(help="Two methods, as scale,dfr: the first minus the second, too; repeatable.", metavar="A,B"),
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="Show published numbers beside the run's.")] = False,
    export: Annotated[str | None, typer.Option(help="Where to write. [default: RUN_DIR/results/ablation]")] = None,
) -> None:
    """Show how two parameters of a run matter, for each method and for DFR, as tables and a figure.

      python analyze.py ablation runs/grid --rows spurious_strength --cols val_target_size --by regularize_mode

    A cell shows the trial with the best validation objective of those that share it; dfr the one whose refitted last
    layer is best on validation, dfr_pretrained the refit on the cell's data. What is not refitted yet is refitted
    first, unless --dfr is none. Written are the cells (parquet), the tables (LaTeX) and the figure (PDF, SVG, PNG).
    A run in a directory called ablation is compared by ./ablation.
    """
    steps = shown_steps(context)
    steps.doing(f"reading {run_dir}")
    console = steps.console
    try:
        from scale_tune.report.pivots import beside_tables, contrast_tables, pivot_tables
        from scale_tune.storage.location import Location
        from scale_tune.storage.rundir import RunDir
        from scale_tune.workflows.ablating import Shown, ablate_run
        from scale_tune.workflows.evaluate import parse_protocols

        protocol, *others = parse_protocols(dfr) or (None,)
        if others:
            raise UserError(f"--dfr: an ablation shows one protocol, got {dfr!r}; give one of them, or none")
        shown = Shown(
            rows=rows,
            cols=cols,
            metric=metric,
            by=by,
            at=at,
            protocol=protocol,
            plot=plot,
            differences=difference or (),
            published=published,
        )
        where = None if export is None else Location.of(export)
        with Stop(interrupts=True):  # what was refitted is kept
            found = ablate_run(RunDir(run_dir), shown, where, steps)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on: what was refitted is kept, and nothing else was written")
        raise typer.Exit(STOPPED) from None
    except UserError as error:
        exit_with(error)
    steps.pause()
    tables = list(pivot_tables(found.ablation))
    tables += [] if found.contrasts is None else contrast_tables(found.contrasts)
    tables += [] if found.comparison is None else beside_tables(found.comparison)
    for table in tables:
        console.print(table)
    for note in found.notes:
        say(console, f"note: {note}")
    say_written(console, found.written)
