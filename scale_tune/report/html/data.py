"""What the report shows, as plain frames: computed from the tables alone, drawn and printed elsewhere."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from scale_tune.analysis.counts import rows_of_trial
from scale_tune.analysis.selection import eligible
from scale_tune.spec.parameters import Choice, Constant, IntRange, Parameter
from scale_tune.spec.space import RunSpec
from scale_tune.tables.schemas import Row, rows_of

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")
ENDED = ("complete", "pruned", "failed")
STATES = (*ENDED, "running", "waiting")


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All that a report is made of; nothing else is read."""

    name: str
    """Of the run."""
    where: str
    """Its directory."""
    spec: RunSpec
    tables: Mapping[str, pd.DataFrame]
    """As :func:`scale_tune.tables.collect.load_results` gives them."""
    comparison: pd.DataFrame
    """A row per method, also of other runs, as :func:`scale_tune.analysis.comparison.compare` makes it."""
    differences: pd.DataFrame
    """Between two methods each, with an interval."""
    warnings: Sequence[str] = ()
    """What a reader of the comparison would otherwise be misled about."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How the run was made, as in its ``spec.yaml``, and ``fingerprints`` of the data by trial."""
    made: datetime
    """When the tables were read."""


def progress(trials: pd.DataFrame, spec: RunSpec) -> pd.DataFrame:
    """How many trials of each method are in each state, and how many were asked for; a row per method of the spec."""
    rows = []
    for method in spec.methods:
        states = trials.loc[trials["method"] == method, "state"]
        counts = {state: int((states == state).sum()) for state in STATES}
        # A run may have been extended by a driver that draws the new trials one by one.
        asked = max(spec.method_samples(method), len(states))
        rows.append({"method": method, "asked": asked, **counts, "absent": asked - len(states)})
    return pd.DataFrame(rows)


def per_seed(epochs: pd.DataFrame, trial: str, column: str) -> pd.DataFrame:
    """A column of ``epochs`` on val: a row per epoch, a column per seed; empty if it was never measured."""
    rows = epochs[(epochs["trial"] == trial) & (epochs["split"] == "val")].dropna(subset=column)
    return rows.pivot(index="epoch", columns="seed", values=column)


def in_order(datasets: Iterable[str]) -> list[str]:
    """Names of kinds of data, each once, by the values of their options; a comparison has them as trials were drawn."""
    # Every second part is a number.
    return sorted(set(datasets), key=lambda name: [float(p) if i % 2 else p for i, p in enumerate(_NUMBER.split(name))])


def dataset_of(analysed: Analysis, trial: str) -> str:
    """The kind of data that a selected trial was trained on; empty if the run has one kind, or it is not selected."""
    own = analysed.comparison[analysed.comparison["run"] == analysed.name]
    names = own.loc[own["trial"] == trial, "dataset"]
    return str(names.iloc[0]) if own["dataset"].nunique() > 1 and len(names) else ""


def diagnostics(table: pd.DataFrame, trial: str) -> dict[str, pd.DataFrame]:
    """What a trial's method reports besides, by name: a row per epoch, a column per seed."""
    of_trial = table[table["trial"] == trial].groupby("name", sort=False)
    return {str(name): rows.pivot(index="epoch", columns="seed", values="value") for name, rows in of_trial}


def best_epochs(groups: pd.DataFrame, trial: str) -> pd.Series:
    """The selected epoch of each seed."""
    return rows_of_trial(groups, trial).groupby("seed")["epoch"].first()


def validation_against_test(trials: pd.DataFrame, accuracy: str) -> pd.DataFrame:
    """The trials that were judged on test, with this accuracy on both."""
    return trials.dropna(subset=[f"val_{accuracy}_mean", f"test_{accuracy}_mean"])


def history(trials: pd.DataFrame, method: str) -> pd.DataFrame:
    """A method's trials in the order in which they were drawn, with the best selectable objective up to each."""
    rows = trials[trials["method"] == method].sort_values("number")
    selectable = rows["trial"].isin(eligible(rows)["trial"])
    return rows.assign(best=rows["objective"].where(selectable).cummax().ffill())


def parameters(spec: RunSpec) -> dict[str, dict[str, Parameter]]:
    """What was searched: by parameter, then by method, in the spec's order."""
    found: dict[str, dict[str, Parameter]] = {}
    for method in spec.methods:
        for name, parameter in spec.method_space(method).items():
            if not isinstance(parameter, Constant):
                found.setdefault(name, {})[method] = parameter
    return found


def drawn(parameter: Parameter, value: Any) -> Any:
    """A value as the search drew it: a column with gaps has turned the choice 16 into 16.0, one of text into "16"."""
    if isinstance(parameter, IntRange):
        return int(value)
    if isinstance(parameter, Choice):
        return next((choice for choice in parameter.values if value in (choice, json.dumps(choice))), value)
    return value


def with_objective(trials: pd.DataFrame, method: str) -> pd.DataFrame:
    """A method's ended trials that have an objective; one that was stopped early has the one it had then."""
    return trials[(trials["method"] == method) & trials["state"].isin(ENDED)].dropna(subset="objective")


def config_of(trials: pd.DataFrame, trial: str, spec: RunSpec) -> dict[str, Any]:
    """What the search drew for a trial."""
    return config_of_row(rows_of(trials[trials["trial"] == trial])[0], spec) or {}


def config_of_row(row: Row, spec: RunSpec) -> dict[str, Any] | None:
    """What the search drew for the trial of a row of ``trials``; None where it has not drawn all of it yet."""
    searched = {n: p for n, p in spec.method_space(row["method"]).items() if not isinstance(p, Constant)}
    values = {name: row.get(f"config.{name}") for name in searched}
    if any(pd.isna(value) for value in values.values()):
        return None
    return {name: drawn(parameter, values[name]) for name, parameter in searched.items()}


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """Why trials failed: a row per reason, the most frequent first.

    Returns:
        Columns ``reason`` (the last line of the traceback), ``count``, ``trials`` (names) and ``error`` (the
        traceback of the first).
    """
    failed = trials[trials["state"] == "failed"]
    errors = failed["error"].fillna("no reason was recorded")
    reasons = errors.map(lambda error: next(iter(reversed(error.strip().splitlines())), error).strip())
    rows = [
        {"reason": reason, "count": len(of), "trials": of["trial"].tolist(), "error": errors[of.index[0]]}
        for reason, of in failed.groupby(reasons, sort=False)
    ]
    rows.sort(key=lambda row: -row["count"])
    return pd.DataFrame(rows, columns=["reason", "count", "trials", "error"])


def diverged(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of which seeds were ended by a loss that was no longer finite."""
    return trials[trials["diverged"] > 0]
