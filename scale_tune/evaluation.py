"""From a run to its answer: select, refit the last layer of the best ERM trials, compare, write the tables."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from scale_tune import analysis, results
from scale_tune.ablation import Ablation, ablate
from scale_tune.analysis import RunTables
from scale_tune.caveats import caveats
from scale_tune.config import DfrProtocol, Method, TrialConfig, nearest
from scale_tune.confirm import DIRECTORY, confirmation_of
from scale_tune.errors import UserError
from scale_tune.files import Location
from scale_tune.formats import comparison_latex
from scale_tune.ledger import read_trials
from scale_tune.lock import only_analysis
from scale_tune.pivots import pivot_latex
from scale_tune.records import weights_path
from scale_tune.results import Format
from scale_tune.rundir import RunDir
from scale_tune.schemas import COMPARISON, DIFFERENCES, GONE, REFITTED, table_from

if TYPE_CHECKING:
    from scale_tune.dfr import DfrResult

Say = Callable[[str], None]
LISTED = 3
"""Trials that a note names."""


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


def parse_protocols(text: str) -> tuple[DfrProtocol, ...]:
    """The protocols that a text as ``scale,dfr`` names, each once; ``none`` is none.

    Raises:
        UserError: there is no such protocol.
    """
    names = [name.strip() for name in text.split(",")]
    if names == ["none"]:
        return ()
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
            raise UserError(f"the run {address} is given twice")
        if address.name == DIRECTORY and address.parent in addresses:
            raise UserError(f"{address} confirms {address.parent}, which shows it anyway; leave it out")
    if export is None:
        return
    to = export.resolved()
    if to.name == "results" and to.parent not in addresses and RunDir(to.parent).spec.is_file():
        raise UserError(f"--export {export} holds the tables of the run {to.parent}; choose another directory")


def evaluate(
    runs: Sequence[RunDir],
    top_k: int,
    protocols: Collection[DfrProtocol],
    export: Location | None,
    say: Say,
    format_: Format = "parquet",
    address: str | None = None,
) -> Evaluation:
    """Analyse runs as they are now, and compare them in one table.

    Args:
        runs: their directories.
        top_k: DFR is fitted on this many of the best ERM configs of a run on each dataset; val chooses among them.
        protocols: how DFR is fitted, on each of them and on the pretrained network.
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
        return _evaluate(runs, top_k, protocols, export, say, format_, address)


def _evaluate(
    runs: Sequence[RunDir],
    top_k: int,
    protocols: Collection[DfrProtocol],
    export: Location | None,
    say: Say,
    format_: Format,
    address: str | None,
) -> Evaluation:
    analysed = [_AnalysedRun(run, name, top_k, protocols) for run, name in zip(runs, _names(runs), strict=True)]
    confirming = {
        run.name: _AnalysedRun(
            # All of it, since the order of its trials chooses nothing. The pretrained network has no seeds to confirm.
            confirmation,
            f"{run.name}/{confirmation.path.name}",
            confirmation.read_spec().total_samples,
            protocols,
            pretrained=False,
        )
        for run, confirmation in zip(analysed, map(confirmation_of, runs), strict=True)
        if confirmation.spec.is_file()
    }
    everything = [*analysed, *confirming.values()]
    _refit([(run, refit) for run in everything for refit in run.missing], address, say)
    written: list[Location] = []
    for run in everything:
        alone = len(runs) == 1 and run is analysed[0]
        written += run.write(export if export is None or alone else export / run.name, format_)
    searched = [run.as_asked_for() for run in analysed]
    confirmed = [
        replace(confirming[run.name].as_asked_for(), confirms=run) for run in searched if run.name in confirming
    ]
    evaluated = [*searched, *confirmed]
    comparison, differences = analysis.compare(evaluated), analysis.differences(evaluated)
    to = runs[0].results if export is None and len(runs) == 1 else export
    if to is not None:
        written += _write_comparison(comparison, differences, to)
    notes = [f"{run.name}: " * (len(everything) > 1) + note for run in everything for note in run.notes]
    notes = [*caveats(evaluated), *notes]
    return Evaluation(runs=searched, comparison=comparison, differences=differences, notes=notes, written=written)


def ablate_run(
    run: RunDir, rows: str, cols: str, metric: str, by: str | None, export: Location | None
) -> tuple[Ablation, list[Location]]:
    """Pivot a run as it is now, see :func:`scale_tune.ablation.ablate`, and write what came out.

    Args:
        export: where to; None: ``ablation`` below the run's own ``results``.

    Raises:
        UserError: this is no run, or it has no such parameter or metric.
    """
    from scale_tune.figures import ablation_figures  # matplotlib takes its time

    frames = {name: table.to_pandas() for name, table in results.collect(run).items()}
    found = ablate(RunTables(name=run.path.name, spec=run.read_spec(), tables=frames), rows, cols, metric, by)
    directory = run.results / "ablation" if export is None else export
    name = f"{found.rows}-{found.cols}-{metric}" + f"-by-{found.by}" * (found.by is not None)
    contents = {f"{name}.tex": pivot_latex(found).encode()}
    contents |= {f"{name}.{format_}": content for format_, content in ablation_figures(found).items()}
    return found, [*results.write_tables({name: found.table}, directory), *results.write_files(contents, directory)]


