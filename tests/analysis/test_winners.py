"""The map of a grid of data: who wins where, chosen by val alone."""

import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.winners import winners_map
from tests.support.ablations import STRENGTH, grid_run, grid_spec, grid_trials
from tests.support.tables import make_spec, make_tables, poisoned, trial


def map_of(run):
    return winners_map(run.name, run.spec, run.tables["trials"], compare([run]), differences([run]))


def test_every_cell_has_its_winner_with_its_margins_over_the_second():
    found = map_of(grid_run())
    assert (found.rows, found.cols, found.objective, found.datasets) == (
        "spurious_strength",
        "val_target_size",
        "minority",
        4,
    )
    assert {row: list(cells) for row, cells in found.cells.items()} == {"0.95": ["1000", "2000"], "1": ["1000", "2000"]}
    assert found.wins == [("scale", 4)]
    won = found.cells["0.95"]["1000"]
    assert (won.method, won.runner_up) == ("scale", "erm_target")
    assert won.test == pytest.approx(0.65)
    assert (won.val_margin, won.test_margin) == (pytest.approx(0.09), pytest.approx(0.09))


def test_a_winner_of_val_stays_the_winner_whatever_test_says():
    found = map_of(poisoned(grid_run(), 0.0))
    assert found.wins == [("scale", 4)]
    assert found.cells["0.95"]["1000"].test_margin < 0


def test_a_lead_whose_interval_includes_0_is_not_sure():
    trials, groups, _ = grid_trials()
    for row in groups:  # erm is far below, and alone with scale
        row["correct"] = 10 if row["trial"].startswith("erm") and not row["aligned"] else row["correct"]
    far = make_tables(trials, groups, [], spec=grid_spec())
    assert {won.sure for cells in map_of(far).cells.values() for won in cells.values()} == {True}
    for row in groups:
        row["correct"] = 64 if not row["aligned"] else row["correct"]
    equal = make_tables(trials, groups, [], spec=grid_spec())
    assert {won.sure for cells in map_of(equal).cells.values() for won in cells.values()} == {False}


def test_one_option_makes_one_row_and_data_without_a_winner_no_cell():
    space = {"dataset.spurious_strength": {"type": "choice", "values": [0.9, 0.95, 1.0]}}
    spec = make_spec(methods=["erm"], space=space)
    trials = [trial(f"erm-{i}", 0.5 + i / 10, **{STRENGTH: s}) for i, s in enumerate((1.0, 0.9, 0.95))]
    trials[2]["state"] = "failed"
    found = map_of(make_tables(trials, spec=spec))
    assert (found.rows, found.cols, found.datasets) == ("", "spurious_strength", 3)
    (cells,) = found.cells.values()
    assert {col: (won.method, won.runner_up, won.sure) for col, won in cells.items()} == {
        "0.9": ("erm", None, False),
        "1": ("erm", None, False),
    }


def test_a_run_on_one_kind_of_data_has_no_map():
    assert map_of(make_tables([trial("erm-0", 0.5)])) is None


def test_a_method_without_a_result_that_it_has_elsewhere_is_told_where_it_lacks():
    trials, groups, dfr = grid_trials()
    gone = [row for row in dfr if row["fingerprint"] != "0.95 1000"]
    found = map_of(make_tables(trials, groups, gone, spec=grid_spec()))
    lacking = {(row, col): set(won.lacking) for row, cells in found.cells.items() for col, won in cells.items()}
    assert lacking.pop(("0.95", "1000")) == {"dfr (scale)", "pretrained (scale)"}
    assert set(map(frozenset, lacking.values())) == {frozenset()}
    nowhere = map_of(make_tables(trials, groups, [], spec=grid_spec()))
    assert {won.lacking for cells in nowhere.cells.values() for won in cells.values()} == {()}
