"""Comparison on hand-made tables."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.entries import entries
from scale_tune.tables import run_schemas
from scale_tune.tables.refits import KEY
from scale_tune.tables.schemas import COMPARISON, DIFFERENCES, frame_of
from tests.support.tables import dfr_row, group_rows, make_spec, make_tables, poisoned, trial


def test_what_orders_is_the_runs_objective():
    def judged(name: str, conflicting: int, aligned: int) -> list[dict]:
        return [row for s in ("val", "test") for row in group_rows(name, s, [conflicting] * 3, [aligned] * 3)]

    groups = judged("erm-0", 40, 50) + judged("scale-0", 10, 100)
    trials = [trial("erm-0", 0.45), trial("scale-0", 0.55)]
    for objective, best in (("average", "scale"), ("worst_group", "erm")):
        run = make_tables(trials, groups=groups, spec=make_spec(objective=objective))
        assert compare([run])["method"].tolist()[0] == best


def test_the_pretrained_baseline_is_of_no_trial_and_stands_beside_dfr():
    dfr = [
        dfr_row(None, None, 0.2, 0.25),
        *(dfr_row("erm-0", 0, 0.4, 0.3), dfr_row("erm-0", 1, 0.4, 0.5)),
        dfr_row("erm-1", 0, 0.9, 0.9),
    ]
    found = compare([make_tables([trial("erm-0", 0.1), trial("erm-1", 0.05)], dfr=dfr)]).set_index("method")
    assert found.index.tolist() == ["dfr (scale)", "pretrained (scale)", "erm"]
    assert found["seeds"].tolist() == [2, 1, 3]
    assert found["seeds_asked"].tolist() == [3, 1, 3]
    assert found["test_worst_group_mean"].tolist() == pytest.approx([0.4, 0.25, 0.1])
    row = found.loc["pretrained (scale)"]
    assert pd.isna(row["trial"])
    assert pd.isna(row["config"])
    assert (row["trials"], row["eligible"], row["interval"]) == (0, 0, "images")


def test_the_pretrained_baseline_is_compared_on_its_own_data():
    spec = make_spec(space={"dataset.noise": {"type": "choice", "values": [0.1, 0.5]}, "lr": 0.01})
    trials = [
        trial("erm-0", 0.9, **{"config.dataset.noise": 0.1, "fingerprint": "easy"}),
        trial("erm-1", 0.2, **{"config.dataset.noise": 0.5, "fingerprint": "hard"}),
    ]
    dfr = [dfr_row(None, None, 0.3, 0.3) | {"fingerprint": "hard"}]
    run = make_tables(trials, dfr=dfr, spec=spec)
    groups = run.tables["groups"]
    own = groups["trial"].map({row["trial"]: row["fingerprint"] for row in trials})
    run.tables["groups"] = groups.assign(fingerprint=own.fillna(groups["fingerprint"]))
    found = compare([run])
    assert found[["dataset", "method"]].values.tolist() == [
        ["digits (noise=0.1)", "erm"],
        ["digits (noise=0.5)", "pretrained (scale)"],
        ["digits (noise=0.5)", "erm"],
    ]


def test_no_dfr_is_no_row():
    assert compare([make_tables([trial("erm-1", 0.1)])])["method"].tolist() == ["erm"]


def test_the_comparison_has_a_row_per_method_the_best_on_val_first():
    run = make_tables([trial("erm-0", 0.1), trial("scale-0", 0.5), trial("erm_target-0", 0.4), trial("scale-1", 0.2)])
    found = compare([run])
    assert found["method"].tolist() == ["scale", "erm_target", "erm"]
    assert found["trial"].tolist() == ["scale-0", "erm_target-0", "erm-0"]
    assert found["val_worst_group_mean"].tolist() == pytest.approx([0.5, 0.4, 0.1])
    assert found["trials"].tolist() == [2, 1, 1]
    assert set(found["dataset"]) == {"digits"}
    assert set(found["config"]) == {"lr=0.01, batch_size=32"}
    assert pa.Schema.from_pandas(found, preserve_index=False).names == COMPARISON.names


def test_means_deviations_and_intervals_are_over_the_seeds_of_the_selected_trial():
    groups = group_rows("scale-0", "val", [50, 60, 70], [100, 100, 100])
    groups += group_rows("scale-0", "test", [40, 50, 60], [80, 90, 30])
    (row,) = compare([make_tables([trial("scale-0", 0.6)], groups)]).to_dict("records")
    assert (row["seeds"], row["seeds_asked"], row["interval"]) == (3, 3, "seeds and images")
    assert row["val_worst_group_mean"] == pytest.approx(0.6)
    assert row["val_worst_group_std"] == pytest.approx(0.1)
    assert row["test_worst_group_mean"] == pytest.approx((0.4 + 0.5 + 0.3) / 3)
    assert row["test_average_mean"] == pytest.approx((0.6 + 0.7 + 0.45) / 3)
    assert row["test_majority_std"] == pytest.approx(np.std([0.8, 0.9, 0.3], ddof=1))
    for name in ("val_worst_group", "val_average", "test_worst_group", "test_average", "test_minority"):
        assert 0 < row[f"{name}_low"] < row[f"{name}_mean"] < row[f"{name}_high"] < 1


def test_a_single_seed_has_no_deviation_and_the_interval_of_its_images():
    (row,) = compare([make_tables([trial("erm-0", 0.4, seeds=1, seeds_asked=1)])]).to_dict("records")
    assert math.isnan(row["val_worst_group_std"])
    assert row["interval"] == "images"
    assert row["val_worst_group_low"] < 0.4 < row["val_worst_group_high"]


def test_two_seeds_have_a_mean_and_a_difference_but_no_interval():
    run = make_tables([trial("erm-0", 0.4, seeds=2, seeds_asked=2), trial("scale-0", 0.5, seeds=2, seeds_asked=2)])
    for row in compare([run]).to_dict("records"):
        assert row["interval"].startswith("no interval: two seeds")
        assert row["test_worst_group_mean"] > 0
        assert math.isnan(row["test_worst_group_low"])
        assert math.isnan(row["test_worst_group_high"])
    found = differences([run])
    assert found["difference"].notna().all()
    assert found[["low", "high"]].isna().all(axis=None)
    assert set(found["interval"]) == {"no interval: two seeds tell too little of how much seeds differ"}


def test_the_group_that_is_worst_on_average_is_named():
    groups = group_rows("erm-0", "val", [50, 60, 70], [100] * 3) + group_rows("erm-0", "test", [40, 90, 60], [55] * 3)
    (row,) = compare([make_tables([trial("erm-0", 0.6)], groups)]).to_dict("records")
    assert (row["val_worst_group_name"], row["test_worst_group_name"]) == ("conflicting", "aligned")


def test_seeds_may_be_judged_on_different_images():
    groups = [row for s in ("val", "test") for row in group_rows("erm-0", s, [50, 60, 70], [80] * 3)]
    for row in groups:
        row["fingerprint"] = f"of seed {row['seed']}"
        row["n"] += row["seed"]
    other = [row | {"trial": "scale-0"} for row in groups]
    other[-1]["fingerprint"] = other[-2]["fingerprint"] = "of none"
    run = make_tables([trial("erm-0", 0.6), trial("scale-0", 0.6)], groups + other)
    assert compare([run])["test_minority_mean"].tolist() == pytest.approx([(0.5 + 60 / 101 + 70 / 102) / 3] * 2)
    (row,) = differences([run]).query("accuracy == 'worst_group'").to_dict("records")
    assert (row["seeds"], row["paired_over"]) == (2, "seeds and their splits")


def test_a_method_without_an_eligible_trial_is_seen_to_be_missing():
    found = compare([make_tables([trial("scale-0", 0.5, state="failed"), trial("erm-0", 0.1)])])
    assert found["method"].tolist() == ["erm", "scale"]
    row = found.iloc[1]
    assert pd.isna(row["trial"])
    assert pd.isna(row["config"])
    assert math.isnan(row["val_worst_group_mean"])
    assert (row["seeds"], row["trials"], row["eligible"]) == (0, 1, 0)


def test_dfr_is_a_method_on_the_trial_that_it_refitted():
    dfr = [dfr_row("erm-1", seed, 0.6, test) for seed, test in enumerate((0.2, 0.4, 0.3))]
    dfr += [dfr_row("erm-0", seed, 0.5, 0.9) for seed in range(3)]
    found = compare([make_tables([trial("erm-1", 0.1), trial("erm-0", 0.2)], dfr=dfr)])
    assert found["method"].tolist() == ["dfr (scale)", "erm"]
    row = found.iloc[0]
    assert (row["trial"], row["seeds"], row["trials"], row["interval"]) == ("erm-1", 3, 2, "seeds and images")
    assert row["test_worst_group_mean"] == pytest.approx(0.3)
    assert row["test_worst_group_std"] == pytest.approx(0.1)
    assert row["test_worst_group_low"] < 0.2, "the images count as well"


def test_a_cell_without_samples_is_no_group():
    groups = [r for s in ("val", "test") for r in group_rows("erm-0", s, [40, 50, 60], [80, 80, 80])]
    groups += [row | {"label": 1, "evaluation_group": "empty", "n": 0, "correct": 0} for row in groups]
    (row,) = compare([make_tables([trial("erm-0", 0.5)], groups)]).to_dict("records")
    assert (row["val_worst_group_mean"], row["val_average_mean"]) == pytest.approx((0.5, 0.65))


def test_selection_and_order_do_not_see_test():
    trials = [trial("erm-0", 0.1), trial("erm-1", 0.3), trial("scale-0", 0.5), trial("scale-1", 0.5)]
    dfr = [dfr_row(name, seed, val, 0.5) for name, val in (("erm-0", 0.7), ("erm-1", 0.4)) for seed in range(3)]
    run = make_tables(trials, dfr=dfr)
    chosen = compare([run])
    blind = [column for column in chosen if not column.startswith("test_")]
    assert chosen["trial"].tolist() == ["erm-0", "scale-0", "erm-1"]
    for poison in (math.nan, 0.0, 1.0):
        found = compare([poisoned(run, poison)])
        pd.testing.assert_frame_equal(found[blind], chosen[blind])
        assert not found["test_minority_mean"].equals(chosen["test_minority_mean"])


def test_an_option_searched_as_a_choice_makes_data_of_its_own():
    spec = make_spec(space={"dataset.noise": {"type": "choice", "values": [0.1, 0.5]}, "lr": 0.01})
    noise = "config.dataset.noise"
    trials = [
        trial("erm-0", 0.9, **{noise: 0.1}),
        trial("erm-1", 0.2, **{noise: 0.5}),
        trial("scale-0", 0.3, **{noise: 0.5}),
    ]
    run = make_tables(trials, spec=spec)
    found = compare([run])
    assert found[["dataset", "trial"]].values.tolist() == [
        ["digits (noise=0.1)", "erm-0"],
        ["digits (noise=0.5)", "scale-0"],
        ["digits (noise=0.5)", "erm-1"],
    ]
    assert set(differences([run])["dataset"]) == {"digits (noise=0.5)"}


def test_an_option_drawn_from_a_range_is_a_hyperparameter():
    spec = make_spec(space={"dataset.noise": {"type": "float", "low": 0.1, "high": 0.5}, "lr": 0.01})
    trials = [trial("erm-0", 0.9, **{"config.dataset.noise": 0.1}), trial("erm-1", 0.2)]
    found = compare([make_tables(trials, spec=spec)])
    assert found[["dataset", "trial", "config"]].values.tolist() == [["digits", "erm-0", "dataset.noise=0.1"]]


def test_several_runs_make_one_table():
    digits = make_tables([trial("erm-0", 0.1)], name="a")
    more = make_tables([trial("scale-0", 0.5), trial("erm-0", 0.3)], name="b")
    birds = [trial("scale-0", 0.8, **{"config.dataset": "waterbirds"})]
    other = make_tables(birds, name="c", spec=make_spec(dataset={"name": "waterbirds"}))
    found = compare([digits, other, more])
    assert found[["dataset", "run", "trial"]].values.tolist() == [
        ["digits", "b", "scale-0"],
        ["digits", "b", "erm-0"],
        ["digits", "a", "erm-0"],
        ["waterbirds", "c", "scale-0"],
    ]
    pairs = differences([digits, other, more])
    assert set(map(tuple, pairs[["run", "method", "other_run", "other_method"]].values)) == {
        ("b", "scale", "b", "erm"),
        ("b", "scale", "a", "erm"),
        ("b", "erm", "a", "erm"),
    }


def test_differences_are_of_the_seeds_on_test():
    groups = [r for s in ("val", "test") for r in group_rows("scale-0", s, [60, 70, 80], [90, 90, 90])]
    groups += [r for s in ("val", "test") for r in group_rows("erm-0", s, [10, 20, 30], [99, 99, 99])]
    found = differences([make_tables([trial("erm-0", 0.2), trial("scale-0", 0.7)], groups)])
    assert found.columns.tolist() == DIFFERENCES.names
    row = found.set_index("accuracy").loc["worst_group"]
    assert (row["method"], row["other_method"], row["seeds"]) == ("scale", "erm", 3)
    assert (row["interval"], row["paired_over"]) == ("seeds and images", "seeds")
    assert row["difference"] == pytest.approx(0.5)
    assert 0.3 < row["low"] < 0.5 < row["high"] < 0.7


def test_nothing_to_compare_is_an_empty_comparison():
    assert compare([]).empty
    assert compare([make_tables([])]).columns.tolist() == COMPARISON.names
    assert differences([make_tables([])]).empty


def test_refits_are_measured_by_the_images_of_their_own_evaluation_groups():
    """Also where each cell is one: the worst of four, and an interval over seeds and images."""
    right = {(0, 0): 90, (0, 1): 30, (1, 0): 70, (1, 1): 80}
    dfr = [dfr_row("erm-0", seed, 0.3, 0.3) for seed in range(3)]
    cells = [
        {
            **{name: row[name] for name in KEY},
            "split": split,
            "label": y,
            "attribute": a,
            "aligned": y == a,
            "train_n": 1,
            "n": 100,
        }
        | {"evaluation_group": f"label {y}, attribute {a}", "correct": correct + row["seed"]}
        for row in dfr
        for split in ("val", "test")
        for (y, a), correct in right.items()
    ]
    run = make_tables([trial("erm-0", 0.1)])
    tables = {"dfr": frame_of(dfr, run_schemas.DFR), "groups": frame_of(cells, run_schemas.GROUPS)}
    groups = pd.concat([run.tables["groups"], tables["groups"]])
    found = compare([replace(run, tables=run.tables | tables | {"groups": groups})]).set_index("method")
    row = found.loc["dfr (scale)"]
    assert row["interval"] == "seeds and images"
    for split in ("val", "test"):
        means = [row[f"{split}_{name}_mean"] for name in ("worst_group", "minority", "majority", "average")]
        assert means == pytest.approx([0.31, 0.51, 0.86, 0.685])
        assert row[f"{split}_worst_group_low"] < 0.26, "100 images leave more open than 3 seeds that agree"


def test_an_entry_names_its_seeds_and_config():
    (entry,) = entries([make_tables([trial("erm-0", 0.5)])])
    assert entry.measured["val"].seeds == (0, 1, 2)
    assert entry.selected()["config.lr"] == 0.01
