"""The command ``analyze.py``: a comparison of runs, or an ablation of one (:mod:`scale_tune.cli.ablate`)."""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scale_tune.cli.ablate import ablation_app
from scale_tune.cli.as_job import arguments, run_as_job, runs_as_job
from scale_tune.cli.common import APP, COMMAND, Address, begin, exit_with, say, shown_steps
from scale_tune.errors import UserError
from scale_tune.search.stopping import STOPPED

if TYPE_CHECKING:
    from scale_tune.steps import Steps
    from scale_tune.storage.rundir import RunDir

analyze_app = typer.Typer(**APP)


def main() -> None:
    """The command ``analyze.py``: an ablation if its first argument says so, else a comparison."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what schedulers send ends it as Ctrl-C does
    begin()
    if sys.argv[1:2] == ["ablation"]:
        ablation_app(sys.argv[2:], prog_name=f"{Path(sys.argv[0]).name} ablation")
    else:
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
    """
    steps = shown_steps(context)
    steps.doing(f"reading {', '.join(run_dirs)}")
    console = steps.console
    try:
        from scale_tune.ledger.export import export_studies
        from scale_tune.report.terminal import comparison_tables, is_told_by_map, where_the_rest_is
        from scale_tune.report.text import comparison_latex, difference_lines, winners_table
        from scale_tune.storage.location import Location
        from scale_tune.storage.rundir import RunDir
        from scale_tune.tables.labels import selecting
        from scale_tune.workflows.best import check_best, export_best
        from scale_tune.workflows.catching_up import parse_trackers
        from scale_tune.workflows.catching_up import track as bring_up
        from scale_tune.workflows.evaluate import check_runs, evaluate, parse_protocols
        from scale_tune.workflows.reporting import check_report, write_reports

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
        runs = [RunDir(path) for path in run_dirs]
        where, page = (None if given is None else Location.of(given) for given in (export, report))
        protocols = parse_protocols(dfr)
        check_report(runs, page)
        check_runs(runs, where)
        networks = None if best is None else Location.of(best)
        if networks is not None:
            check_best(runs, networks)
        trackers = parse_trackers(track, runs)
        if optuna is not None:
            if len(runs) > 1:
                raise UserError(f"--optuna {optuna} is for one run")
            export_studies(runs[0].ledger, Path(optuna))
        shown = not trackers or bring_up(runs, trackers, partial(console.print, soft_wrap=True))
        if confirm:
            evaluate(runs, protocols, where, steps, format_, address)  # which configs DFR selects
            if not _confirm(runs, top_k, address, steps):
                raise typer.Exit(STOPPED)
        found = evaluate(runs, protocols, where, steps, format_, address)
        steps.doing("writing the report")
        pages = write_reports(runs, found, page)
        if networks is not None:
            steps.doing("exporting the networks")  # those of refits are fitted again
        exported, left_out = ([], []) if networks is None else export_best(runs[0], found, networks)
    except UserError as error:
        exit_with(error)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on: what was refitted is kept, and nothing else was written")
        raise typer.Exit(STOPPED) from None
    steps.pause()
    maps = list(found.winners())
    for winners in maps:
        console.print(winners_table(winners))
    mapped = is_told_by_map(found.comparison, maps)
    for table in () if mapped else comparison_tables(found.comparison, console.width, str(pages[0])):
        console.print(table)
    if latex:
        typer.echo(comparison_latex(found.comparison))
    for line in () if mapped else difference_lines(found.differences, selecting(found.comparison)):
        say(console, line)
    if mapped:
        say(console, where_the_rest_is(found.comparison, [*map(str, pages), *map(str, found.written)]))
    for note in (*found.notes, *left_out):
        say(console, f"note: {note}")
    for path in (*found.written, *pages, *exported):
        console.print(f"wrote {path}", soft_wrap=True)
    if not shown:
        raise typer.Exit(STOPPED)


def _confirm(runs: "list[RunDir]", top_k: int, address: str | None, steps: "Steps") -> bool:
    steps.doing("loading Ray")
    from scale_tune.workflows.driver import confirm

    return all(confirm(run, top_k, address, steps) for run in runs)


if __name__ == "__main__":  # as a job
    main()
