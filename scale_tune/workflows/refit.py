"""What an analysis adds to the tables of a run: the refitted last layers (DFR) of all its completed ERM trials.

Which of them is best is not known before: a search by ERM's own worst group prefers other networks than DFR does. What
is in the tables is not refitted again, and results are written there as they come.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import eligible
from scale_tune.errors import UserError
from scale_tune.ledger.studies import read_trials
from scale_tune.methods import is_refitted
from scale_tune.networks import pretrained
from scale_tune.spec.config import DatasetConfig, DfrProtocol, Splits, TrialConfig
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables import run_schemas
from scale_tune.tables.columns import cell_columns
from scale_tune.tables.files import Format, of_run, write_tables
from scale_tune.tables.refits import IS_REFIT, identity, own_rows, with_refits
from scale_tune.tables.schemas import GONE, PRETRAINED, REFITTED, UNDEFINED, table_of
from scale_tune.training.records import CellsRecord, GroupsRecord
from scale_tune.training.trialdir import features_path

if TYPE_CHECKING:
    from scale_tune.dfr.protocols import DfrResult

Say = Callable[[str], None]
Rows = list[dict[str, Any]]
Request = tuple[Any, ...]
LISTED = 3
"""Trials that a note names."""


@dataclass(frozen=True, kw_only=True)
class PendingRefit:
    """A network whose last layer is to be refitted."""

    what: str
    key: dict[str, Any]
    """The columns of its rows that tell which network it is."""
    protocols: list[DfrProtocol]
    call: "Callable[[], list[DfrResult] | None]"
    """A pure function, which can be pickled. Its result is None if the features are gone, and lacks protocols that are
    not defined on the data."""


class AnalysedRun:
    """The tables of a run, and what is to be added to its ``dfr``, ``dfr_path`` and ``groups``.

    What earlier analyses refitted is kept, since the features of an ended trial never change, and so is that a protocol
    is undefined on them. Features that were gone are looked for again.
    """

    def __init__(self, run: RunDir, name: str, protocols: Collection[DfrProtocol], *, pretrained: bool = True) -> None:
        self.name = name
        self._pretrained = pretrained
        self._notes: list[str] = []
        self._gone: dict[str, list[int]] = {}
        self.missing: list[PendingRefit] = []
        self._run = run
        self._spec = run.read_spec()
        self._tables = results.collect(run)
        rows, path_rows = (self._tables[name].to_pylist() for name in ("dfr", "dfr_path"))
        group_rows = self._tables["groups"].filter(IS_REFIT).to_pylist()
        self._tables["groups"] = own_rows(self._tables["groups"])
        # A row of dfr is written last. Without those of groups, which somebody has deleted, it can't be compared.
        counted = {identity(row) for row in group_rows}
        refitted = [row for row in rows if row["status"] == REFITTED and identity(row) in counted]
        self._rows: Rows = [*refitted, *(row for row in rows if row["status"] == UNDEFINED)]
        self._path_rows: Rows = _of(refitted, path_rows)
        self._group_rows: Rows = _of(refitted, group_rows)
        self._protocols = protocols
        self._asked_for: set[Request] = set()
        self._known = set(map(_request, self._rows))
        self._written = 0.0  # when, and how long it took
        self._writing_took = 0.0
        self._ask()

    def add(self, refit: PendingRefit, refitted: "list[DfrResult] | UserError | None") -> None:
        """Note the result of a refit; what was noted is written from time to time, see :meth:`keep`.

        Raises:
            UserError: it was one, and not of the pretrained baseline, which is then left out.
        """
        if isinstance(refitted, UserError):
            if refit.key["features"] != PRETRAINED:
                raise refitted
            self._notes.append(f"pretrained baseline left out: {refitted}")
        elif refitted is None:  # somebody has deleted them just now
            self._note_gone(refit.key, refit.protocols)
        else:
            for result in refitted:
                common = refit.key | {"protocol": result.protocol.value, "fingerprint": result.fingerprint}
                self._rows.append(common | {"status": REFITTED} | _result_columns(result))
                self._path_rows += [common | columns for columns in _path_columns(result)]
                self._group_rows += [common | columns for columns in _group_columns(result)]
            undefined = set(refit.protocols) - {result.protocol for result in refitted}
            self._rows += [refit.key | {"protocol": protocol.value, "status": UNDEFINED} for protocol in undefined]
            # Writing takes a tenth of the time at most, however many there are.
            if time.monotonic() - self._written > 10 * self._writing_took:
                self.keep()

    def keep(self) -> None:
        """Write what was refitted into the run's directory, where the next analysis finds it."""
        if not self._run.writable:
            return
        started, added = time.monotonic(), of_run(self._run, self._added())
        # A row of dfr says that it is refitted: it comes last.
        write_tables({name: added[name] for name in ("groups", "dfr_path", "dfr")}, self._run.results)
        self._written = time.monotonic()
        self._writing_took = self._written - started

    @property
    def notes(self) -> list[str]:
        """What is not refitted, and why."""
        notes = [*self._notes, *self._undefined()]
        if not self._gone:
            return notes
        named = [f"{trial} ({_counted('seed', seeds)})" for trial, seeds in self._gone.items()]
        more = f" and {len(named) - LISTED} more trials" * (len(named) > LISTED)
        return [*notes, f"no DFR of {', '.join(named[:LISTED])}{more}: the features are gone"]

    def _undefined(self) -> Iterator[str]:
        rows = [row for row in self._rows if row["status"] == UNDEFINED and row["protocol"] in self._protocols]
        if rows:
            yield (
                f"no DFR ({rows[0]['protocol']}) of {len(rows)} network{'s' * (len(rows) != 1)}: their train lacks a "
                "group, or conflicting samples of a class, so that no part of it is group-balanced"
            )

    def write(self, export: Location | None, format_: Format) -> list[Location]:
        """Write all tables; into the run's own directory too, where the next analysis finds them."""
        tables = of_run(self._run, self._tables | self._added())
        written = []
        if export is None or self._run.writable:
            written = write_tables(tables, self._run.results)
        if export is not None or format_ != "parquet":
            written = write_tables(tables, export or self._run.results, format_)
        return written

    def as_asked_for(self) -> RunTables:
        """The tables; of refits the rows that belong to this analysis, from earlier ones or new."""
        rows = [row for row in self._rows if _request(row) in self._asked_for]
        refitted = [row for row in rows if row["status"] == REFITTED]
        tables = self._tables | self._tables_of(rows, _of(refitted, self._path_rows), _of(refitted, self._group_rows))
        frames = {name: table.to_pandas() for name, table in tables.items()}
        return RunTables(name=self.name, spec=self._spec, tables=frames)

    def _added(self) -> dict[str, pa.Table]:
        return self._tables_of(self._rows, self._path_rows, self._group_rows)

    def _tables_of(self, rows: Rows, path_rows: Rows, group_rows: Rows) -> dict[str, pa.Table]:
        return {
            "dfr": table_of(rows, run_schemas.DFR),
            "dfr_path": table_of(path_rows, run_schemas.DFR_PATH),
            "groups": with_refits(self._tables["groups"], table_of(group_rows, run_schemas.GROUPS)),
        }

    def _ask(self) -> None:
        """Ask for every seed of every completed ERM trial, and for the pretrained network on each dataset."""
        table = self._tables["trials"].to_pandas()
        selectable = eligible(table)
        ledger = read_trials(self._run.ledger)
        configs = {trial.name: self._spec.trial_config(trial.method, trial.params) for trial in ledger}
        of_seeds = _fingerprints(self._tables["groups"])
        for trial in selectable["trial"]:
            if is_refitted(configs[trial]):
                for seed in configs[trial].seeds:
                    self._ask_for_trial(trial, seed, configs[trial], of_seeds[trial, seed])
        if self._pretrained and len(selectable):
            asked: set[str] = set()
            for trial in selectable["trial"]:
                for seed, dataset in configs[trial].datasets.items():
                    if (fingerprint := of_seeds[trial, seed]) not in asked:
                        asked.add(fingerprint)
                        own = seed if configs[trial].splits is Splits.PER_SEED else None
                        if not self._ask_for_pretrained(configs[trial], dataset, fingerprint, own):
                            return  # all configs of a run have one model

    def _ask_for_trial(self, trial: str, seed: int, config: TrialConfig, fingerprint: str) -> None:
        key = {"features": config.method, "trial": trial, "seed": seed}
        directory = self._run.trial(trial)
        if not (missing := self._lacking(key)):
            return
        if not features_path(directory, seed).is_file():
            self._note_gone(key, missing)
            return
        from scale_tune.dfr.protocols import refit_trial  # torch takes 0.4 GB and seconds, and is seldom needed

        call = partial(refit_trial, directory, seed, config, fingerprint, missing)
        what = f"DFR ({' and '.join(missing)} protocol) on {trial}, seed {seed}"
        self.missing.append(PendingRefit(what=what, key=key, protocols=missing, call=call))

    def _ask_for_pretrained(
        self, config: TrialConfig, dataset: DatasetConfig, fingerprint: str, seed: int | None
    ) -> bool:
        """Ask for it on the splits of a fingerprint, which are those of one seed or, without one, of all; if any."""
        key = {"features": PRETRAINED, "trial": None, "seed": seed, "fingerprint": fingerprint}
        if not (missing := self._lacking(key)):
            return True
        try:
            model = pretrained(config.model)
        except UserError as error:
            self._notes.append(f"pretrained baseline left out: {error}")
            return False
        from scale_tune.dfr.protocols import refit_pretrained

        where = (model, dataset, fingerprint, missing, config.objective, self._run.sources(), seed or 0)
        what = f"pretrained baseline ({' and '.join(missing)} protocol) of {model.name}, {model.weights}"
        what += f", seed {seed}" * (seed is not None)
        self.missing.append(PendingRefit(what=what, key=key, protocols=missing, call=partial(refit_pretrained, *where)))
        return True

    def _note_gone(self, key: dict[str, Any], protocols: Collection[DfrProtocol]) -> None:
        self._gone.setdefault(key["trial"], []).append(key["seed"])
        self._rows += [key | {"protocol": protocol.value, "status": GONE} for protocol in protocols]

    def _lacking(self, key: dict[str, Any]) -> list[DfrProtocol]:
        wanted = {protocol: _request(key | {"protocol": protocol.value}) for protocol in self._protocols}
        self._asked_for.update(wanted.values())
        return [protocol for protocol, request in wanted.items() if request not in self._known]


