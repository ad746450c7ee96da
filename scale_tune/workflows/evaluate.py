"""From a run to its answer: select, refit the last layer of the ERM trials, compare, write the tables."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pandas as pd

from scale_tune.analysis.caveats import caveats
from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.winners import WinnersMap, winners_map
from scale_tune.errors import UserError
from scale_tune.report.text import comparison_latex
from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.frozen import nearest
from scale_tune.storage.location import Location
from scale_tune.storage.lock import only_analysis
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.files import Format, write_files, write_tables
from scale_tune.tables.schemas import COMPARISON, DIFFERENCES, table_from
from scale_tune.workflows.confirm import DIRECTORY, confirmation_of
from scale_tune.workflows.refit import AnalysedRun, Say, refit_missing


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an analysis found and wrote."""

    runs: list[RunTables]
    """Those that were asked for; their confirmations are in the comparison."""
    comparison: pd.DataFrame
    differences: pd.DataFrame
    notes: list[str]
    """What a reader of the comparison would otherwise be misled about."""
    written: list[Location]

    def winners(self) -> Iterator[WinnersMap]:
        """Of each run that searched several kinds of data, which method wins on each."""
        for run in self.runs:
            of = winners_map(run.name, run.spec, run.tables["trials"], self.comparison, self.differences)
            if of is not None:
                yield of


def parse_protocols(text: str) -> tuple[DfrProtocol, ...]:
    """The protocols that a text as ``scale,dfr`` names, each once; ``none`` is none.

    Raises:
        UserError: there is no such protocol.
    """
    names = [name.strip() for name in text.split(",")]
    if names == ["none"]:
        return ()
    if "none" in names:
        raise UserError(f"--dfr: none stands alone, got {text!r}; leave it or the others out")
    for name in names:
        if name not in list(DfrProtocol):
            raise UserError(f"--dfr: there is no protocol {name!r}; {nearest(name, [*DfrProtocol, 'none'])}")
    return tuple(dict.fromkeys(map(DfrProtocol, names)))


def check_runs(runs: Sequence[RunDir], export: Location | None) -> None:
    """See that these runs can be compared, and the tables written there.

    Raises:
        UserError: one is no run, or is given twice; or the tables would replace those of another run, of which its
            refits can't be told from what it refitted itself.
    """
    for run in runs:
        run.read_spec()
    addresses = [run.path.resolved() for run in runs]
    for address in addresses:
        if addresses.count(address) > 1:
            raise UserError(f"the run {address} is given twice; leave one out")
        if address.name == DIRECTORY and address.parent in addresses:
            raise UserError(f"{address} confirms {address.parent}, which shows it anyway; leave it out")
    if export is None:
        return
    to = export.resolved()
    if to.name == "results" and to.parent not in addresses and RunDir(to.parent).spec.is_file():
        raise UserError(f"--export {export} holds the tables of the run {to.parent}; choose another directory")


def evaluate(
    runs: Sequence[RunDir],
    protocols: Collection[DfrProtocol],
    export: Location | None,
    say: Say,
    format_: Format = "parquet",
    address: str | None = None,
) -> Evaluation:
    """Analyse runs as they are now, and compare them in one table.

    Args:
        runs: their directories.
        protocols: how DFR is fitted, on every ERM trial that has run to its end and on the pretrained network.
        export: where to write the tables, those of each of several runs in a directory of its name; None: each run's
            own ``results``, and the comparison there if it is of one run, else nowhere.
        say: called with a line at each step that takes time.
        format_: of the exported tables.
        address: the Ray cluster that refits; None starts Ray on this machine if there is anything to refit.

    Raises:
        UserError: as :func:`check_runs`; or another analysis works on a run, its data is not what its checkpoints
            were trained on, or its target lacks a group; or there is no cluster at the address.
        KeyboardInterrupt: it was stopped; what was refitted by then is kept in the runs' directories.
    """
    check_runs(runs, export)
    with ExitStack() as held:
        for run in (*runs, *filter(lambda run: run.spec.is_file(), map(confirmation_of, runs))):
            held.enter_context(only_analysis(run))
        return _evaluate(runs, protocols, export, say, format_, address)


def _evaluate(
    runs: Sequence[RunDir],
    protocols: Collection[DfrProtocol],
    export: Location | None,
    say: Say,
    format_: Format,
    address: str | None,
) -> Evaluation:
    analysed = [AnalysedRun(run, name, protocols) for run, name in zip(runs, names_of(runs), strict=True)]
    confirmations = [_confirmation(run, of, protocols) for run, of in zip(analysed, runs, strict=True)]
    everything = [*analysed, *filter(None, confirmations)]
    refit_missing([(run, network) for run in everything for network in run.missing], address, say)
    written: list[Location] = []
    for run in everything:
        alone = len(runs) == 1 and run is analysed[0]
        written += run.write(export if export is None or alone else export / run.name, format_)
    searched = [run.as_asked_for() for run in analysed]
    confirmed = [
        replace(confirmation.as_asked_for(), confirms=run)
        for run, confirmation in zip(searched, confirmations, strict=True)
        if confirmation is not None
    ]
    evaluated = [*searched, *confirmed]
    comparison, between = compare(evaluated), differences(evaluated)
    to = runs[0].results if export is None and len(runs) == 1 else export
    if to is not None:
        written += _write_comparison(comparison, between, to)
    notes = [f"{run.name}: " * (len(everything) > 1) + note for run in everything for note in run.notes]
    notes = [*caveats(evaluated), *notes]
    return Evaluation(runs=searched, comparison=comparison, differences=between, notes=notes, written=written)


def _confirmation(run: AnalysedRun, of: RunDir, protocols: Collection[DfrProtocol]) -> AnalysedRun | None:
    """The confirmation of a run, if it was begun."""
    confirmation = confirmation_of(of)
    if not confirmation.spec.is_file():
        return None
    # The pretrained network was not selected, so there is nothing to confirm.
    return AnalysedRun(confirmation, f"{run.name}/{confirmation.path.name}", protocols, pretrained=False)


def names_of(runs: Sequence[RunDir]) -> list[str]:
    """A name for each run: that of its directory, with those of enough parents to tell it from the others."""
    parts = [run.path.resolved().address.strip("/").split("/") for run in runs]
    names = []
    for own in parts:
        length = 1
        while sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(own[-length:]))
    return names


def _write_comparison(comparison: pd.DataFrame, between: pd.DataFrame, directory: Location) -> list[Location]:
    tables = {
        "comparison": table_from(comparison, COMPARISON),
        "differences": table_from(between, DIFFERENCES),
    }
    latex = {"comparison.tex": comparison_latex(comparison).encode()}
    return [
        *write_tables(tables, directory),
        *write_tables(tables, directory, "csv"),
        *write_files(latex, directory),
    ]
