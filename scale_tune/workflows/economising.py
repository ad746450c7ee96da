"""What runs cost and what smaller ones would have found: look up, replay, write what came out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scale_tune.analysis.entries import RunTables
from scale_tune.economy.economy_schemas import economy_tables
from scale_tune.economy.findings import Economy, economy_of
from scale_tune.economy.panel import ORDERS
from scale_tune.errors import UserError
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables.files import write_files, write_tables
from scale_tune.workflows.evaluate import check_runs, names_of

Say = Callable[[str], None]
DIRECTORY = "economy"
"""Below a run's ``results``, where it is written."""


@dataclass(frozen=True, kw_only=True)
class Economised:
    """What was found and written."""

    found: list[Economy]
    written: list[Location]


def economise(
    runs: Sequence[RunDir], export: Location | None, say: Say, *, orders: int = ORDERS, workers: int = 1
) -> Economised:
    """Say of runs, as they are now, what they cost and what smaller ones would have found; and write it.

    Args:
        runs: their directories.
        export: where to write, of several runs each in a directory of its name; None: ``economy`` below each run's own
            ``results``.
        say: called with a line at each step that takes time.
        orders: random orders in which each policy is replayed.
        workers: trials at once.

    Raises:
        UserError: one is no run, or is given twice; or nothing can be told of any.
    """
    check_runs(runs, export)
    tables, found, written = [], [], []
    for run, name in zip(runs, names_of(runs), strict=True):
        say(f"reading {run.path}")
        frames = {table: rows.to_pandas() for table, rows in results.collect(run).items()}
        tables.append(RunTables(name=name, spec=run.read_spec(), tables=frames))
    for own in tables:
        say(f"replaying {own.name}")
        others = [other for other in tables if other is not own]
        found.append(economy_of(own, orders=orders, workers=workers, others=others))
    if all(economy.is_empty for economy in found):
        reasons = dict.fromkeys(note for economy in found for note in economy.notes)
        raise UserError("\n".join(("nothing can be told of this search:", *reasons)))
    say("drawing")
    for run, economy in zip(runs, found, strict=True):
        place = run.results / DIRECTORY if export is None else export if len(runs) == 1 else export / economy.run
        written += _write(economy, place)
    return Economised(found=found, written=written)


def _write(economy: Economy, directory: Location) -> list[Location]:
    figures = {}
    if economy.panel is not None:
        from scale_tune.report.economy_figure import policy_figure  # matplotlib: slow

        figures = {f"policies.{kind}": content for kind, content in policy_figure(economy.panel).items()}
    return [*write_tables(economy_tables(economy), directory), *write_files(figures, directory)]