def _names(runs: Sequence[RunDir]) -> list[str]:
    """A name for each run: that of its directory, with those of enough parents to tell it from the others."""
    parts = [run.path.resolved().address.strip("/").split("/") for run in runs]
    names = []
    for own in parts:
        length = 1
        while sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(own[-length:]))
    return names


def _write_comparison(comparison: pd.DataFrame, differences: pd.DataFrame, directory: Location) -> list[Location]:
    tables = {
        "comparison": table_from(comparison, COMPARISON),
        "differences": table_from(differences, DIFFERENCES),
    }
    latex = {"comparison.tex": comparison_latex(comparison).encode()}
    return [
        *results.write_tables(tables, directory),
        *results.write_tables(tables, directory, "csv"),
        *results.write_files(latex, directory),
    ]


@dataclass(frozen=True, kw_only=True)
class _Refit:
    """A network whose last layer is to be refitted."""

    what: str
    key: dict[str, Any]
    """The columns of its rows that tell which network it is."""
    protocols: list[DfrProtocol]
    call: "Callable[[], list[DfrResult] | None]"
    """A pure function, which can be pickled. Its result is None if the weights are gone."""


class _AnalysedRun:
    """The tables of a run, and what is to be added to its ``dfr`` and ``dfr_path``.

    What earlier analyses refitted is kept, since the weights of an ended trial never change. What they could not
    refit is tried again.
    """

    def __init__(
        self, run: RunDir, name: str, top_k: int, protocols: Collection[DfrProtocol], *, pretrained: bool = True
    ) -> None:
        self.name = name
        self._pretrained = pretrained
        self._notes: list[str] = []
        self._gone: dict[str, list[int]] = {}
        self.missing: list[_Refit] = []
        self._run = run
        self._spec = run.read_spec()
        self._tables = results.collect(run)
        self._rows: list[dict[str, Any]] = [row for row in self._tables["dfr"].to_pylist() if row["status"] == REFITTED]
        known = {_identity(row) for row in self._rows}
        path_rows = self._tables["dfr_path"].to_pylist()
        self._path_rows = [row for row in path_rows if _identity(row) in known]  # else they were written alone
        self._protocols = protocols
        self._asked_for: list[dict[str, Any]] = []
        self._ask_for_best(top_k)

    def add(self, refit: _Refit, refitted: "list[DfrResult] | UserError | None") -> None:
        """Note the result of a refit, at once in the run's directory too: an analysis may be interrupted.

        Raises:
            UserError: it was one, and not of the pretrained baseline, which is then left out.
        """
        if isinstance(refitted, UserError):
            if refit.key["features"] != "pretrained":
                raise refitted
            self._notes.append(f"pretrained baseline left out: {refitted}")
        elif refitted is None:  # just now: the search goes on, and a better trial has taken its place
            self._note_gone(refit.key, refit.protocols)
        else:
            for result in refitted:
                common = refit.key | {"protocol": result.protocol.value, "fingerprint": result.fingerprint}
                self._rows.append(common | {"status": REFITTED} | _result_columns(result))
                self._path_rows += [common | columns for columns in _path_columns(result)]
            if not self._run.writable:
                return
            added = self._added()
            # A row of dfr says that it is refitted: it comes last.
            results.write_tables({name: added[name] for name in ("dfr_path", "dfr")}, self._run.results)

    @property
    def notes(self) -> list[str]:
        """What is not refitted, and why."""
        if not self._gone:
            return self._notes
        named = [f"{trial} ({_counted('seed', seeds)})" for trial, seeds in self._gone.items()]
        more = f" and {len(named) - LISTED} more trials" * (len(named) > LISTED)
        gone = f"no DFR of {', '.join(named[:LISTED])}{more}: the weights are gone (keep_top, or deleted)"
        return [*self._notes, gone]

    def write(self, export: Location | None, format_: Format) -> list[Location]:
        """Write all tables; into the run's own directory too, where the next analysis finds them."""
        tables = self._tables | self._added()
        written = []
        if export is None or self._run.writable:
            written = results.write_tables(tables, self._run.results)
        if export is not None or format_ != "parquet":
            written = results.write_tables(tables, export or self._run.results, format_)
        return written

    def as_asked_for(self) -> RunTables:
        """The tables; of ``dfr`` and its path the rows that belong to this analysis, from earlier ones or new."""
        rows = [row for row in self._rows if any(wanted.items() <= row.items() for wanted in self._asked_for)]
        asked_for = {_identity(row) for row in rows if row["status"] == REFITTED}
        path_rows = [row for row in self._path_rows if _identity(row) in asked_for]
        tables = self._tables | results.dfr_tables(rows, path_rows)
        frames = {name: table.to_pandas() for name, table in tables.items()}
        return RunTables(name=self.name, spec=self._spec, tables=frames)

    def _added(self) -> dict[str, pa.Table]:
        return results.dfr_tables(self._rows, self._path_rows)

    def _ask_for_best(self, top_k: int) -> None:
        """Ask for every seed of the best ERM trials on each dataset, and for the pretrained network on each.

        Its splits are those of the best ERM trial there; without one, of another method's.
        """
        tables = {"trials": self._tables["trials"].to_pandas()}
        run = RunTables(name=self.name, spec=self._spec, tables=tables)
        best = analysis.best_configs(run, top_k)
        trials = read_trials(self._run.ledger)
        configs = {trial.name: self._spec.trial_config(trial.method, trial.params) for trial in trials}
        for trial in best.loc[best["method"] == Method.ERM, "trial"]:
            for seed in configs[trial].seeds:
                self._ask_for_checkpoint(trial, seed, configs[trial])
        if self._pretrained and len(best):
            data = [column for column in map(str, best) if column.startswith("config.dataset")]
            first = analysis.best_configs(run, 1).drop_duplicates(data)
            self._ask_for_pretrained({row["fingerprint"]: configs[row["trial"]] for _, row in first.iterrows()})

    def _ask_for_checkpoint(self, trial: str, seed: int, config: TrialConfig) -> None:
        key = {"features": "erm", "trial": trial, "seed": seed}
        directory = self._run.trial(trial)
        if not (missing := self._lacking(key)):
            return
        if not weights_path(directory, seed).is_file():
            self._note_gone(key, missing)
            return
        from scale_tune.dfr import refit_checkpoint  # torch takes 0.4 GB and seconds, and is seldom needed

        call = partial(refit_checkpoint, directory, seed, config.dataset, missing, config.objective)
        what = f"DFR ({' and '.join(missing)} protocol) on {trial}, seed {seed}"
        self.missing.append(_Refit(what=what, key=key, protocols=missing, call=call))

    def _ask_for_pretrained(self, configs: dict[str, TrialConfig]) -> None:
        """Ask for it on the splits of each config, given their fingerprints."""
        for fingerprint, config in configs.items():
            key = {"features": "pretrained", "trial": None, "seed": None, "fingerprint": fingerprint}
            if not (missing := self._lacking(key)):
                continue
            try:
                model = config.model.pretrained()
            except UserError as error:
                self._notes.append(f"pretrained baseline left out: {error}")
                return  # all configs of a run have one model
            from scale_tune.dfr import refit_pretrained

            call = partial(refit_pretrained, model, config.dataset, fingerprint, missing, config.objective)
            what = f"pretrained baseline ({' and '.join(missing)} protocol) of {model.name}, {model.weights}"
            self.missing.append(_Refit(what=what, key=key, protocols=missing, call=call))

    def _note_gone(self, key: dict[str, Any], protocols: Collection[DfrProtocol]) -> None:
        self._gone.setdefault(key["trial"], []).append(key["seed"])
        self._rows += [key | {"protocol": protocol.value, "status": GONE} for protocol in protocols]

    def _lacking(self, key: dict[str, Any]) -> list[DfrProtocol]:
        wanted = {protocol: key | {"protocol": protocol.value} for protocol in self._protocols}
        self._asked_for.extend(wanted.values())
        return [p for p, want in wanted.items() if not any(want.items() <= row.items() for row in self._rows)]


