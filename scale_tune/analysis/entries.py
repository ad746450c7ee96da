"""What a run has to compare: each method and each kind of refit on each of its datasets, with what was selected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from scale_tune.analysis.counts import measured, rows_of_refits, rows_of_trial
from scale_tune.analysis.intervals import NO_SEED
from scale_tune.analysis.knowledge import Knowledge, of_pretrained, of_refitted, of_trained
from scale_tune.analysis.measured import Measured
from scale_tune.analysis.selection import Data, data_of, eligible, ranked, select_best, select_best_dfr
from scale_tune.ranking import best_first
from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.space import RunSpec
from scale_tune.tables.schemas import REFITTED, Row, rows_of

SEARCHED, CONFIRMED = "searched", "confirmed"
"""The kinds of seeds: those that a config was selected by, and fresh ones."""


@dataclass(frozen=True, kw_only=True)
class RunTables:
    """A run as an analysis sees it."""

    name: str
    spec: RunSpec
    """What it searched."""
    tables: dict[str, pd.DataFrame] = field(repr=False)
    """As :func:`scale_tune.tables.collect.load_results` gives them."""
    confirms: "RunTables | None" = field(default=None, repr=False)
    """The run whose selected configs this one has trained again, see :mod:`scale_tune.workflows.confirm`."""

    @property
    def seeds_kind(self) -> str:
        """Whether its seeds are those that configs were selected by."""
        return SEARCHED if self.confirms is None else CONFIRMED

    @cached_property
    def entries(self) -> "list[Entry]":
        """What the run has to compare: on each of its datasets, each method and each kind of refit.

        A confirmation selects nothing: it has what was selected in the run that it confirms.
        """
        if self.confirms is not None:
            trained = [entry for entry in self.confirms.entries if entry.trial is not None]
            return [_confirmed(self, entry) for entry in trained]
        of_trials = data_of(self.tables["trials"], self.spec)
        datasets = list(dict.fromkeys(of_trials))
        found = []
        for data in datasets:
            trials = self.tables["trials"][[each == data for each in of_trials]]
            found += [_entry(self, data, method, trials) for method in trials["method"].unique()]
            found += _dfr_entries(self, data, trials)
        return found


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method on one dataset of a run, with the trial that was selected for it."""

    run: RunTables
    data: Data
    method: str
    """As the comparison calls it: each DFR protocol is a method."""
    trials: pd.DataFrame = field(repr=False)
    """The rows of ``trials`` that it was selected among."""
    eligible: int
    """How many of them could be selected."""
    trial: str | None
    """The selected one."""
    measured: dict[str, Measured] = field(repr=False)
    """What the selected trial's seeds got right, by split: val and test."""
    knowledge: Knowledge
    """What it was told, and what its search cost."""
    protocol: DfrProtocol | None = None
    """Of DFR, if its last layer was refitted."""

    @property
    def selected_by(self) -> str:
        """The validation accuracy that selects."""
        return self.run.spec.objective.value

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that its means are over."""
        return self.measured["val"].seeds if self.measured else ()

    @property
    def seeds_asked(self) -> int:
        """How many the run trains of each trial; 1 of a network that is not trained."""
        return 1 if self.seeds == (NO_SEED,) else len(self.run.spec.seeds)

    def selected(self) -> Row:
        """The selected trial's row of ``trials``."""
        return _row_of(self.trials, self.trial)

    def mean(self, split: str) -> float:
        """The mean over seeds of the accuracy that selects; minus infinity without a result."""
        return float(self.measured[split].accuracies[self.selected_by].mean()) if self.measured else -math.inf


def entries(runs: Sequence[RunTables]) -> list[Entry]:
    """What is compared, in the order of the comparison.

    Accuracies on different data can't be compared: an option of the dataset that is searched as a choice makes data
    of its own, with a selection in each. One that is drawn from a range is a hyperparameter like any other.
    """
    by_data: dict[Data, list[Entry]] = {}
    for run in runs:
        for entry in run.entries:
            by_data.setdefault(entry.data, []).append(entry)
    return [found[i] for found in by_data.values() for i in best_first(entry.mean("val") for entry in found)]


