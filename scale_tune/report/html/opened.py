"""What a trial opens to: its config, its error, the command that trains it again, and the curves of its seeds.

The curves of all trials are most of a large page, so they are whole numbers, packed, and drawn only when they are asked
for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scale_tune.ranking import best_first
from scale_tune.report.html import data
from scale_tune.report.html.again import command
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import is_missing
from scale_tune.tables.schemas import rows_of

Plain = dict[str, Any]
"""As JSON has it."""

SPLITS = ("train", "target", "val")
MAX_VALUES = 1_500_000
"""Of losses and accuracies in a page, which take about two bytes each."""
DIGITS = 10_000
"""An accuracy of 1, as a whole number."""
LOSS_DIGITS = 4


@dataclass(frozen=True)
class Opened:
    """Of every trial of a run."""

    trials: dict[str, Plain]
    """By name: ``method``, ``state``, ``config`` (what was searched), ``constants`` (what was not), ``error``,
    ``command`` (null where a trial has no config yet) and ``curves``, null where there are none or no room."""
    left_out: list[str]
    """Trials whose curves the page has no room for."""


def opened(analysed: Analysis) -> Opened:
    """What each trial opens to; where there are too many curves for a page, those of the best of each method."""
    kept, left_out = _with_room(analysed)
    drawn, trials = curves(analysed, kept), {}
    for row in rows_of(analysed.tables["trials"]):
        method, space = row["method"], analysed.spec.method_space(row["method"])
        config = data.config_of_row(row, analysed.spec)
        trials[row["trial"]] = {
            "method": method,
            "state": row["state"],
            "config": config,
            "constants": {name: p.value for name, p in space.items() if p.type == "constant"},
            "error": None if is_missing(row["error"]) else row["error"],
            "command": None if config is None else command(analysed, method, row["trial"], config),
            "curves": drawn.get(row["trial"]),
        }
    return Opened(trials, left_out)


def accuracies(analysed: Analysis) -> list[str]:
    """Those whose curves are shown: the objective, and the average."""
    return list(dict.fromkeys((analysed.spec.objective.value, "average")))


def _with_room(analysed: Analysis) -> tuple[set[str], list[str]]:
    """The trials whose curves have room, and those whose curves have none."""
    epochs, trials = analysed.tables["epochs"], analysed.tables["trials"]
    values = epochs.groupby("trial").size() * (1 + len(accuracies(analysed)))
    if values.sum() <= MAX_VALUES:
        return set(values.index), []
    ranked = trials.iloc[best_first(trials["objective"].fillna(-1))]
    # The best of every method, then the second of every method, and so on.
    ranked = ranked.iloc[ranked.groupby("method").cumcount().argsort(kind="stable")]
    sizes = values.reindex(ranked["trial"]).dropna()
    room = sizes.cumsum() <= MAX_VALUES
    return set(sizes.index[room]), list(sizes.index[~room])


def curves(analysed: Analysis, trials: set[str]) -> dict[str, Plain]:
    """The curves of some trials.

    Returns:
        By trial: ``seeds``, their ``best`` epochs, and in ``splits``, by split and then by ``loss`` or an accuracy, a
        list per seed with a value per epoch from the first, null where there is none. Accuracies are in
        1/:data:`DIGITS`, losses as they are.
    """
    columns = ["loss", *accuracies(analysed)]
    epochs = analysed.tables["epochs"]
    rows = epochs.loc[epochs["trial"].isin(trials), ["trial", "split", "seed", "epoch", *columns]]
    rows = rows.sort_values(["trial", "seed", "epoch"], kind="stable")
    found: dict[str, Plain] = {}
    for (trial, split), of_split in rows.groupby(["trial", "split"], sort=False, observed=True):
        if split not in SPLITS:
            continue
        seeds = of_split["seed"].to_numpy()
        starts = np.flatnonzero(np.r_[True, seeds[1:] != seeds[:-1]])
        own = found.setdefault(str(trial), {"seeds": [int(seed) for seed in seeds[starts]], "splits": {}})
        own["splits"][split] = {
            column: [_plain(part, column) for part in np.split(of_split[column].to_numpy(), starts[1:])]
            for column in columns
        }
    best = analysed.tables["groups"].dropna(subset=["trial", "epoch"]).drop_duplicates(["trial", "seed"])
    for trial, of_trial in best[best["trial"].isin(found)].groupby("trial"):
        at = dict(zip(of_trial["seed"], of_trial["epoch"], strict=True))
        found[str(trial)]["best"] = [None if s not in at else int(at[s]) for s in found[str(trial)]["seeds"]]
    return found


def _plain(values: np.ndarray[Any, Any], column: str) -> list[float | None]:
    if column == "loss":
        shown = np.round(values, LOSS_DIGITS).tolist()
    else:
        shown = [value if value != value else int(value) for value in np.round(values * DIGITS).tolist()]
    return [None if value != value else value for value in shown]
