"""From the rows of ``groups`` to what seeds got right, by evaluation group."""

import numpy as np
import pandas as pd

from scale_tune.accuracies import Cells
from scale_tune.analysis.intervals import NO_SEED
from scale_tune.analysis.measured import Counts, Measured
from scale_tune.tables.refits import KEY

SPLITS = ("val", "test")
STRATUM = ["label", "evaluation_group", "aligned"]
"""What the images of a cell are pooled by."""


def rows_of_trial(groups: pd.DataFrame, trial: str) -> pd.DataFrame:
    """Of the ``groups`` table, the rows of a trial's own networks."""
    return groups[(groups["trial"] == trial) & groups["protocol"].isna()]


def rows_of_refits(groups: pd.DataFrame, refits: pd.DataFrame) -> pd.DataFrame:
    """Of the ``groups`` table, the rows of these refits, which are rows of the ``dfr`` table."""
    # merge takes null for equal to null, as the key needs it.
    return groups.merge(refits[list(KEY)], on=list(KEY))


def measured(rows: pd.DataFrame) -> dict[str, Measured]:
    """What each seed got right, by split; one that was not measured is left out.

    Args:
        rows: of the ``groups`` table, those of a trial or of a refit.
    """
    by_split = {split: rows[rows["split"] == split] for split in SPLITS}
    return {split: _measured(of_split) for split, of_split in by_split.items() if len(of_split)}


def group_sizes(rows: pd.DataFrame, split: str) -> dict[str, int]:
    """Images in each non-empty evaluation group, by its name; the rows are those of :func:`measured`."""
    of_split = rows[rows["split"] == split]
    of_one_seed = of_split[of_split["seed"] == of_split["seed"].min()]
    return {str(name): int(n) for name, n in of_one_seed.groupby("evaluation_group")["n"].sum().items() if n}


def _measured(rows: pd.DataFrame) -> Measured:
    rows = rows.assign(seed=rows["seed"].fillna(NO_SEED))
    summed = rows.groupby(["seed", *STRATUM])[["n", "correct", "train_n"]].sum().unstack(STRATUM, fill_value=0)
    n, correct, train_n = (summed[name] for name in ("n", "correct", "train_n"))
    labels, groups, aligned = (n.columns.get_level_values(name) for name in STRATUM)
    cells = Cells(
        labels=labels.to_numpy(np.int64),
        aligned=aligned.to_numpy(np.bool_),
        evaluation_groups=groups.to_numpy(str),
        train_n=train_n.to_numpy(np.int64),
    )
    counts = Counts(n=n.to_numpy(np.int64), correct=correct.to_numpy(np.int64), cells=cells)
    fingerprints = rows.groupby("seed")["fingerprint"].first()
    return Measured(seeds=tuple(int(seed) for seed in n.index), fingerprints=tuple(fingerprints), counts=counts)
