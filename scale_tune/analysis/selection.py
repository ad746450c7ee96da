"""Which config won, and by how much: selection and comparison on the tables alone.

Selection never sees test: the columns are dropped before anything is compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import pandas as pd

from scale_tune.analysis.bootstrap import Measured, intervals, paired_bootstrap
from scale_tune.analysis.counts import NO_SEED, measured, rows_of_refit, rows_of_trial
from scale_tune.ranking import best_first
from scale_tune.spec.parameters import Choice, Constant, Space
from scale_tune.spec.space import RunSpec
from scale_tune.tables.labels import shortened
from scale_tune.tables.schemas import COMPARISON, DIFFERENCES, REFITTED, Row, frame_of, rows_of

SEARCHED, CONFIRMED = "searched", "confirmed"
"""The kinds of seeds: those that a config was selected by, and fresh ones."""

DATASET = "config.dataset"
Data = tuple[tuple[str, Any], ...]
"""What a trial was trained on: pairs of a column and its value, for the dataset's name and options."""


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
        of_trials = _data(self)
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
    fingerprint: str | None
    """Of the splits that it was trained and judged on; None without one."""
    measured: dict[str, Measured] = field(repr=False)
    """What the selected trial's seeds got right, by split: val and test."""
    protocol: str | None = None
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
        (row,) = rows_of(self.trials[self.trials["trial"] == self.trial])
        return row

    def mean(self, split: str) -> float:
        """The mean over seeds of the accuracy that selects; minus infinity without a result."""
        return float(self.measured[split].accuracies[self.selected_by].mean()) if self.measured else -math.inf


