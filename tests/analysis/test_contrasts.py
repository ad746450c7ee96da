"""Differences between two methods of an ablation, cell by cell."""

import re

import pytest

from scale_tune.analysis.cells import measured_of
from scale_tune.analysis.contrasts import contrasts
from scale_tune.analysis.intervals import paired_differences
from scale_tune.errors import UserError
from tests.support.ablations import SIZES, STRENGTHS, changed, counts_of, grid_ablation, grid_run, grid_trials
from tests.support.tables import make_tables, poisoned

PAIRS = ["scale,dfr", "scale, erm_target", "scale,scale_step"]


@pytest.fixture(scope="module")
def run():
    return grid_run()


def test_a_cell_is_the_mean_of_the_first_minus_the_second_with_the_paired_interval(run):
    ablation = grid_ablation(run)
    found = contrasts(run, ablation, PAIRS)
    assert [panel.name for panel in found.panels] == ["scale − dfr", "scale − erm_target", "scale − scale_step"]
    for (one, other), panel in zip(found.pairs, found.panels, strict=True):
        for place, cell in panel.cells.items():
            expected = (counts_of(one, *place)[1] - counts_of(other, *place)[1]) / 100
            assert cell.difference == pytest.approx(expected)
            assert cell.seeds == 3
            counts = [measured_of(ablation.panel(n, "").at(*place), run.tables["groups"], "test") for n in (one, other)]
            interval = paired_differences(*counts)["minority"]
            assert cell.ends == (interval.low, interval.high)
    sure = {panel.name: {cell.sure for cell in panel.cells.values()} for panel in found.panels}
    assert sure["scale − dfr"] == {True}
    assert sure["scale − scale_step"] == {False}
    assert found.notes == []


def test_the_table_has_a_row_for_each_pair_and_cell(run):
    table = contrasts(run, grid_ablation(run), PAIRS).table
    assert table.num_rows == 3 * len(STRENGTHS) * len(SIZES)
    first = table.to_pylist()[0]
    assert (first["method"], first["other_method"], first["metric"]) == ("scale", "dfr", "test_minority")
    assert first["low"] < first["difference"] < first["high"]
    assert all(field.metadata[b"meaning"] for field in table.schema)


def test_a_difference_to_what_is_missing_is_missing_for_its_reason():
    trials, groups, dfr = grid_trials()
    trials[0]["state"] = "failed"
    run = make_tables(trials, groups, [row for row in dfr if row["trial"] != "erm-00001"], spec=grid_run().spec)
    found = contrasts(run, grid_ablation(run), PAIRS)
    reasons = [cell.missing for cell in found.panels[0].cells.values()]
    assert reasons == ["dfr: failed", "dfr: not refitted yet", None, None]
    assert "scale − dfr: missing (dfr: failed): spurious_strength=0.95 val_target_size=1000" in found.notes
    assert found.table["difference"].to_pylist()[0] is None


def test_the_baseline_that_no_seed_has_trained_can_not_be_paired(run):
    found = contrasts(run, grid_ablation(run), ["scale,dfr_pretrained"])
    assert {cell.missing for cell in found.panels[0].cells.values()} == {"they have no seed in common"}


def test_counts_that_are_gone_are_said_to_be(run):
    groups = run.tables["groups"]
    without = changed(run, groups=groups[groups["protocol"].isna()])
    cells = contrasts(without, grid_ablation(without), ["scale,dfr"]).panels[0].cells
    assert {cell.missing for cell in cells.values()} == {"their counts are gone from groups"}


def test_what_the_data_support_no_interval_of_has_none(run, monkeypatch):
    class Unsure:
        seeds, difference, low, high, paired_over = 3, 0.1, None, None, "seeds"

    monkeypatch.setattr("scale_tune.analysis.contrasts.paired_differences", lambda *_: {"minority": Unsure})
    found = contrasts(run, grid_ablation(run), ["scale,dfr"])
    cell = found.panels[0].at(0.95, 1000)
    assert (cell.difference, cell.ends, cell.sure) == (0.1, None, False)
    assert found.table["low"].null_count == 4
    assert set(found.table["paired_over"].to_pylist()) == {"seeds"}


def test_differences_on_val_know_nothing_of_test(run):
    shown = contrasts(run, grid_ablation(run, metric="val_minority"), PAIRS).table
    other = poisoned(run, 1e9)
    assert contrasts(other, grid_ablation(other, metric="val_minority"), PAIRS).table.equals(shown)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scale,dfrr", "--difference: the ablation has no 'dfrr'; did you mean 'dfr'?"),
        ("scale", "--difference takes two different methods, as scale,dfr; got 'scale'"),
        ("scale,scale", "--difference takes two different methods"),
        ("scale,dfr,erm", "--difference takes two different methods"),
    ],
)
def test_what_names_no_two_methods_is_an_error(run, text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        contrasts(run, grid_ablation(run), [text])