def refit_name(trial: str | None, features: str, protocol: str) -> str:
    """What a comparison calls a refit, as its rows of ``dfr`` have it."""
    return f"{features if pd.isna(trial) else 'dfr'} ({protocol})"


def _row_of(trials: pd.DataFrame, trial: str | None) -> Row:
    (row,) = rows_of(trials[trials["trial"] == trial])
    return row


def _entry(run: RunTables, data: Data, method: str, trials: pd.DataFrame) -> Entry:
    of_method = trials[trials["method"] == method]
    best = select_best(of_method).get(method)
    return Entry(
        run=run,
        data=data,
        method=method,
        trials=of_method,
        eligible=len(eligible(of_method)),
        trial=best,
        measured={} if best is None else measured(rows_of_trial(run.tables["groups"], best)),
        knowledge=of_trained(run.spec, method, None if best is None else _row_of(of_method, best)),
    )


def _confirmed(run: RunTables, selected: Entry) -> Entry:
    """What became of a selected config on fresh seeds."""
    same_data = [data == selected.data for data in data_of(run.tables["trials"], run.spec)]
    trials = run.tables["trials"][same_data]
    of_method = trials[trials["method"] == selected.selected()["method"]]
    configs = [column for column in trials.columns if column.startswith("config.")]
    wanted = pd.Series({column: selected.selected()[column] for column in configs})
    whole = eligible(of_method)
    same = [row[configs].equals(wanted.astype(object)) for _, row in whole.astype(object).iterrows()]
    trial = whole.loc[same, "trial"].iloc[0] if any(same) else None
    rows = run.tables["groups"].iloc[:0]
    if trial is not None and selected.protocol is None:
        rows = rows_of_trial(run.tables["groups"], trial)
    elif trial is not None:
        dfr = run.tables["dfr"]
        seeds = dfr[(dfr["trial"] == trial) & (dfr["protocol"] == selected.protocol) & (dfr["status"] == REFITTED)]
        rows = rows_of_refits(run.tables["groups"], seeds)
    return replace(
        selected,
        run=run,
        trials=of_method,
        eligible=len(whole),
        trial=trial,
        measured=measured(rows),
    )


def _dfr_entries(run: RunTables, data: Data, trials: pd.DataFrame) -> list[Entry]:
    """An entry for each refit, as ``dfr (scale)``. One of no trial, the pretrained baseline, is known by its data."""
    dfr, judged = run.tables["dfr"], ranked(trials)
    groups = run.tables["groups"]
    same_splits = dfr["trial"].isna()
    if same_splits.any():
        own = groups["protocol"].isna() & groups["trial"].isin(judged["trial"])
        same_splits &= dfr["fingerprint"].isin(groups.loc[own, "fingerprint"].unique())
    dfr = dfr[(dfr["status"] == REFITTED) & (dfr["trial"].isin(trials["trial"]) | same_splits)]
    selected = select_best_dfr(dfr, run.spec.objective.value)
    found = []
    for (features, name), seeds in selected.groupby(["features", "protocol"]):
        protocol = DfrProtocol(str(name))
        refitted = dfr.loc[(dfr["protocol"] == protocol) & (dfr["features"] == features), "trial"].dropna()
        of_trial = seeds["trial"].iloc[0]
        knowledge = (
            of_pretrained(run.spec, protocol, rows_of(judged)[0])
            if pd.isna(of_trial)
            else of_refitted(run.spec, protocol, _row_of(trials, of_trial))
        )
        found.append(
            Entry(
                run=run,
                data=data,
                method=refit_name(of_trial, str(features), protocol),
                trials=trials[trials["trial"].isin(refitted)],
                eligible=refitted.nunique(),
                trial=None if pd.isna(of_trial) else of_trial,
                measured=measured(rows_of_refits(groups, seeds)),
                knowledge=knowledge,
                protocol=protocol,
            )
        )
    return found