def eligible(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that may be selected: run to their end, with a result of every seed, none of them diverged."""
    whole = (trials["state"] == "complete") & (trials["diverged"] == 0) & (trials["seeds"] == trials["seeds_asked"])
    return trials[whole & trials["objective"].notna()]


def ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """The eligible trials, the best of each method first.

    The published rule: the highest mean over all seeds of the best epoch's validation objective. Of equal ones
    the earlier trial comes first. The result has no column of test.
    """
    blind = trials[[column for column in trials.columns if not column.startswith("test_")]]
    in_order = eligible(blind).sort_values("number", kind="stable")
    return in_order.iloc[best_first(in_order["objective"])].sort_values("method", kind="stable")


def best_configs(run: RunTables, top_k: int) -> pd.DataFrame:
    """The best ``top_k`` different configs of each method on each dataset, as rows of :func:`ranked`.

    A config that was drawn twice counts once, as its earlier trial.
    """
    blind = ranked(run.tables["trials"])
    config = [column for column in blind.columns if column.startswith("config.")]
    distinct = blind.drop_duplicates(["method", *config])
    data = pd.Series(map(repr, _data(run)), index=run.tables["trials"].index, dtype=object)
    return distinct.groupby(["method", data.loc[distinct.index]]).head(top_k)


def select_best(trials: pd.DataFrame) -> pd.Series:
    """The selected trial of each method: trial names, indexed by method.

    A method without an eligible trial is absent.

    Args:
        trials: the ``trials`` table.
    """
    return ranked(trials).groupby("method")["trial"].first()


def leading(trials: pd.DataFrame) -> pd.DataFrame:
    """The trial that stands for each method: the selected one, or else the best so far of those that have not failed.

    Args:
        trials: the ``trials`` table.

    Returns:
        Columns ``method``, ``trial`` and ``selected``. A method without any objective has no row.
    """
    selected, rows = select_best(trials), []
    for method, of_method in trials.groupby("method", sort=False):
        so_far = of_method[of_method["objective"].notna() & (of_method["state"] != "failed")]
        if method in selected:
            rows.append({"method": method, "trial": selected[method], "selected": True})
        elif len(so_far):
            best = so_far["trial"].iloc[best_first(so_far["objective"])[0]]
            rows.append({"method": method, "trial": best, "selected": False})
    return pd.DataFrame(rows, columns=["method", "trial", "selected"])


def select_best_dfr(dfr: pd.DataFrame, objective: str) -> pd.DataFrame:
    """For each kind of features and protocol, the rows (one per seed) of the trial with the highest mean on val.

    A trial that lacks a seed that another has is not compared; of equal ones the earlier trial wins. The pretrained
    baseline has no trial, and one row for a protocol.

    Args:
        dfr: the ``dfr`` table; only refitted rows count.
        objective: ``worst_group``, ``minority`` or ``average``.
    """
    refitted = dfr[dfr["status"] == REFITTED].dropna(subset=f"val_{objective}")
    best = [refitted.iloc[:0]]
    for _, rows in refitted.groupby(["features", "protocol"]):
        trials = rows["trial"].fillna("")
        of_trial = rows.groupby(trials)[f"val_{objective}"].agg(["mean", "size"])
        whole = of_trial[of_trial["size"] == of_trial["size"].max()]
        best.append(rows[trials == whole.index[best_first(whole["mean"])[0]]])
    return pd.concat(best)


def compare(runs: Sequence[RunTables]) -> pd.DataFrame:
    """The selected trial of every method, and its accuracies with their spread over seeds.

    Returns:
        A row per run, dataset and method, with the columns of :data:`scale_tune.tables.schemas.COMPARISON`. Datasets
        follow each other in the order of the runs; on each, the highest mean of the selecting accuracy on val comes
        first, and methods of which no trial could be selected last.
    """
    found = entries(runs)
    names = dataset_names(found)
    return frame_of([_row(entry, names[entry.data]) for entry in found], COMPARISON)


def differences(runs: Sequence[RunTables]) -> pd.DataFrame:
    """How any two methods that were judged on the same images differ on test, over seeds of the same kind.

    Returns:
        A row per pair and accuracy, with the columns of :data:`scale_tune.tables.schemas.DIFFERENCES`. The method that
        stands first in the comparison is the first of its pair.
    """
    found = [entry for entry in entries(runs) if "test" in entry.measured]
    names = dataset_names(found)
    rows = []
    for entry, other in combinations(found, 2):
        same_images = entry.data == other.data and entry.fingerprint == other.fingerprint
        if same_images and entry.run.seeds_kind == other.run.seeds_kind:
            pair = {"dataset": names[entry.data], "run": entry.run.name, "method": entry.method}
            pair |= {"other_run": other.run.name, "other_method": other.method, "seeds_kind": entry.run.seeds_kind}
            for accuracy, of in paired_bootstrap(entry.measured["test"], other.measured["test"]).items():
                rows.append({**pair, "accuracy": accuracy, **vars(of)})
    return frame_of(rows, DIFFERENCES)


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


def dataset_names(found: Sequence[Entry]) -> dict[Data, str]:
    """A name for each dataset: its own, with those options that differ between the entries."""
    options = {entry.data: dict(entry.data) for entry in found}
    names = {}
    for data, own in options.items():
        others = [other for other in options.values() if other[DATASET] == own[DATASET]]
        differing = [name for name in own if any(other.get(name) != own[name] for other in others)]
        text = ", ".join(f"{name.removeprefix(f'{DATASET}.')}={shortened(own[name])}" for name in differing)
        names[data] = f"{own[DATASET]} ({text})" if text else own[DATASET]
    return names


def config_text(entry: Entry) -> str:
    """The selected trial's values of what the search varied, apart from its data."""
    row = entry.selected()
    space = entry.run.spec.method_space(row["method"])
    of_data = dict(entry.data)
    names = [n for n, p in space.items() if not isinstance(p, Constant) and f"config.{n}" not in of_data]
    return ", ".join(f"{name}={shortened(row[f'config.{name}'])}" for name in names)


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
        fingerprint=_fingerprint(of_method, best),
        measured={} if best is None else measured(rows_of_trial(run.tables["groups"], best)),
    )


