"""What each config of a finished search reached after each epoch with each seed: the lookup of all that is replayed.

It is made of the run's tables. What can't be answered from it is said, with the reason: a trial that was pruned would
have gone on in a way that nobody knows, and configs that a sampler chose by what earlier ones had reached would have
been others in another order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from scale_tune.accuracies import Cells, Flags, Floats, Integers, parts_of
from scale_tune.analysis.comparison import dataset_names
from scale_tune.analysis.counts import SPLITS, STRATUM
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import data_of, eligible
from scale_tune.ranking import best_of
from scale_tune.spec.parameters import Constant
from scale_tune.spec.space import RunSpec

FEWEST = 5
"""Configs below which nothing is said of orders and ranks."""
EXCHANGEABLE = ("random", "grid", "qmc", "points")
"""The samplers whose configs do not depend on what earlier ones reached, so that any order of them might have been."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """The complete trials of a method on one kind of data of a run.

    Of shapes with c configs, s seeds and e epochs.
    """

    run: str
    method: str
    dataset: str
    """As a comparison names it."""
    objective: str
    """The accuracy that selects, as ``worst_group``; ``val`` and ``test`` are of it."""
    sampler: str
    trials: tuple[str, ...]
    """Of shape (c,), in the order in which they were drawn."""
    params: tuple[dict[str, Any], ...]
    """Of shape (c,): the values of what the search varied."""
    seeds: tuple[int, ...]
    """Of shape (s,), in the order of the spec."""
    val: Floats
    """Of shape (c, s, e), fractions: the best so far of each replica on val. One that diverged keeps what it had, and
    has 0 before its first epoch."""
    test: Floats
    """Of shape (c, s), fractions: on test, at the replica's best epoch; NaN of a replica without one."""
    selectable: Flags
    """Of shape (c,): whether all seeds have a result, none of them diverged. Others may not win."""
    drawn: Flags
    """Of shape (c,): whether the sampler drew it; else it is a point that was to be tried first."""
    trained: Integers
    """Of shape (c, s): epochs of each replica, fewer than e if it diverged."""
    seconds: Floats
    """Of shape (c, s, e): how long each epoch took; 0 of those that were not trained, NaN if it is not known."""
    images: dict[str, int]
    """By split, val and test: in the smallest of the groups whose lowest accuracy the objective is; or all that it is
    made of, if it is no lowest."""
    groups: dict[str, int]
    """By split: how many groups it is the lowest of; 1 if it is no lowest."""
    pruned: int
    """Trials that were stopped early, which are not among these."""
    left_out: tuple[str, ...]
    """Which other trials are not among these, in words, as ``2 failed``."""

    @property
    def epochs(self) -> int:
        """Of a replica that is trained to its end."""
        return int(self.val.shape[2])

    @cached_property
    def final(self) -> Floats:
        """Of shape (c,): the objective of each config at its end, over all seeds."""
        return mean_over_seeds(self.val)[:, -1]

    @cached_property
    def winner(self) -> int | None:
        """The selectable config with the highest objective, of equal ones the first; None if there is none."""
        among = np.flatnonzero(self.selectable)
        best = best_of(self.final[among].tolist())
        return None if best is None else int(among[best])

    @cached_property
    def standard_error(self) -> float | None:
        """Of the objective of a config like the winner, over its seeds; None of one seed.

        The root mean square of those of the best configs: of its own few seeds alone it would be hardly known, and may
        come out as next to nothing.
        """
        if self.winner is None or len(self.seeds) < 2:
            return None
        among = np.flatnonzero(self.selectable)
        best = among[np.argsort(-self.final[among], kind="stable")[: max(FEWEST, len(among) // 3)]]
        return float((self.val[best, :, -1].var(axis=1, ddof=1).mean() / len(self.seeds)) ** 0.5)

    @property
    def no_fidelity(self) -> str | None:
        """Why the ranks of its configs along the epochs tell nothing; None if they do."""
        if self.pruned:
            return (
                f"{self.pruned} of {self.pruned + len(self.trials)} trials were pruned, and what they would have "
                "reached is not known; search with --set scheduler.name=none to learn it"
            )
        if self.winner is None:
            return "no trial has ended with a result of every seed"
        if len(self.trials) < FEWEST:
            return f"{len(self.trials)} complete trials are too few; {FEWEST} are needed"
        return None

    @property
    def no_replay(self) -> str | None:
        """Why it can't be said what a search in another order would have found; None if it can."""
        if self.no_fidelity is None and np.isnan(self.test[self.selectable]).any():
            return f"{self.objective} is not known on test"
        if self.no_fidelity is None and self.sampler not in EXCHANGEABLE:
            return (
                f"the sampler {self.sampler} drew configs by what earlier ones had reached: another order would have "
                "led to others; search with --set sampler=random to learn it"
            )
        return self.no_fidelity

    @property
    def no_budgets(self) -> str | None:
        """Why it can't be said what fewer draws would have been expected to reach; None if it can."""
        if self.no_replay is None and self.sampler != "random":
            return (
                f"the configs are no random draws (sampler {self.sampler}), which the estimate needs; search with "
                "--set sampler=random to learn it"
            )
        if self.no_replay is None and self.drawn.sum() < FEWEST:
            return (
                f"{self.drawn.sum()} of the configs were drawn at random, the others were points to be tried first; "
                f"{FEWEST} are needed"
            )
        return self.no_replay


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A method on one kind of data of which nothing can be said."""

    run: str
    method: str
    dataset: str
    reason: str


def mean_over_seeds(val: Floats) -> Floats:
    """The objective of each config after each epoch, of shape (c, e), to the last bit as a search computes it.

    Args:
        val: of shape (c, s, e), the best so far of each replica.
    """
    rows = val.transpose(0, 2, 1).tolist()
    return np.array([[sum(seeds) / len(seeds) for seeds in config] for config in rows]).reshape(len(val), -1)


def curves_of(run: RunTables) -> Iterator[Curves | Refused]:
    """The lookup of each method on each kind of data of a run, in the order of the comparison's datasets.

    A kind of data is judged as if it had been searched alone.

    Args:
        run: its tables.
    """
    trials, spec = run.tables["trials"], run.spec
    of_trials, names = data_of(trials, spec), dataset_names(run.entries)
    val = _best_so_far(run)
    for data in dict.fromkeys(of_trials):
        on_data = trials[[each == data for each in of_trials]]
        judged = {split: _judged(run, on_data["trial"], split) for split in SPLITS}
        for method in on_data["method"].unique():
            rows = on_data[on_data["method"] == method].sort_values("number")
            known = set(val.index.get_level_values("trial"))
            # In a race, seeds don't join where the first ones have diverged.
            begun = rows["seeds"] + rows["diverged"].fillna(0) == rows["seeds_asked"]
            whole = rows[(rows["state"] == "complete") & rows["trial"].isin(known) & begun]
            about = {"run": run.name, "method": str(method), "dataset": names[data]}
            left_out = tuple(_left_out(rows, whole))
            if whole.empty:
                there = ", ".join(left_out) or "there are none"
                yield Refused(**about, reason=f"no trial has run to its end: {there}")
                continue
            yield _curves(spec, whole, val, judged, about, int((rows["state"] == "pruned").sum()), left_out)


def _left_out(rows: pd.DataFrame, whole: pd.DataFrame) -> Iterator[str]:
    counts = rows["state"].value_counts()
    said = {
        "pruned": counts.get("pruned", 0),
        "failed": counts.get("failed", 0),
        "not ended": counts.get("running", 0) + counts.get("waiting", 0),
        "without a record of all seeds": counts.get("complete", 0) - len(whole),
    }
    return (f"{n} {what}" for what, n in said.items() if n)


def _best_so_far(run: RunTables) -> pd.DataFrame:
    """By trial, seed and epoch: the objective's accuracy on val as the best so far (``best``), and ``seconds``."""
    epochs = run.tables["epochs"]
    rows = epochs[epochs["split"] == "val"].sort_values(["trial", "seed", "epoch"])
    best = rows.groupby(["trial", "seed"])[run.spec.objective.value].cummax()
    return rows.assign(best=best).set_index(["trial", "seed", "epoch"])[["best", "seconds"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """How all trials on one kind of data were judged on a split."""

    accuracy: pd.Series
    """The objective's, by trial and seed."""
    images: int
    groups: int


def _judged(run: RunTables, trials: pd.Series, split: str) -> _Judged:
    """How these trials, all of one kind of data, were judged."""
    groups, objective = run.tables["groups"], run.spec.objective.value
    rows = groups[groups["protocol"].isna() & (groups["split"] == split) & groups["trial"].isin(trials)]
    if not rows.empty:
        summed = rows.groupby(["trial", "seed", *STRATUM])[["n", "correct", "train_n"]].sum()
        n, correct, train_n = (summed.unstack(STRATUM, fill_value=0)[name] for name in ("n", "correct", "train_n"))
        labels, named, aligned = (n.columns.get_level_values(name) for name in STRATUM)
        cells = Cells(
            labels=labels.to_numpy(np.int64),
            aligned=aligned.to_numpy(np.bool_),
            evaluation_groups=named.to_numpy(str),
            train_n=train_n.to_numpy(np.int64),
        )
        parts = parts_of(correct.to_numpy(np.int64), n.to_numpy(np.int64), cells).get(objective)
        if parts is not None:
            lowest = parts.weights is None
            sizes = parts.n if lowest else parts.n.sum(axis=1, keepdims=True)
            return _Judged(
                accuracy=pd.Series(parts.value, index=n.index),
                images=int(sizes[sizes > 0].min()),
                groups=int((sizes > 0).sum(axis=1).max()),
            )
    return _Judged(accuracy=pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[], []])), images=0, groups=0)


def _curves(
    spec: RunSpec,
    rows: pd.DataFrame,
    val: pd.DataFrame,
    judged: dict[str, _Judged],
    about: dict[str, str],
    pruned: int,
    left_out: Sequence[str],
) -> Curves:
    names, method = rows["trial"].tolist(), about["method"]
    shape = (len(names), len(spec.seeds), spec.method_epochs(method))
    index = pd.MultiIndex.from_product([names, spec.seeds, range(1, shape[2] + 1)])
    own = val.reindex(index)
    best = own["best"].to_numpy(float).reshape(shape)
    trained = (~np.isnan(best)).sum(axis=2)
    kept = np.nan_to_num(np.fmax.accumulate(best, axis=2))  # what diverged keeps what it had
    seconds = own["seconds"].to_numpy(float).reshape(shape)
    searched = [name for name, parameter in spec.method_space(method).items() if not isinstance(parameter, Constant)]
    params = rows[[f"config.{name}" for name in searched]].set_axis(searched, axis=1).to_dict("records")
    points = len(spec.method_points(method))
    return Curves(
        **about,
        objective=spec.objective.value,
        sampler=spec.sampler,
        trials=tuple(names),
        params=tuple({str(name): value for name, value in config.items()} for config in params),
        seeds=tuple(spec.seeds),
        val=kept,
        test=judged["test"]
        .accuracy.reindex(pd.MultiIndex.from_product([names, spec.seeds]))
        .to_numpy(float)
        .reshape(shape[:2]),
        selectable=rows["trial"].isin(eligible(rows)["trial"]).to_numpy(bool),
        drawn=(rows["number"] >= points).to_numpy(bool),
        trained=trained,
        seconds=np.where(np.isnan(best), 0.0, seconds),
        images={split: of.images for split, of in judged.items()},
        groups={split: of.groups for split, of in judged.items()},
        pruned=pruned,
        left_out=tuple(left_out),
    )
