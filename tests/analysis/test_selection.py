"""Selection on hand-made tables."""

import math

import pandas as pd
import pytest

from scale_tune.analysis.selection import best_configs, leading, ranked, select_best, select_best_dfr
from tests.support.tables import dfr_row, make_spec, make_tables, trial


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
    assert not [column for column in ranked(trials) if column.startswith("test_")], (
        "so nothing after it can choose by it"
    )


def dfr_table(*rows) -> pd.DataFrame:
    return pd.DataFrame([dfr_row(*row) for row in rows], columns=[*dfr_row("erm-0", 0, 0.0, 0.0)])


def test_dfr_is_selected_by_its_mean_over_seeds_on_val():
    dfr = dfr_table(("erm-0", 0, 0.9, 0.0), ("erm-0", 1, 0.1, 0.0), ("erm-1", 0, 0.6, 0.2), ("erm-1", 1, 0.6, 0.4))
    assert select_best_dfr(dfr, "worst_group")["trial"].tolist() == ["erm-1", "erm-1"]


def test_the_best_different_configs_are_those_of_each_method_and_dataset():
    spec = make_spec(space={"dataset.noise": {"type": "choice", "values": [0.1, 0.5]}, "lr": 0.01})
    noise = "config.dataset.noise"
    trials = [
        trial("erm-0", 0.5, **{noise: 0.1}),
        trial("erm-1", 0.5, **{noise: 0.1}),
        trial("erm-2", 0.4, **{noise: 0.1, "config.lr": 0.02}),
        trial("erm-3", 0.3, **{noise: 0.5}),
        trial("erm-4", 0.9, **{noise: 0.5}, diverged=1),
        trial("scale-0", 0.1, **{noise: 0.1}),
    ]
    run = make_tables(trials, spec=spec)
    assert best_configs(run.tables["trials"], run.spec, 1)["trial"].tolist() == ["erm-0", "erm-3", "scale-0"]
    assert best_configs(run.tables["trials"], run.spec, 2)["trial"].tolist() == ["erm-0", "erm-2", "erm-3", "scale-0"]
    assert not [column for column in best_configs(run.tables["trials"], run.spec, 1) if column.startswith("test_")]
    assert best_configs(make_tables([]).tables["trials"], spec, 3).empty


def test_of_equal_dfr_the_earlier_trial_is_selected():
    dfr = dfr_table(("erm-2", 0, 0.5, 0.9), ("erm-1", 0, 0.5, 0.0))
    assert select_best_dfr(dfr, "worst_group")["trial"].tolist() == ["erm-1"]


def test_dfr_of_fewer_seeds_is_not_compared():
    dfr = dfr_table(("erm-0", 0, 0.4, 0.4), ("erm-0", 1, 0.4, 0.4), ("erm-1", 0, 0.9, 0.9))
    assert set(select_best_dfr(dfr, "worst_group")["trial"]) == {"erm-0"}
    without = dfr_table(("erm-0", 0, 0.4, 0.4), ("erm-0", 1, 0.4, 0.4), ("erm-1", 0, 0.9, 0.9), ("erm-1", 1, None, 0.9))
    assert set(select_best_dfr(without, "worst_group")["trial"]) == {"erm-0"}


def test_only_what_was_refitted_is_compared():
    dfr = dfr_table(("erm-0", 0, 0.4, 0.4), ("erm-0", 1, 0.4, 0.4), ("erm-1", 0, 0.9, 0.9), ("erm-1", 1, 0.9, 0.9))
    dfr.loc[3, ["status", "val_worst_group", "test_worst_group"]] = ["weights gone", math.nan, math.nan]
    assert set(select_best_dfr(dfr, "worst_group")["trial"]) == {"erm-0"}
    assert select_best_dfr(dfr.assign(status="weights gone"), "worst_group").empty


def test_what_selects_is_the_runs_objective():
    dfr = dfr_table(("erm-0", 0, 0.9, 0.0), ("erm-1", 0, 0.6, 0.2))
    dfr["val_average"] = [0.5, 0.7]
    assert select_best_dfr(dfr, "average")["trial"].tolist() == ["erm-1"]


def test_no_dfr_is_nothing_selected():
    assert select_best_dfr(dfr_table(), "worst_group").empty


def test_a_method_without_a_selectable_trial_is_led_by_the_best_that_has_not_failed():
    trials = table(
        trial("erm-0", 0.2, state="pruned"),
        trial("erm-1", 0.4, state="running"),
        trial("erm-2", 0.4, state="pruned"),
        trial("erm-3", 0.9, state="failed"),
        trial("scale-0", 0.9, state="pruned"),
        trial("scale-1", 0.3),
        trial("none-0", math.nan, state="running"),
    )
    assert leading(trials).values.tolist() == [["erm", "erm-1", False], ["scale", "scale-1", True]]