def _fingerprint(trials: pd.DataFrame, trial: str | None) -> str | None:
    return None if trial is None else str(trials.set_index("trial").loc[trial, "fingerprint"])


def _confirmed(run: RunTables, selected: Entry) -> Entry:
    """What became of a selected config on fresh seeds."""
    same_data = [data == selected.data for data in _data(run)]
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
        if len(seeds):
            rows = rows_of_refit(run.tables["groups"], seeds.iloc[0])
    return replace(
        selected,
        run=run,
        trials=of_method,
        eligible=len(whole),
        trial=trial,
        fingerprint=_fingerprint(of_method, trial),
        measured=measured(rows),
    )


def _dfr_entries(run: RunTables, data: Data, trials: pd.DataFrame) -> list[Entry]:
    """An entry for each refit, as ``dfr (scale)``. One of no trial, the pretrained baseline, is known by its data."""
    dfr, judged = run.tables["dfr"], ranked(trials)
    same_splits = dfr["trial"].isna() & dfr["fingerprint"].isin(judged["fingerprint"])
    dfr = dfr[(dfr["status"] == REFITTED) & (dfr["trial"].isin(trials["trial"]) | same_splits)]
    selected = select_best_dfr(dfr, run.spec.objective.value)
    found = []
    for (features, protocol), seeds in selected.groupby(["features", "protocol"]):
        refitted = dfr.loc[(dfr["protocol"] == protocol) & (dfr["features"] == features), "trial"].dropna()
        of_trial = seeds["trial"].iloc[0]
        found.append(
            Entry(
                run=run,
                data=data,
                method=f"{features if pd.isna(of_trial) else 'dfr'} ({protocol})",
                trials=trials[trials["trial"].isin(refitted)],
                eligible=refitted.nunique(),
                trial=None if pd.isna(of_trial) else of_trial,
                fingerprint=str(seeds["fingerprint"].iloc[0]),
                measured=measured(rows_of_refit(run.tables["groups"], seeds.iloc[0])),
                protocol=str(protocol),
            )
        )
    return found


def _row(entry: Entry, dataset: str) -> Row:
    row: Row = {
        "run": entry.run.name,
        "confirms": entry.run.confirms.name if entry.run.confirms else None,
        "dataset": dataset,
        "method": entry.method,
        "trial": entry.trial,
        "config": None if entry.trial is None else config_text(entry) or None,
        "selected_by": entry.selected_by,
        "trials": len(entry.trials),
        "eligible": entry.eligible,
        "seeds": len(entry.seeds),
        "seeds_asked": entry.seeds_asked,
        "seeds_kind": entry.run.seeds_kind,
        "interval": entry.measured["val"].resampled if entry.measured else None,
    }
    for split, of_split in entry.measured.items():
        ends = intervals(of_split)
        for accuracy, values in of_split.accuracies.items():
            low, high = ends[accuracy]
            std = float(values.std(ddof=1)) if len(values) > 1 else None
            stats = {"mean": float(values.mean()), "std": std, "low": low, "high": high}
            row |= {f"{split}_{accuracy}_{stat}": value for stat, value in stats.items()}
    return row


def _data(run: RunTables) -> list[Data]:
    """What each trial of a run was trained on."""
    trials = run.tables["trials"]
    columns = [column for column in trials.columns if column == DATASET or column.startswith(f"{DATASET}.")]
    fixed = {
        method: [column for column in columns if _is_fixed(run.spec.method_space(method), column)]
        for method in trials["method"].unique()
    }
    return [
        tuple((column, row[column]) for column in fixed[row["method"]] if not pd.isna(row[column]))
        for row in trials[["method", *columns]].to_dict("records")
    ]


def _is_fixed(space: Space, column: str) -> bool:
    parameter = space.get(column.removeprefix("config."))
    return parameter is None or isinstance(parameter, Choice | Constant)
