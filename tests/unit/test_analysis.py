"""Selection and comparison on hand-made tables."""

import math

import pandas as pd
import pytest

from scale_tune.analysis import leaderboard, ranked, select_best, select_best_dfr

COLUMNS = [
    f"{split}_{name}_{stat}"
    for split in ("val", "test")
    for name in ("worst_group", "minority", "majority", "average")
    for stat in ("mean", "std")
]


def trial(name, objective, **values) -> dict:
    method, _, number = name.rpartition("-")
    row = {
        "trial": name,
        "method": method,
        "number": int(number),
        "state": "complete",
        "objective": objective,
        "seeds": 3,
        "seeds_asked": 3,
        "diverged": 0,
        **dict.fromkeys(COLUMNS, objective),
    }
    return row | values


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows)


def test_the_highest_objective_of_each_method_is_selected():
    trials = table(trial("erm-0", 0.1), trial("erm-1", 0.3), trial("scale-0", 0.5), trial("scale-1", 0.4))
    assert select_best(trials).to_dict() == {"erm": "erm-1", "scale": "scale-0"}


def test_of_equal_trials_the_earlier_is_selected():
    trials = table(trial("erm-2", 0.3), trial("erm-1", 0.3), trial("erm-10", 0.3))
    assert ranked(trials)["trial"].tolist() == ["erm-1", "erm-2", "erm-10"]


@pytest.mark.parametrize(
    "flaw",
    [
        pytest.param({"state": "pruned"}, id="stopped early"),
        pytest.param({"state": "failed"}, id="failed"),
        pytest.param({"state": "running"}, id="still running"),
        pytest.param({"seeds": 2}, id="a seed is missing"),
        pytest.param({"diverged": 1}, id="a seed diverged"),
        pytest.param({"objective": math.nan}, id="no objective"),
    ],
)
def test_a_trial_that_is_not_whole_is_never_selected(flaw):
    trials = table(trial("erm-0", 0.1), trial("erm-1", 0.9) | flaw)
    assert select_best(trials).to_dict() == {"erm": "erm-0"}
    assert select_best(trials.iloc[1:]).to_dict() == {}


def test_selection_does_not_see_test():
    trials = table(trial("erm-0", 0.1), trial("erm-1", 0.3))
    chosen = select_best(trials)
    test_columns = [column for column in trials if column.startswith("test_")]
    for poison in (math.nan, 1e9, -1e9):
        trials.loc[0, test_columns] = poison
        assert select_best(trials).equals(chosen)
    assert select_best(trials.drop(columns=test_columns)).equals(chosen)


def test_the_leaderboard_has_a_row_per_method_the_best_first():
    trials = table(trial("erm-0", 0.1), trial("scale-0", 0.5), trial("erm_target-0", 0.4))
    board = leaderboard(trials, dfr_table())
    assert board["method"].tolist() == ["scale", "erm_target", "erm"]
    assert board["seeds"].tolist() == [3, 3, 3]
    assert board["val_worst_group_mean"].tolist() == [0.5, 0.4, 0.1]


def test_a_method_without_an_eligible_trial_is_seen_to_be_missing():
    board = leaderboard(table(trial("erm-0", 0.1), trial("scale-0", 0.5, state="failed")), dfr_table())
    row = board.set_index("method").loc["scale"]
    assert row["trial"] is None or pd.isna(row["trial"])
    assert math.isnan(row["val_worst_group_mean"])
    assert row["seeds"] == 0


def dfr_table(*rows) -> pd.DataFrame:
    names = ("worst_group", "minority", "majority", "average")
    accuracies = [f"{split}_{name}" for split in ("val", "test") for name in names]
    return pd.DataFrame(
        [
            [name, seed, "erm" if name else "pretrained", "scale", "refitted", *[val] * 4, *[test] * 4]
            for name, seed, val, test in rows
        ],
        columns=["trial", "seed", "features", "protocol", "status", *accuracies],
    )


def test_dfr_is_selected_by_its_mean_over_seeds_on_val():
    dfr = dfr_table(("erm-0", 0, 0.9, 0.0), ("erm-0", 1, 0.1, 0.0), ("erm-1", 0, 0.6, 0.2), ("erm-1", 1, 0.6, 0.4))
    best = select_best_dfr(dfr, "worst_group")
    assert best["trial"].tolist() == ["erm-1", "erm-1"]
    board = leaderboard(table(trial("erm-1", 0.1)), best)
    row = board.iloc[0]
    assert (row["method"], row["seeds"]) == ("dfr (scale)", 2)
    assert row["test_worst_group_mean"] == pytest.approx(0.3)
    assert row["test_worst_group_std"] == pytest.approx(math.sqrt(0.02))


def test_dfr_of_fewer_seeds_is_not_compared():
    dfr = dfr_table(("erm-0", 0, 0.4, 0.4), ("erm-0", 1, 0.4, 0.4), ("erm-1", 0, 0.9, 0.9))
    assert set(select_best_dfr(dfr, "worst_group")["trial"]) == {"erm-0"}


def test_only_what_was_refitted_is_compared():
    dfr = dfr_table(("erm-0", 0, 0.4, 0.4), ("erm-0", 1, 0.4, 0.4), ("erm-1", 0, 0.9, 0.9), ("erm-1", 1, 0.9, 0.9))
    dfr.loc[3, ["status", "val_worst_group", "test_worst_group"]] = ["weights gone", math.nan, math.nan]
    assert set(select_best_dfr(dfr, "worst_group")["trial"]) == {"erm-0"}
    assert select_best_dfr(dfr.assign(status="weights gone"), "worst_group").empty


def test_the_pretrained_baseline_is_of_no_trial_and_stands_beside_dfr():
    dfr = dfr_table((None, None, 0.2, 0.25), ("erm-0", 0, 0.4, 0.3), ("erm-0", 1, 0.4, 0.5), ("erm-1", 0, 0.9, 0.9))
    board = leaderboard(table(trial("erm-0", 0.1)), select_best_dfr(dfr, "worst_group")).set_index("method")
    assert board.index.tolist() == ["dfr (scale)", "pretrained (scale)", "erm"]
    assert board["seeds"].tolist() == [2, 1, 3]
    assert board["test_worst_group_mean"].tolist() == [0.4, 0.25, 0.1]
    assert pd.isna(board.loc["pretrained (scale)", "trial"])


def test_no_dfr_is_no_row():
    assert select_best_dfr(dfr_table(), "worst_group").empty
    assert leaderboard(table(trial("erm-1", 0.1)), dfr_table())["method"].tolist() == ["erm"]


def test_a_run_without_trials_has_an_empty_leaderboard():
    empty = pd.DataFrame(columns=[*trial("erm-0", 0.1)])
    assert leaderboard(empty, dfr_table()).empty