def _request(row: dict[str, Any]) -> Request:
    """What a row of ``dfr`` answers: the pretrained network's is of the data that its features are of."""
    of_data = row["fingerprint"] if row["trial"] is None else None
    return row["features"], row["trial"], row["seed"], row["protocol"], of_data


def _fingerprints(own: pa.Table) -> dict[tuple[str, int], str]:
    """Of the splits of each trial and seed, from the rows of ``groups`` that are of no refit."""
    columns = ["trial", "seed", "fingerprint"]
    distinct = own.select(columns).group_by(columns).aggregate([])
    return {(row["trial"], row["seed"]): row["fingerprint"] for row in distinct.to_pylist()}


def _counted(what: str, numbers: Sequence[int]) -> str:
    return f"{what}{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"


def refit_missing(missing: Sequence[tuple[AnalysedRun, PendingRefit]], address: str | None, say: Say) -> None:
    """Carry out what is missing, and say how far it is."""
    if not missing:
        return
    networks = f"{len(missing)} networks" if len(missing) > 1 else "a network"
    say(f"refitting the last layer of {networks} …")
    from scale_tune.search.side_by_side import side_by_side  # only if there is something to refit

    try:
        with closing(side_by_side([network.call for _, network in missing], address)) as found:
            for number, ((run, network), refitted) in enumerate(zip(missing, found, strict=True), 1):
                run.add(network, refitted)
                say(f"{number} of {len(missing)}: {network.what}")
        say("comparing …")
    finally:  # an analysis may be interrupted
        for analysed in {id(run): run for run, _ in missing}.values():
            analysed.keep()


def _of(refitted: Rows, rows: Rows) -> Rows:
    """The rows of another table that belong to these refits."""
    wanted = set(map(identity, refitted))
    return [row for row in rows if identity(row) in wanted]


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


def _group_columns(result: "DfrResult") -> Iterator[dict[str, Any]]:
    for split, counts in (("val", result.val), ("test", result.test)):
        columns = cell_columns(GroupsRecord.of(counts), CellsRecord.of(counts.groups))
        for values in zip(*columns.values(), strict=True):
            yield {"split": split, **dict(zip(columns, values, strict=True))}
