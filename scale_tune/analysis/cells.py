"""One cell of an ablation: which trial or refit stands for it, and what it reached, or why there is nothing to show.

Test never chooses: its columns are dropped before anything is compared.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from scale_tune.analysis.counts import measured, rows_of_trial
from scale_tune.analysis.measured import Measured
from scale_tune.analysis.selection import eligible, ranked, select_best_dfr
from scale_tune.ranking import best_first
from scale_tune.tables.schemas import PRETRAINED, REFITTED

NOT_REFITTED = "not refitted yet"

Fingerprints = frozenset[str]
"""Of the splits of a trial, those of all its seeds."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What an arm reached at two values."""

    mean: float | None = None
    """Of the metric over seeds; None of a missing cell."""
    std: float | None = None
    """The sample's (n - 1); None of fewer than two."""
    seeds: int = 0
    trial: str | None = None
    """The one that is shown; None of a missing cell, and of the pretrained network."""
    trials: int = 0
    """How many the cell has."""
    missing: str | None = None
    """Why there is nothing to show."""
    remark: str | None = None
    """What was left out of the choice."""
    protocol: str | None = None
    """Of DFR, if the last layer was refitted."""
    fingerprints: Fingerprints = frozenset()
    """Of the data, of a pretrained network."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a cell is to show."""

    metric: str
    """As test_minority."""
    objective: str
    """The validation accuracy that chooses."""
    protocol: str
    """Of DFR."""


def trained_cell(trials: pd.DataFrame, asked: Asked) -> Cell:
    """Of the trials that are at their end with all seeds, the one with the best validation objective."""
    best = ranked(trials)["trial"]
    if best.empty:
        return Cell(trials=len(trials), missing=_why_none(trials))
    (row,) = trials[trials["trial"] == best.iloc[0]].to_dict("records")
    mean, std = (row[f"{asked.metric}_{stat}"] for stat in ("mean", "std"))
    if pd.isna(mean):
        return Cell(trials=len(trials), missing=_unmeasured(asked))
    known_std = None if pd.isna(std) else float(std)
    return Cell(mean=float(mean), std=known_std, seeds=int(row["seeds"]), trial=row["trial"], trials=len(trials))


def refitted_cell(trials: pd.DataFrame, dfr: pd.DataFrame, asked: Asked) -> Cell:
    """Of the trials whose last layer was refitted with every seed, the one whose refits are best on val.

    Args:
        trials: the cell's, of the methods whose networks are refitted.
        dfr: the table.
        asked: the metric and the protocol.
    """
    whole = eligible(trials)
    if whole.empty:
        return Cell(trials=len(trials), missing=_why_none(trials))
    rows = dfr[(dfr["protocol"] == asked.protocol) & dfr["trial"].isin(whole["trial"])]
    done = rows[rows["status"] == REFITTED]
    seeds = dict(zip(whole["trial"], whole["seeds_asked"], strict=True))
    counts = done.groupby("trial").size()
    complete = [str(trial) for trial, n in counts.items() if n == seeds[trial]]
    if not complete:
        return Cell(trials=len(trials), missing=_why_not_refitted(rows, max(seeds.values())))
    cell = _refit(done[done["trial"].isin(complete)], len(trials), asked)
    if left_out := sorted(set(whole["trial"]) - set(complete)):
        why = _why_not_refitted(rows[rows["trial"].isin(left_out)], max(seeds.values()))
        return replace(cell, remark=f"{len(left_out)} of {len(whole)} trials left out: {why}")
    return cell


def pretrained_cell(data: Collection[Fingerprints], dfr: pd.DataFrame, asked: Asked) -> Cell:
    """The refit of the pretrained network on the cell's data; of several kinds of data, the best on val.

    Args:
        data: the splits of each trial that has the cell's data.
        dfr: the table.
        asked: the metric and the protocol.
    """
    if not data:
        return Cell(missing="no trial says on which splits")
    rows = dfr[dfr["trial"].isna() & (dfr["features"] == PRETRAINED) & (dfr["protocol"] == asked.protocol)]
    done = rows[rows["status"] == REFITTED]
    found = []
    for splits in sorted(data, key=sorted):
        of_data = done[done["fingerprint"].isin(splits)]
        if set(of_data["fingerprint"]) == splits:
            found.append((_refit(of_data, 0, asked, splits), of_data[f"val_{asked.objective}"].mean()))
    if not found:
        of_any = rows[rows["fingerprint"].isin(frozenset().union(*data))]
        return Cell(missing=_why_not_refitted(of_any, max(map(len, data))))
    return found[best_first(on_val for _, on_val in found)[0]][0]


def fingerprints(tables: Mapping[str, pd.DataFrame]) -> dict[str, Fingerprints]:
    """By trial, the splits of its seeds, of those that were recorded.

    Each seed's stand in ``groups``; where all seeds share them, ``trials`` has them too.
    """
    trials, groups = tables["trials"], tables["groups"]
    found = {t: frozenset({f}) for t, f in zip(trials["trial"], trials["fingerprint"], strict=True) if not pd.isna(f)}
    own = groups[groups["protocol"].isna()].dropna(subset=["trial", "fingerprint"])
    return found | {str(t): frozenset(of) for t, of in own.groupby("trial")["fingerprint"].unique().items()}


def measured_of(cell: Cell, groups: pd.DataFrame, split: str) -> Measured | None:
    """What each seed of the cell got right on a split; None if the counts are not there."""
    if cell.protocol is None:
        rows = rows_of_trial(groups, str(cell.trial))
    else:
        rows = groups[groups["protocol"] == cell.protocol]
        if cell.trial is None:
            rows = rows[rows["trial"].isna() & rows["fingerprint"].isin(cell.fingerprints)]
        else:
            rows = rows[rows["trial"] == cell.trial]
    return measured(rows).get(split)


def _refit(rows: pd.DataFrame, trials: int, asked: Asked, splits: Fingerprints = frozenset()) -> Cell:
    """The refits of one network, by whose validation objective it was chosen among these."""
    blind = rows[[column for column in rows.columns if not column.startswith("test_")]]
    chosen = select_best_dfr(blind, asked.objective)
    values = rows.loc[chosen.index, asked.metric].dropna()
    if values.empty or len(values) < len(chosen):
        return Cell(trials=trials, missing=_unmeasured(asked))
    trial = chosen["trial"].iloc[0]
    return Cell(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        seeds=len(values),
        trial=None if pd.isna(trial) else trial,
        trials=trials,
        protocol=asked.protocol,
        fingerprints=splits,
    )


def _unmeasured(asked: Asked) -> str:
    return f"no sample to measure {asked.metric} on"


def _why_none(trials: pd.DataFrame) -> str:
    """Why none of a cell's trials can be shown."""
    if trials.empty:
        return "no trial"
    return ", ".join(dict.fromkeys(map(_flaw, trials.to_dict("records"))))


def _flaw(row: dict[Any, Any]) -> str:
    if row["diverged"] > 0:
        return "a seed diverged"
    return "complete, but its record is gone" if row["state"] == "complete" else str(row["state"])


def _why_not_refitted(rows: pd.DataFrame, seeds: int) -> str:
    """Why no network is refitted with all seeds, given the rows of ``dfr``."""
    if gone := list(dict.fromkeys(rows.loc[rows["status"] != REFITTED, "status"])):
        return ", ".join(gone)
    if rows.empty:
        return NOT_REFITTED
    most = rows.groupby(rows["trial"].fillna("")).size().max()
    return f"refitted for {most} of {seeds} seeds"
