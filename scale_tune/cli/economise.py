"""The command ``analyze.py economy``: what runs cost, and what smaller ones would have found."""

from typing import TYPE_CHECKING, Annotated

import typer

from scale_tune.cli.common import APP, COMMAND, exit_with, say, say_written, shown_steps
from scale_tune.errors import UserError
from scale_tune.search.stopping import STOPPED, Stop

if TYPE_CHECKING:
    from rich.console import Console

    from scale_tune.economy.findings import Economy

economy_app = typer.Typer(**APP)


@economy_app.command(**COMMAND)
def economy(
    context: typer.Context,
    run_dirs: Annotated[list[str], typer.Argument(metavar="RUN_DIR…", help="Directories of runs.")],
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="Random orders that are replayed.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, max=10_000, help="Trials at once in these.")] = 1,
    export: Annotated[str | None, typer.Option(help="Where to write. [default: RUN_DIR/results/economy]")] = None,
) -> None:
    """Say what a search cost, and what a smaller one would have found.

      python analyze.py economy runs/random

    A run whose trials were drawn at random, or by a grid, and all trained to their end is replayed in random orders by
    other schedulers, with fewer trials and fewer seeds: how many epochs would have been spent, how often the same
    winner, or one within a standard error of it, would have been found, and what would have been lost on val and test.
    The cheapest that loses next to nothing is recommended. Besides, it says from which epoch on ranks can be trusted,
    what fewer random trials would have been expected to find, and what it takes to tell the two best methods apart.
    Written are tables (parquet) and a figure (PDF, SVG, PNG); docs/economy.md explains them. Nothing is trained.
    """
    steps = shown_steps(context)
    steps.doing(f"reading {', '.join(run_dirs)}")
    try:
        from scale_tune.storage.location import Location
        from scale_tune.storage.rundir import RunDir
        from scale_tune.workflows.economising import economise

        where = None if export is None else Location.of(export)
        with Stop(interrupts=True):
            found = economise([RunDir(path) for path in run_dirs], where, steps, orders=orders, workers=workers)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command begins again, and each file that was written is whole")
        raise typer.Exit(STOPPED) from None
    except UserError as error:
        exit_with(error)
    steps.pause()
    for of_run in found.found:
        if len(found.found) > 1:
            say(steps.console, f"{of_run.run}:")
        _show(steps.console, of_run)
    say_written(steps.console, found.written)


def _show(console: "Console", found: "Economy") -> None:
    """Policies and the recommendation, how early ranks can be trusted, budgets, power; then what is not known."""
    from scale_tune.economy import warm_starts
    from scale_tune.report.economy_tables import budget_table, fidelity_table, policy_tables

    if found.panel is not None:
        for table in policy_tables(found.panel):
            console.print(table)
        say(console, f"recommended: {found.panel.sentence}")
        for line in found.panel.recommendation.splitlines():
            say(console, f"  {line}")
        for aside in found.panel.asides:
            say(console, aside)
        for start in warm_starts.said(found.starts):
            say(console, start)
    if found.ranks:
        console.print(fidelity_table(found))
    for warning in found.warnings:
        say(console, f"warning: {warning}")
    if found.draws:
        console.print(budget_table(found))
    for line in (*found.leading, *(line for apart in found.apart for line in apart.said)):
        say(console, line)
    for note in found.notes:
        say(console, f"note: {note}")
