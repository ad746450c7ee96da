"""The report of each analysed run, with what only its directory knows: how it was made, and on which data."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from scale_tune.analysis.entries import RunTables
from scale_tune.errors import UserError
from scale_tune.report.html import Analysis, write_report
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.workflows.evaluate import Evaluation


def check_report(runs: Sequence[RunDir], path: Location | None) -> None:
    """Refuse a place for the report before anything that takes time.

    Raises:
        UserError: one file for several runs.
    """
    if path is not None and len(runs) > 1:
        raise UserError(
            f"--report {path} is for one run, got {len(runs)}; leave it out, and each run gets a report.html of its own"
        )


def write_reports(runs: Sequence[RunDir], found: Evaluation, path: Location | None) -> list[Location]:
    """Write the report of each run, each with the comparison of all.

    Args:
        runs: as they were evaluated.
        found: by the evaluation.
        path: where to write it; None: ``report.html`` in each run's directory.

    Returns:
        Where they are.

    Raises:
        UserError: a file can't be written.
    """
    made = datetime.now(UTC)
    paths = []
    for run, tables in zip(runs, found.runs, strict=True):
        content = Analysis(
            name=tables.name,
            where=str(run.path),
            spec=tables.spec,
            tables=tables.tables,
            comparison=found.comparison,
            differences=found.differences,
            warnings=found.notes,
            provenance=_provenance(run, tables, found),
            made=made,
        )
        paths.append(path or run.path / "report.html")
        write_report(paths[-1], content)
    return paths


def _provenance(run: RunDir, tables: RunTables, found: Evaluation) -> dict[str, Any]:
    """How the run was made, and the fingerprints of the data that its selected trials were trained on."""
    own = found.comparison[found.comparison["run"] == tables.name]
    fingerprints = tables.tables["trials"].set_index("trial")["fingerprint"]
    return run.provenance() | {"fingerprints": fingerprints[own["trial"].dropna().unique()].to_dict()}
