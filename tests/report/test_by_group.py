"""Groups: evaluation groups first, with how many images, then cells; of refits too."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import leading
from scale_tune.report import html as report
from scale_tune.report.html import by_group
from scale_tune.report.html.by_group import Judged
from scale_tune.report.html.markup import Column, cell
from tests.support.ablations import grid_run
from tests.support.pages import Page
from tests.support.reports import analysed
from tests.support.tables import dfr_row, group_rows, make_spec, make_tables, trial


def analysed_run(run: RunTables):
    """As a report is given it."""
    given = analysed(run.spec, name=run.name, tables=run.tables)
    return replace(given, comparison=compare([run]), differences=differences([run]))


@pytest.fixture(scope="module")
def refitted():
    """Two methods, and the refits of one and of the pretrained network."""
    counts = {"erm-00000": ([20, 30, 40], [90, 90, 96]), "scale-00000": ([60, 60, 66], [70, 70, 70])}
    rows = [
        row
        for name, (conflicting, aligned) in counts.items()
        for split in ("val", "test")
        for row in group_rows(name, split, conflicting, aligned)
    ]
    dfr = [dfr_row("erm-00000", seed, 0.5, 0.5 + 0.02 * seed) for seed in range(3)] + [dfr_row(None, None, 0.4, 0.38)]
    return analysed_run(make_tables([trial("erm-00000", 0.3), trial("scale-00000", 0.62)], rows, dfr))


def test_every_method_and_refit_has_its_evaluation_groups_with_their_images(refitted):
    rows = by_group.evaluation_groups(by_group.judged(refitted)).set_index(["method", "group"])
    assert list(dict.fromkeys(rows.index.get_level_values("method"))) == refitted.comparison["method"].tolist()
    assert set(rows["n"]) == {100}
    assert set(rows["split"]) == {"test"}
    erm = rows.loc[("erm", "conflicting")]
    assert (erm["mean"], erm["std"]) == (pytest.approx(0.3), pytest.approx(0.1))
    assert rows.loc[("erm", "aligned"), "mean"] == pytest.approx(0.92)
    assert rows.loc[("dfr (scale)", "conflicting"), "mean"] == pytest.approx(0.52)
    assert rows.loc[("pretrained (scale)", "conflicting"), "mean"] == pytest.approx(0.38)
    assert rows.loc["scale", "worst"].to_dict() == {"aligned": False, "conflicting": True}


def test_the_table_has_what_was_computed_and_frames_the_worst_group(refitted):
    html = report.render(refitted)
    table = Page(html).tables["groups-test-table"]
    for row in by_group.evaluation_groups(by_group.judged(refitted)).itertuples():
        shown = table[row.method][f"group.{row.group}"]
        assert shown == pytest.approx([row.mean] if pd.isna(row.std) else [row.mean, row.std])
    assert "conflicting (n 100)" in html
    assert html.count('class="heat low worst"') + html.count('class="heat worst"') >= len(table)


def test_of_cells_the_seeds_are_pooled(refitted):
    shown = {each.method: by_group.cells(each) for each in by_group.judged(refitted)}
    conflicting = shown["erm"].set_index("attribute").loc[1]
    assert (conflicting["n"], conflicting["accuracy"]) == (100, pytest.approx(0.3))
    assert shown["dfr (scale)"].set_index("attribute").loc[1, "accuracy"] == pytest.approx(0.52)
    table = Page(report.render(refitted)).tables["cells-test-table"]
    assert table["erm (erm-00000), 0"]["attribute 1"] == pytest.approx([0.3])
    assert table["pretrained (scale) (no trial), 0"]["attribute 1"] == pytest.approx([0.38])
    assert Page(report.render(refitted)).tables["cells-test-counts"]["0"]["attribute 1"] == [100]


def test_on_a_grid_each_kind_of_data_has_its_own_rows():
    given = analysed_run(grid_run())
    shown = by_group.judged(given)
    names = given.comparison.groupby("dataset", sort=False)["method"].apply(list).to_dict()
    found: dict[str, list[str]] = {}
    for each in shown:
        found.setdefault(each.dataset, []).append(each.method)
    assert found == names
    assert len({id(each.cells) for each in shown}) == len(shown)
    assert all(each.cells["fingerprint"].nunique() == 1 for each in shown), "no data of another cell"


def test_a_method_without_a_selectable_trial_has_its_best_so_far_on_val():
    running = trial("scale-00000", 0.5, state="running")
    rows = group_rows("scale-00000", "val", [50] * 3, [90] * 3)
    given = analysed_run(make_tables([running], rows, spec=make_spec(methods=["scale"])))
    (shown,) = by_group.judged(given)
    assert (shown.method, shown.split) == ("scale", "val")
    assert shown.trial == "scale-00000, best so far, not selectable"
    assert leading(given.tables["trials"])["selected"].tolist() == [False]


def test_a_group_without_images_is_no_worst_group_and_an_empty_cell_is_missing():
    rows = [
        {"seed": 0, "label": label, "attribute": 0, "evaluation_group": group, "n": n, "correct": right}
        for label, group, n, right in ((0, "a", 10, 5), (1, "b", 0, 0))
    ]
    judged = Judged(method="erm", trial="erm-00000", dataset="", split="test", cells=pd.DataFrame(rows))
    found = by_group.evaluation_groups([judged])
    assert found[["group", "n", "mean", "worst"]].values.tolist() == [["a", 10, 0.5, True]]
    accuracies = by_group.cells(judged)["accuracy"]
    assert accuracies[0] == 0.5
    assert np.isnan(accuracies[1])
    assert "missing" in cell(Column("x", "x", "heat"), {"x_mean": accuracies[1]})
