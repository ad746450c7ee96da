"""The command ``analyze.py``: a comparison of runs, or what ``ablate`` and ``economise`` do."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scale_tune.cli.ablate import ablation_app
from scale_tune.cli.as_job import arguments, run_as_job, runs_as_job
from scale_tune.cli.common import APP, COMMAND, Address, begin, exit_with, say, say_written, shown_steps
from scale_tune.cli.economise import economy_app
from scale_tune.errors import UserError
from scale_tune.search.stopping import STOPPED, Stop

if TYPE_CHECKING:
    from rich.console import Console

    from scale_tune.workflows.analysing import Outcome

analyze_app = typer.Typer(**APP)


def main() -> None:
    """The command ``analyze.py``: an ablation or an economy if its first argument says so, else a comparison."""
    begin()
    match sys.argv[1:]:
        case [("ablation" | "economy") as other, *arguments]:
            app = ablation_app if other == "ablation" else economy_app
            app(arguments, prog_name=f"{Path(sys.argv[0]).name} {other}")
        case _:
            analyze_app()


@analyze_app.command(**COMMAND)
def analyze(
    context: typer.Context,
    run_dirs: Annotated[list[str], typer.Argument(metavar="RUN_DIR…", help="Directories of runs.")],
    top_k: Annotated[
        int, typer.Option(min=1, max=1000, help="With --confirm: how many of the best configs of each method.")
    ] = 3,
    dfr: Annotated[str, typer.Option(help="Protocols of DFR, as scale or scale,dfr; or none.")] = "scale,dfr",
    export: Annotated[str | None, typer.Option(help="Where to write the tables. [default: RUN_DIR/results]")] = None,
    format_: Annotated[
        Literal["parquet", "csv"], typer.Option("--format", help="Of the tables; the comparison has all formats.")
    ] = "parquet",
    latex: Annotated[bool, typer.Option("--latex", help="Print the comparison as LaTeX as well.")] = False,
    report: Annotated[str | None, typer.Option(help="HTML file to write. [default: RUN_DIR/report.html]")] = None,
    best: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write the selected networks there, with a card for each.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Train the best --top-k configs of each method again on fresh seeds.")
    ] = False,
    track: Annotated[
        str | None, typer.Option(help="Trackers to bring up to the runs, as tensorboard,wandb. See docs/tracking.md.")
    ] = None,
    optuna: Annotated[
        str | None, typer.Option(metavar="FILE", help="New file for optuna-dashboard, a copy of the run's ledger.")
    ] = None,
    address: Address = None,
) -> None:
    """Compare the methods of runs: select, refit the last layer (DFR), print a comparison, write tables and report.

    Several runs, as one per method or per dataset, make one comparison, which needs --export to be written:

      python analyze.py runs/erm runs/scale --export tables

    The winner of a search is overestimated. Its best configs, trained again on fresh seeds, stand beside it:

      python analyze.py RUN_DIR --confirm

    The selected networks, of DFR too, as weights that plain torch loads:

      python analyze.py RUN_DIR --best DIR

    A grid over two parameters as a table and a figure:

      python analyze.py ablation RUN_DIR --rows spurious_strength --cols val_target_size

    What a search cost, and what a smaller one would have found:

      python analyze.py economy RUN_DIR
    """
    steps = shown_steps(context)
    steps.doing(f"reading {', '.join(run_dirs)}")
    try:
        from scale_tune.storage.location import Location
        from scale_tune.workflows.analysing import analyse, wanted
        from scale_tune.workflows.evaluate import parse_protocols

        if address is not None and runs_as_job(address):
            parse_protocols(dfr)
            code = run_as_job(
                address,
                command="analyze",
                arguments=arguments(context, {}),
                paths={
                    "RUN_DIR": run_dirs,
                    "--export": [export],
                    "--report": [report],
                    "--best": [best],
                    "--optuna": [optuna],
                },
                works_on=" ".join(str(Location.of(path)) for path in run_dirs),
            )
            raise typer.Exit(code)
        asked = wanted(
            run_dirs,
            dfr=dfr,
            export=export,
            format_=format_,
            report=report,
            best=best,
            track=track,
            confirm=top_k if confirm else None,
            optuna=optuna,
            address=address,
        )
        with Stop(interrupts=True):  # what was refitted is kept
            outcome = analyse(asked, steps)
    except UserError as error:
        exit_with(error)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on: what was refitted is kept")
        raise typer.Exit(STOPPED) from None
    steps.pause()
    if outcome is not None:
        _show(steps.console, outcome, latex)
    if outcome is None or not outcome.tracked:
        raise typer.Exit(STOPPED)


def _show(console: "Console", outcome: "Outcome", latex: bool) -> None:
    """On a grid of data the map of winners, else the comparison; then what it can't tell, and what was written."""
    from scale_tune.report.terminal import comparison_tables, is_told_by_map, where_the_rest_is
    from scale_tune.report.text import comparison_latex, difference_lines, winners_table
    from scale_tune.tables.labels import selecting

    found, pages = outcome.found, [str(page) for page in outcome.pages]
    maps = list(found.winners())
    for winners in maps:
        console.print(winners_table(winners))
    mapped = is_told_by_map(found.comparison, maps)
    for table in () if mapped else comparison_tables(found.comparison, console.width, pages[0]):
        console.print(table)
    if latex:
        typer.echo(comparison_latex(found.comparison))
    for line in () if mapped else difference_lines(found.differences, selecting(found.comparison)):
        say(console, line)
    if mapped:
        say(console, where_the_rest_is(found.comparison, [*pages, *map(str, found.written)]))
    for note in (*found.notes, *outcome.left_out):
        say(console, f"note: {note}")
    say_written(console, [*found.written, *pages, *outcome.exported])
