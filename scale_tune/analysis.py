"""Which config won, and by how much: selection and comparison on the tables alone.

Selection never sees test: the columns are dropped before anything is compared.
"""

import pandas as pd

REPORTED = ("val_worst_group", "test_worst_group", "test_average")


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
    return eligible(blind).sort_values(["method", "objective", "number"], ascending=[True, False, True])


def select_best(trials: pd.DataFrame) -> pd.Series:
    """The selected trial of each method: trial names, indexed by method.

    A method without an eligible trial is absent.

    Args:
        trials: the ``trials`` table.
    """
    return ranked(trials).groupby("method")["trial"].first()


def select_best_dfr(dfr: pd.DataFrame, objective: str) -> pd.DataFrame:
    """For each kind of features and protocol, the rows (one per seed) of the trial with the highest mean on val.

    A trial that lacks a seed that another has is not compared; of equal ones the earlier trial wins. The pretrained
    baseline has no trial, and one row for a protocol.

    Args:
        dfr: the ``dfr`` table; only refitted rows count.
        objective: ``worst_group``, ``minority`` or ``average``.
    """
    refitted = dfr[dfr["status"] == "refitted"]
    best = [refitted.iloc[:0]]
    for _, rows in refitted.groupby(["features", "protocol"]):
        trials = rows["trial"].fillna("")
        of_trial = rows.groupby(trials)[f"val_{objective}"].agg(["mean", "size"])
        whole = of_trial[of_trial["size"] == of_trial["size"].max()]
        best.append(rows[trials == whole["mean"].idxmax()])
    return pd.concat(best)


def leaderboard(trials: pd.DataFrame, dfr: pd.DataFrame) -> pd.DataFrame:
    """One row per method and refit (``dfr (scale)``, ``pretrained (dfr)``, …), the highest val worst-group first.

    Returns:
        Columns ``method``, ``trial``, ``seeds`` (n of the means) and, for each of :data:`REPORTED`, its mean and
        sample standard deviation over the seeds at each seed's best epoch. A method without an eligible trial has
        a row with no trial, so that it is seen to be missing.
    """
    best = select_best(trials)
    rows = []
    for method in trials["method"].unique():
        row = {"method": method, "trial": best.get(method), "seeds": 0}
        if method in best:
            selected = trials.loc[trials["trial"] == best[method]].iloc[0]
            row["seeds"] = int(selected["seeds"])
            row |= {f"{name}_{stat}": selected[f"{name}_{stat}"] for name in REPORTED for stat in ("mean", "std")}
        rows.append(row)
    for (features, protocol), seeds in dfr.groupby(["features", "protocol"]):
        method = f"{'dfr' if features == 'erm' else features} ({protocol})"
        row = {"method": method, "trial": seeds["trial"].iloc[0], "seeds": len(seeds)}
        for name in REPORTED:
            row |= {f"{name}_mean": seeds[name].mean(), f"{name}_std": seeds[name].std()}
        rows.append(row)
    columns = ["method", "trial", "seeds", *(f"{name}_{stat}" for name in REPORTED for stat in ("mean", "std"))]
    return pd.DataFrame(rows, columns=columns).sort_values("val_worst_group_mean", ascending=False, ignore_index=True)
