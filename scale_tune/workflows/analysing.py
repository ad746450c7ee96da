"""A whole analysis, as one command asks for it: trackers, confirmation, comparison, report, exports."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scale_tune.errors import UserError
from scale_tune.ledger.export import check_export, export_studies
from scale_tune.spec.config import DfrProtocol, TrackerName
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.files import Format
from scale_tune.workflows.best import check_best, export_best
from scale_tune.workflows.catching_up import parse_trackers, track
from scale_tune.workflows.evaluate import Evaluation, check_runs, evaluate, parse_protocols
from scale_tune.workflows.reporting import check_report, write_reports

if TYPE_CHECKING:
    from scale_tune.steps import Steps


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for; :func:`wanted` makes it of what a user writes."""

    runs: list[RunDir]
    protocols: tuple[DfrProtocol, ...]
    export: Location | None
    """None: each run's own ``results``."""
    format_: Format
    report: Location | None
    """None: each run's own ``report.html``."""
    networks: Location | None
    """Where the selected networks are exported to."""
    trackers: tuple[TrackerName, ...]
    confirm: int | None
    """So many of the best configs of each method are trained again on fresh seeds."""
    studies: Path | None
    """Where a copy of the ledger is exported to."""
    address: str | None
    """The Ray cluster that does the work; None starts Ray on this machine if there is any."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an analysis found and wrote."""

    found: Evaluation
    pages: list[Location]
    """The reports."""
    exported: list[Location]
    left_out: list[str]
    """What could not be exported, and why."""
    tracked: bool
    """Whether the trackers have it all."""


def wanted(
    run_dirs: list[str],
    *,
    dfr: str,
    export: str | None,
    format_: Format,
    report: str | None,
    best: str | None,
    track: str | None,
    confirm: int | None,
    optuna: str | None,
    address: str | None,
) -> Wanted:
    """Refuse what can't be had before anything that takes time.

    Raises:
        UserError: an option is wrong, or a run.
    """
    runs = [RunDir(path) for path in run_dirs]
    where, page, networks = (None if given is None else Location.of(given) for given in (export, report, best))
    protocols = parse_protocols(dfr)
    check_report(runs, page)
    check_runs(runs, where)
    if networks is not None:
        check_best(runs, networks)
    trackers = parse_trackers(track, runs)
    if optuna is not None:
        if len(runs) > 1:
            raise UserError(f"--optuna {optuna} is for one run, got {len(runs)}")
        check_export(Path(optuna))
    return Wanted(
        runs=runs,
        protocols=protocols,
        export=where,
        format_=format_,
        report=page,
        networks=networks,
        trackers=trackers,
        confirm=confirm,
        studies=None if optuna is None else Path(optuna),
        address=address,
    )


def analyse(asked: Wanted, steps: "Steps") -> Outcome | None:
    """Do what is asked for. What may not be overwritten is written last, so that the same command can be given again.

    Args:
        asked: what.
        steps: told what is done.

    Returns:
        What was found; None if the confirmation did not run to its end, which was said.

    Raises:
        UserError: as the steps' own functions.
        KeyboardInterrupt: it was stopped; what was refitted or trained by then is kept.
    """
    tracked = True
    if asked.trackers:
        tracked = track(asked.runs, asked.trackers, steps)
        steps.doing("reading the records")
    if asked.confirm is not None:
        evaluate(asked.runs, asked.protocols, asked.export, steps, asked.format_, asked.address)  # DFR selects, too
        if not _confirm(asked, asked.confirm, steps):
            return None
    found = evaluate(asked.runs, asked.protocols, asked.export, steps, asked.format_, asked.address)
    steps.doing("writing the report")
    pages = write_reports(asked.runs, found, asked.report)
    exported: list[Location] = []
    left_out: list[str] = []
    if asked.networks is not None:
        steps.doing("exporting the networks")  # those of refits are fitted again
        exported, left_out = export_best(asked.runs[0], found, asked.networks)
    if asked.studies is not None:
        export_studies(asked.runs[0].ledger, asked.studies)
        exported.append(Location.of(asked.studies))
    return Outcome(found=found, pages=pages, exported=exported, left_out=left_out, tracked=tracked)


def _confirm(asked: Wanted, top_k: int, steps: "Steps") -> bool:
    steps.doing("loading Ray")
    from scale_tune.workflows.driver import confirm

    return all(confirm(run, top_k, asked.address, steps) for run in asked.runs)
