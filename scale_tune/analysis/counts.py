"""From the tables of a run to what a method's seeds got right, by evaluation group."""

import numpy as np
import pandas as pd

from scale_tune.accuracies import ACCURACIES
from scale_tune.analysis.bootstrap import Counts, Measured
from scale_tune.datasets.groups import EvaluationGroups, Groups

SPLITS = ("val", "test")
NO_SEED = -1
"""Stands for the seed of a network that was not trained; no other has it."""


def measured_trial(groups: pd.DataFrame, trial: str, judged: Groups) -> dict[str, Measured]:
    """What a trial's seeds got right at their best epochs, by split; a split that was not measured is left out.

    Args:
        groups: the ``groups`` table.
        trial: name of the trial.
        judged: the dataset's groups.
    """
    counted = {split: _counts(groups, trial, split, judged) for split in SPLITS}
    return {split: Measured.of_counts(*found) for split, found in counted.items() if found is not None}


def measured_dfr(dfr: pd.DataFrame, trial: str, groups: pd.DataFrame, judged: Groups) -> dict[str, Measured]:
    """What the refitted layers of one trial got right, by split.

    The ``dfr`` table has accuracies alone. Where the evaluation groups are the aligned and the conflicting samples,
    these are the accuracies of the groups, and a trial's counts tell how many images each has.

    Args:
        dfr: rows of the ``dfr`` table, one per seed of one trial, or one of no seed.
        trial: a trial on the same data.
        groups: the ``groups`` table.
        judged: the dataset's groups.
    """
    dfr = dfr.sort_values("seed")
    seeds = tuple(NO_SEED if pd.isna(seed) else int(seed) for seed in dfr["seed"])
    found = {}
    for split in SPLITS:
        columns = {name: dfr[f"{split}_{name}"].to_numpy(np.float64) for name in ACCURACIES}
        accuracies = {name: values for name, values in columns.items() if not np.isnan(values).any()}
        counts = None
        if judged.evaluation_groups is EvaluationGroups.ALIGNED_CONFLICTING:
            counts = _counts_of_accuracies(accuracies, _counts(groups, trial, split, judged))
        if accuracies:
            found[split] = Measured(seeds=seeds, accuracies=accuracies, counts=counts)
    return found


def group_sizes(groups: pd.DataFrame, trial: str, split: str, judged: Groups) -> dict[str, int]:
    """Images in each non-empty evaluation group that a trial was judged on, by a name for the reader."""
    rows = _rows(groups, trial, split, judged)
    of_one_seed = rows[rows["seed"] == rows["seed"].min()]
    return {str(name): int(n) for name, n in of_one_seed.groupby("group")["n"].sum().items() if n}


def _counts(groups: pd.DataFrame, trial: str, split: str, judged: Groups) -> tuple[tuple[int, ...], Counts] | None:
    rows = _rows(groups, trial, split, judged)
    if rows.empty:
        return None
    summed = rows.groupby(["seed", "group"])[["n", "correct"]].sum().unstack("group")
    n = summed["n"].to_numpy(np.int64)
    if (n != n[0]).any():
        raise ValueError(f"the seeds of {trial} were not judged on the same images of {split}")
    filled = n[0] > 0
    aligned = rows.groupby("group")["aligned"].first().to_numpy(np.bool_)
    correct = summed["correct"].to_numpy(np.int64)
    counts = Counts(n=n[0][filled], correct=correct[:, filled], aligned=aligned[filled])
    return tuple(int(seed) for seed in summed.index), counts


def _rows(groups: pd.DataFrame, trial: str, split: str, judged: Groups) -> pd.DataFrame:
    """A trial's rows of a split, with the evaluation group of each cell and whether it is aligned."""
    rows = groups[(groups["trial"] == trial) & (groups["split"] == split)]
    aligned = judged.aligned[rows["label"].to_numpy(np.int64), rows["attribute"].to_numpy(np.int64)]
    if judged.evaluation_groups is EvaluationGroups.ALIGNED_CONFLICTING:
        names = np.where(aligned, "aligned", "conflicting")
    else:
        names = ("label " + rows["label"].astype(str) + ", attribute " + rows["attribute"].astype(str)).to_numpy()
    return rows.assign(aligned=aligned, group=names)


def _counts_of_accuracies(
    accuracies: dict[str, np.ndarray], of_trial: tuple[tuple[int, ...], Counts] | None
) -> Counts | None:
    """Counts with the trial's images and these accuracies of its aligned and conflicting samples."""
    if of_trial is None:
        return None
    known = of_trial[1]
    of_groups = [accuracies.get("majority" if aligned else "minority") for aligned in known.aligned]
    present = [values for values in of_groups if values is not None]
    if len(present) < len(of_groups):
        return None
    correct = np.rint(np.stack(present, axis=1) * known.n).astype(np.int64)
    return Counts(n=known.n, correct=correct, aligned=known.aligned)
