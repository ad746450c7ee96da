"""From a run to its answer: select, refit the last layer of the best ERM trials, compare, write the tables."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.table import Table

from scale_tune import analysis, results
from scale_tune.config import DfrProtocol, Method, TrialConfig, nearest
from scale_tune.dfr import DfrResult, pretrained_options, refit_checkpoint, refit_pretrained
from scale_tune.errors import UserError
from scale_tune.files import Location
from scale_tune.ledger import read_trials
from scale_tune.records import TrialRecord, read_record
from scale_tune.rundir import RunDir

Say = Callable[[str], None]

REFITTED, GONE = "refitted", "weights gone"
"""The statuses of a row of the ``dfr`` table."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an analysis found and wrote."""

    leaderboard: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What a reader of the leaderboard would otherwise be misled about."""
    written: list[Location] = field(default_factory=list)


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


def evaluate(
    run: RunDir, top_k: int, protocols: Collection[DfrProtocol], export: Location | None, say: Say
) -> Evaluation:
    """Analyse a run as it is now.

    Args:
        run: its directory.
        top_k: DFR is fitted on this many of the best ERM trials; val chooses among them.
        protocols: how DFR is fitted, on each of them and on the pretrained network.
        export: where to write the tables; None: the run's own ``results``.
        say: called with a line at each step that takes time.

    Raises:
        UserError: this is no run, its data is not what its checkpoints were trained on, or its target lacks a group.
    """
    tables = results.collect(run)
    trials = tables["trials"].to_pandas()
    notes = _notes_on_trials(trials)
    refits = _Refits(tables, protocols, say, notes)
    _refit(run, analysis.ranked(trials), top_k, refits)
    tables |= refits.tables()
    # In the run's own directory too: it remembers every checkpoint that was ever refitted.
    written = results.write_tables(tables, run.results)
    if export is not None:
        written = results.write_tables(tables, export)
    best_dfr = analysis.select_best_dfr(refits.asked_for(), run.read_spec().objective)
    return Evaluation(leaderboard=analysis.leaderboard(trials, best_dfr), notes=notes, written=written)


def leaderboard_table(board: pd.DataFrame) -> Table:
    """The leaderboard for a terminal: mean ± sample standard deviation over n seeds."""
    table = Table()
    for column in ("method", "val worst-group", "test worst-group", "test average", "n seeds", "trial"):
        table.add_column(column, justify="left" if column in ("method", "trial") else "right", no_wrap=True)
    for row in board.to_dict("records"):
        cells = [_mean_and_std(row[f"{name}_mean"], row[f"{name}_std"]) for name in analysis.REPORTED]
        absent = "–" if row["seeds"] else "none eligible"  # the pretrained baseline is of no trial
        trial = absent if pd.isna(row["trial"]) else row["trial"]
        table.add_row(row["method"], *cells, str(row["seeds"]), trial)
    return table


def _mean_and_std(mean: float, std: float) -> str:
    if pd.isna(mean):
        return "–"
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} ± {std:.3f}"


def _notes_on_trials(trials: pd.DataFrame) -> list[str]:
    """What the selection left out."""
    notes = []
    for method, of_method in trials.groupby("method", sort=False):
        counts = of_method["state"].value_counts()
        unfinished = int(counts.get("running", 0) + counts.get("waiting", 0))
        diverged = int((of_method["diverged"] > 0).sum())
        parts = [
            f"{unfinished} not finished" * bool(unfinished),
            f"{counts.get('failed', 0)} failed" * bool(counts.get("failed", 0)),
            f"{diverged} diverged" * bool(diverged),
        ]
        if any(parts):
            notes.append(f"of the {len(of_method)} {method} trials, {', '.join(filter(None, parts))}: not selectable")
    return notes


def _refit(run: RunDir, ranked: pd.DataFrame, top_k: int, refits: "_Refits") -> None:
    """Refit every seed of the best ERM trials, and the pretrained network on the data of the best one.

    Without an ERM trial, the pretrained network is refitted on the data of another method's best trial.
    """
    spec = run.read_spec()
    configs = {trial.name: spec.trial_config(trial.method, trial.params) for trial in read_trials(run.ledger)}
    for trial in ranked.loc[ranked["method"] == Method.ERM, "trial"].head(top_k):
        for seed in configs[trial].seeds:
            refits.checkpoint(run.trial(trial), trial, seed, configs[trial])
    if not ranked.empty:
        first = ranked["trial"].iloc[0]
        refits.pretrained(first, read_record(run.trial(first)))


class _Refits:
    """The rows of ``dfr`` and ``dfr_path``.

    What earlier analyses refitted is kept, since the weights of an ended trial never change. What they could not
    refit is tried again.
    """

    def __init__(
        self, tables: dict[str, pa.Table], protocols: Collection[DfrProtocol], say: Say, notes: list[str]
    ) -> None:
        self._rows: list[dict[str, Any]] = [row for row in tables["dfr"].to_pylist() if row["status"] == REFITTED]
        self._path_rows: list[dict[str, Any]] = tables["dfr_path"].to_pylist()
        self._protocols = protocols
        self._say = say
        self._notes = notes
        self._asked_for: list[dict[str, Any]] = []

    def tables(self) -> dict[str, pa.Table]:
        """Both tables by name."""
        return results.dfr_tables(self._rows, self._path_rows)

    def asked_for(self) -> pd.DataFrame:
        """The rows of the ``dfr`` table that belong to this analysis, from earlier ones or new."""
        rows = [row for row in self._rows if any(wanted.items() <= row.items() for wanted in self._asked_for)]
        frame: pd.DataFrame = results.dfr_tables(rows, [])["dfr"].to_pandas()
        return frame

    def checkpoint(self, directory: Location, trial: str, seed: int, config: TrialConfig) -> None:
        """Have this seed of a trial in the tables by every protocol; if its weights are gone, say so there."""
        key = {"features": "erm", "trial": trial, "seed": seed}
        if not (missing := self._missing(key)):
            return
        self._say(f"DFR ({' and '.join(missing)} protocol) on {trial}, seed {seed}")
        refitted = refit_checkpoint(directory, seed, config.dataset, missing, config.objective)
        if refitted is None:  # perhaps just now: the search goes on, and a better trial has taken its place
            self._notes.append(f"no DFR of {trial}, seed {seed}: its weights are gone (keep_top, or deleted)")
            self._rows.extend(key | {"protocol": protocol.value, "status": GONE} for protocol in missing)
        else:
            self._add(key, refitted)

    def pretrained(self, trial: str, record: TrialRecord | None) -> None:
        """Have the pretrained baseline of this trial's model and data in the tables, or a note why not."""
        if record is None:
            self._notes.append(f"pretrained baseline left out: the directory of {trial} is gone")
            return
        config, fingerprint = record.config, record.fingerprint
        key = {"features": "pretrained", "trial": None, "seed": None, "fingerprint": fingerprint}
        if not (missing := self._missing(key)):
            return
        try:
            model = pretrained_options(config.model)
            self._say(f"pretrained baseline ({' and '.join(missing)} protocol) of {model.name}, {model.weights}")
            self._add(key, refit_pretrained(model, config.dataset, fingerprint, missing, config.objective))
        except UserError as error:
            self._notes.append(f"pretrained baseline left out: {error}")

    def _missing(self, key: dict[str, Any]) -> list[DfrProtocol]:
        wanted = {protocol: key | {"protocol": protocol.value} for protocol in self._protocols}
        self._asked_for.extend(wanted.values())
        return [p for p, want in wanted.items() if not any(want.items() <= row.items() for row in self._rows)]

    def _add(self, key: dict[str, Any], refitted: list[DfrResult]) -> None:
        for result in refitted:
            common = key | {"protocol": result.protocol.value, "fingerprint": result.fingerprint}
            self._rows.append(common | {"status": REFITTED} | _result_columns(result))
            self._path_rows.extend(common | columns for columns in _path_columns(result))


def _result_columns(result: DfrResult) -> dict[str, Any]:
    return {
        "C": result.C,
        "nonzero": result.classifier.nonzero,
        **{f"val_{name}": value for name, value in result.val.summary().items()},
        **{f"test_{name}": value for name, value in result.test.summary().items()},
    }


def _path_columns(result: DfrResult) -> Iterator[dict[str, Any]]:
    for point in result.path:
        accuracies = {f"val_{name}": value for name, value in point.val.summary().items()}
        yield {"C": point.C, "chosen": point.C == result.C, "nonzero": point.nonzero, **accuracies}
