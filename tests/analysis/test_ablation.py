"""Pivots of grids made by hand: every cell is there, also what is missing, and test chooses nothing."""

import io
import math
import re

import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from scale_tune.analysis.ablation import ablate
from scale_tune.errors import UserError
from scale_tune.report.ablation_figure import ablation_figures
from scale_tune.report.pivots import pivot_latex, pivot_tables
from tests.support.tables import make_spec, make_tables, poisoned, trial

NOISE, STRENGTH = "config.dataset.noise", "config.dataset.spurious_strength"
SPEC = {
    "methods": {"erm": {}, "scale": {"space": {"regularize_mode": {"type": "choice", "values": ["linear", "step"]}}}},
    "space": {
        "dataset.noise": {"type": "choice", "values": [0.5, 0.1]},
        "dataset.spurious_strength": {"type": "choice", "values": [0.9, 0.95, 1.0]},
    },
    "sampler": "grid",
}


def cell(name, noise, strength, val, test=None, **values) -> dict:
    """A trial whose accuracies on val are ``val`` and on test ``test``, with a deviation of a hundredth of them."""
    row = trial(name, val, **{NOISE: noise, STRENGTH: strength})
    for column in row:
        if column.endswith(("_mean", "_std")):
            mean = (val if test is None else test) if column.startswith("test") else val
            row[column] = mean if column.endswith("_mean") else mean / 100
    return row | values


@pytest.fixture(scope="module")
def run():
    erm = [cell(f"erm-{i}", n, s, 0.1 * i) for i, (n, s) in enumerate((n, s) for n in (0.5, 0.1) for s in (0.9, 0.95))]
    erm[1] |= {"state": "failed"}
    erm[2] |= {"diverged": 1, "seeds": 2}
    erm += [cell("erm-4", 0.1, 1.0, 0.7, state="pruned")]
    mode = "config.regularize_mode"
    scale = [
        cell("scale-0", 0.5, 0.9, 0.6, 0.2, **{mode: "linear"}),
        cell("scale-1", 0.5, 0.9, 0.5, 0.9, **{mode: "step"}),
    ]
    return make_tables(erm + scale, spec=make_spec(**SPEC))


def text_of(ablation) -> str:
    console = Console(width=120, markup=False, highlight=False)
    with console.capture() as capture:
        for table in pivot_tables(ablation):
            console.print(table)
    return capture.get()


def test_a_cell_is_the_trial_of_its_two_values(run):
    erm = ablate(run, "noise", "spurious_strength").panels[0]
    assert (erm.name, erm.rows, erm.cols) == ("erm", [0.1, 0.5], [0.9, 0.95, 1.0])
    found = erm.at(0.1, 0.95)
    assert (found["trial"], found["seeds"], found["mean"], found["std"]) == (
        "erm-3",
        3,
        pytest.approx(0.3),
        pytest.approx(0.003),
    )
    assert [erm.at(row, col)["trials"] for row in erm.rows for col in erm.cols] == [1, 1, 1, 1, 1, 0]


def test_every_missing_cell_is_there_with_its_reason(run):
    found = ablate(run, "noise", "spurious_strength")
    erm = found.panels[0]
    reasons = {(row, col): erm.at(row, col)["missing"] for row in erm.rows for col in erm.cols}
    missing = {at: reason for at, reason in reasons.items() if isinstance(reason, str)}
    assert missing == {
        (0.5, 0.95): "failed",
        (0.1, 0.9): "a seed diverged",
        (0.1, 1.0): "pruned",
        (0.5, 1.0): "no trial",
    }
    for at in missing:
        assert math.isnan(erm.at(*at)["mean"])
        assert erm.at(*at)["seeds"] == 0
    assert "erm: missing (failed): noise=0.5 spurious_strength=0.95" in found.notes
    assert text_of(found).split("scale")[0].count(" missing ") == 4


def test_of_trials_that_share_a_cell_the_best_on_val_is_shown_and_said_to_be(run):
    found = ablate(run, "noise", "spurious_strength")
    shared = found.panels[1].at(0.5, 0.9)
    assert (shared["trial"], shared["trials"], shared["mean"]) == ("scale-0", 2, 0.2)
    assert found.notes[-1] == (
        "scale: up to 2 trials share a cell, which differ in regularize_mode; "
        "shown is the one with the best validation objective"
    )


@pytest.mark.parametrize("poison", [math.nan, 1e9, -1e9])
def test_cells_are_not_chosen_by_test(run, poison):
    shown = ablate(run, "noise", "spurious_strength", "val_worst_group").table
    assert ablate(poisoned(run, poison), "noise", "spurious_strength", "val_worst_group").table.equals(shown)


def test_by_gives_each_value_a_grid_of_its_own(run):
    found = ablate(run, "noise", "spurious_strength", by="regularize_mode")
    assert [panel.name for panel in found.panels] == [
        "erm",
        "scale (regularize_mode=linear)",
        "scale (regularize_mode=step)",
    ]
    assert [panel.at(0.5, 0.9)["trial"] for panel in found.panels[1:]] == ["scale-0", "scale-1"]
    assert not any("share a cell" in note for note in found.notes)


