"""Which trials and refits are selected, on the tables alone.

Selection never sees test: the columns are dropped before anything is compared.
"""

from typing import Any

import pandas as pd

from scale_tune.ranking import best_first
from scale_tune.spec.parameters import Choice, Constant, Space
from scale_tune.spec.space import RunSpec
from scale_tune.tables.schemas import REFITTED

DATASET = "config.dataset"
Data = tuple[tuple[str, Any], ...]
"""What a trial was trained on: pairs of a column and its value, for the dataset's name and options."""


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


def best_configs(trials: pd.DataFrame, spec: RunSpec, top_k: int) -> pd.DataFrame:
    """The best ``top_k`` different configs of each method on each dataset, as rows of :func:`ranked`.

    A config that was drawn twice counts once, as its earlier trial.

    Args:
        trials: the ``trials`` table.
        spec: what the run searched.
        top_k: how many.
    """
    blind = ranked(trials)
    config = [column for column in blind.columns if column.startswith("config.")]
    distinct = blind.drop_duplicates(["method", *config])
    data = pd.Series(map(repr, data_of(trials, spec)), index=trials.index, dtype=object)
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
        objective: the name of an accuracy, as ``worst_group``.
    """
    refitted = dfr[dfr["status"] == REFITTED].dropna(subset=f"val_{objective}")
    best = [refitted.iloc[:0]]
    for _, rows in refitted.groupby(["features", "protocol"]):
        trials = rows["trial"].fillna("")
        of_trial = rows.groupby(trials)[f"val_{objective}"].agg(["mean", "size"])
        whole = of_trial[of_trial["size"] == of_trial["size"].max()]
        best.append(rows[trials == whole.index[best_first(whole["mean"])[0]]])
    return pd.concat(best)


def data_of(trials: pd.DataFrame, spec: RunSpec) -> list[Data]:
    """What each trial of a run was trained on.

    An option of the dataset that is searched as a choice makes data of its own; one that is drawn from a range is a
    hyperparameter like any other.
    """
    columns = [column for column in trials.columns if column == DATASET or column.startswith(f"{DATASET}.")]
    fixed = {
        method: [column for column in columns if _is_fixed(spec.method_space(method), column)]
        for method in trials["method"].unique()
    }
    return [
        tuple((column, row[column]) for column in fixed[row["method"]] if not pd.isna(row[column]))
        for row in trials[["method", *columns]].to_dict("records")
    ]


def _is_fixed(space: Space, column: str) -> bool:
    parameter = space.get(column.removeprefix("config."))
    return parameter is None or isinstance(parameter, Choice | Constant)