def _counted(what: str, numbers: Sequence[int]) -> str:
    return f"{what}{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"


def _refit(missing: Sequence[tuple[_AnalysedRun, _Refit]], address: str | None, say: Say) -> None:
    """Carry out what is missing, and say how far it is."""
    if not missing:
        return
    from scale_tune.search.refits import side_by_side  # Ray is started only if there is something to refit

    networks = f"{len(missing)} networks" if len(missing) > 1 else "a network"
    say(f"refitting the last layer of {networks}")
    with closing(side_by_side([refit.call for _, refit in missing], address)) as found:
        for number, ((run, refit), refitted) in enumerate(zip(missing, found, strict=True), 1):
            run.add(refit, refitted)
            say(f"{number} of {len(missing)}: {refit.what}")


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row of ``dfr`` shares with those of its path, and with no others."""
    return tuple(row[name] for name in ("trial", "seed", "features", "protocol", "fingerprint"))


def _result_columns(result: "DfrResult") -> dict[str, Any]:
    return {
        "C": result.C,
        "nonzero": result.classifier.nonzero,
        **{f"val_{name}": value for name, value in result.val.summary().items()},
        **{f"test_{name}": value for name, value in result.test.summary().items()},
    }


def _path_columns(result: "DfrResult") -> Iterator[dict[str, Any]]:
    for point in result.path:
        accuracies = {f"val_{name}": value for name, value in point.val.summary().items()}
        yield {"C": point.C, "chosen": point.C == result.C, "nonzero": point.nonzero, **accuracies}