@pytest.mark.parametrize("prefix", ["", "dataset.", "config.dataset."])
def test_names_are_taken_with_and_without_prefix(run, prefix):
    found = ablate(run, f"{prefix}noise", f"{prefix}spurious_strength")
    assert (found.rows, found.cols) == ("noise", "spurious_strength")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nois", "spurious_strength"), "--rows: the run has no parameter 'nois'; did you mean 'noise'"),
        (("noise", "config.dataset.strength"), "did you mean 'spurious_strength'"),
        (("noise", "noise"), "--rows, --cols must name different parameters"),
        (("noise", "spurious_strength", "test_worst"), "did you mean 'test_worst_group'"),
        (("noise", "spurious_strength", "val_average", "mode"), "--by: the run has no parameter 'mode'"),
        (("error", "spurious_strength"), "--rows: the run has no parameter 'error'"),
    ],
)
def test_what_the_run_lacks_is_an_error_with_the_nearest_name(run, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        ablate(run, *arguments)


def test_a_method_without_the_parameter_is_left_out_and_said_to_be(run):
    found = ablate(run, "noise", "regularize_mode")
    assert [panel.name for panel in found.panels] == ["scale"]
    assert found.panels[0].cols == ["linear", "step"], "words keep the order of the space"
    assert found.notes[0] == "erm is left out: it has no regularize_mode"


def test_constants_and_what_the_space_does_not_name_have_the_values_of_the_trials(run):
    panel = ablate(run, "lr", "noise").panels[0]
    assert panel.rows == [0.01]
    assert panel.at(0.01, 0.1)["trial"] == "erm-3"


def test_a_run_without_trials_is_all_missing():
    found = ablate(make_tables([], spec=make_spec(**SPEC)), "noise", "spurious_strength")
    assert set(found.table["missing"].to_pylist()) == {"no trial"}
    assert found.seeds is None
    assert "missing" in text_of(found)
    assert set(ablation_figures(found)) == {"pdf", "svg"}


def test_the_table_is_tidy_and_survives_parquet_and_pandas(run, tmp_path):
    table = ablate(run, "noise", "spurious_strength").table
    pq.write_table(table, tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").equals(table.schema, check_metadata=True)
    for field in table.schema:
        assert field.metadata[b"meaning"]
    pivot = pd.read_parquet(tmp_path / "a.parquet").query("method == 'erm'")
    pivot = pivot.pivot(index="noise", columns="spurious_strength", values="mean")
    assert pivot.shape == (2, 3)
    assert pivot.loc[0.1, 0.95] == pytest.approx(0.3)


def test_the_text_says_over_how_many_seeds(run):
    found = ablate(run, "noise", "spurious_strength")
    text = text_of(found)
    assert "erm: test worst-group by noise × spurious_strength, mean ± std over 3 seeds" in text
    assert "0.300 ± 0.003" in text
    unequal = make_tables(
        [cell("erm-0", 0.5, 0.9, 0.5), cell("erm-1", 0.1, 0.9, 0.5, seeds=2, seeds_asked=2)], spec=make_spec(**SPEC)
    )
    text = text_of(ablate(unequal, "noise", "spurious_strength"))
    assert "0.500 ± 0.005 (2)" in text
    assert "0.500 ± 0.005 (3)" in text


def test_latex_is_balanced_and_every_row_has_as_many_cells(run):
    latex = pivot_latex(ablate(run, "noise", "spurious_strength"))
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1] == ["table", "tabular"]
    assert latex.count("{") == latex.count("}")
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {3}
    assert r"noise & 0.9 & 0.95 & 1 \\" in rows
    assert r"0.1 & missing & $30.0 \pm 0.3$ & missing \\" in rows
    assert r"spurious\_strength" in latex
    assert "spurious_strength" not in latex


def test_figures_are_the_same_for_the_same_data_and_different_for_other(run):
    found = ablate(run, "noise", "spurious_strength")
    figures = ablation_figures(found)
    assert ablation_figures(found) == figures
    assert ablation_figures(ablate(run, "noise", "spurious_strength", "val_average"))["svg"] != figures["svg"]
    assert b"CreationDate" not in figures["pdf"]
    assert b"dc:date" not in figures["svg"]


def test_figures_have_text_as_text_and_fonts_embedded(run):
    figures = ablation_figures(ablate(run, "noise", "spurious_strength"))
    svg = figures["svg"].decode()
    for word in ("erm", "scale", "noise", "spurious_strength", "test worst-group", "missing", "0.95"):
        assert f">{word}</text>" in svg
    assert figures["pdf"].startswith(b"%PDF")
    assert b"/FontFile2" in figures["pdf"]
    assert b"/Type3" not in figures["pdf"]


def test_figures_draw_the_means_and_deviations(run, monkeypatch):
    drawn = []

    def errorbar(axis, x, y, *, yerr, **style):
        drawn.append((list(x), list(y), list(yerr), style["marker"]))

    monkeypatch.setattr("matplotlib.axes.Axes.errorbar", errorbar)
    ablation_figures(ablate(run, "noise", "spurious_strength"))
    assert len(drawn) == 4, "two methods of two rows"
    places, means, deviations, _ = drawn[0]
    assert places == [0.9, 0.95, 1.0]
    assert [round(mean, 6) for mean in means if not math.isnan(mean)] == [0.3]
    assert [round(deviation, 6) for deviation in deviations if not math.isnan(deviation)] == [0.003]
    assert len({marker for *_, marker in drawn}) == 2


def test_no_window_is_opened_and_no_state_is_left(run):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    ablation_figures(ablate(run, "noise", "spurious_strength"))
    assert dict(mpl.rcParams) == before
    assert io.BytesIO(ablation_figures(ablate(run, "noise", "regularize_mode"))["pdf"]).read(4) == b"%PDF"
