"""The figures of an ablation: what they draw, and that the same data gives the same bytes."""

import math
from dataclasses import replace
from itertools import product

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from scale_tune.analysis.contrasts import contrasts
from scale_tune.analysis.panels import Panel
from scale_tune.analysis.published import beside, publication_for
from scale_tune.report.ablation_figures import ablation_figure, beside_figure, contrast_figure
from scale_tune.report.ablation_heatmap import heatmap
from scale_tune.report.drawing import Drawn, Series
from tests.support.ablations import ARMS, counts_of, grid_ablation, grid_run, run_with_a_failed_trial
from tests.support.tables import make_tables

PLOTS = ["lines", "heatmap"]


@pytest.fixture(scope="module")
def run():
    return run_with_a_failed_trial()


@pytest.fixture(scope="module")
def ablation(run):
    return grid_ablation(run)


@pytest.fixture(scope="module")
def published(run, ablation):
    return beside(run, ablation, publication_for(run, "spurious_strength", "val_target_size", None, None), None)


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """Those that were drawn; they are not saved."""
    drawn: list[Figure] = []
    monkeypatch.setattr(
        "scale_tune.report.ablation_figures.figure_files", lambda draw: drawn.append(draw()) or {"svg": b""}
    )
    return drawn


@pytest.mark.parametrize("plot", PLOTS)
def test_the_same_data_gives_the_same_bytes_and_other_data_others(ablation, plot):
    two = replace(ablation, panels=ablation.panels[:2])
    files = ablation_figure(two, plot)
    assert set(files) == {"pdf", "svg", "png"}
    assert ablation_figure(two, plot) == files
    other = ablation_figure(replace(ablation, panels=ablation.panels[2:3]), plot)
    assert all(other[name] != files[name] for name in files)
    assert b"CreationDate" not in files["pdf"]
    assert b"dc:date" not in files["svg"]
    assert b"matplotlib version" not in files["png"]


@pytest.mark.parametrize("plot", PLOTS)
def test_text_stays_text_and_fonts_are_embedded(ablation, plot):
    before = dict(mpl.rcParams)
    files = ablation_figure(ablation, plot)
    svg = files["svg"].decode()
    for word in (*ARMS, "val_target_size", "missing", "1000"):
        assert f">{word}</text>" in svg
    assert "spurious_strength" in svg
    assert "test minority" in svg
    assert files["pdf"].startswith(b"%PDF")
    assert b"/FontFile2" in files["pdf"]
    assert b"/Type3" not in files["pdf"]
    assert files["png"].startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before, "no state is left"


def lines_of(axis) -> list[tuple[list[float], list[float]]]:
    return [tuple(map(list, container.lines[0].get_data())) for container in axis.containers]


def test_lines_are_one_for_each_method_with_a_panel_for_each_row(ablation, figures):
    ablation_figure(ablation, "lines")
    axes = figures[0].axes
    assert [axis.get_title() for axis in axes] == ["spurious_strength = 0.95", "spurious_strength = 1"]
    for strength, axis in zip((0.95, 1.0), axes, strict=True):
        lines = lines_of(axis)
        assert len(lines) == len(ARMS)
        for arm, (x, y) in zip(ARMS, lines, strict=True):
            assert x == [1000, 2000]
            expected = [counts_of(arm, strength, size)[0 if arm == ARMS[-1] else 1] / 100 for size in (1000, 2000)]
            if arm in ("erm", "dfr") and strength == 0.95:
                assert math.isnan(y[0])
                expected = expected[1:]
                y = y[1:]
            assert y == pytest.approx(expected)
    markers = {container.lines[0].get_marker() for container in axes[0].containers}
    colours = {container.lines[0].get_color() for container in axes[0].containers}
    assert len(markers) == len(colours) == len(ARMS)


def test_lines_have_deviations_as_bars(ablation, figures):
    ablation_figure(ablation, "lines")
    target = figures[0].axes[0].containers[1]
    (low, high), *_ = [segment[:, 1] for segment in target.lines[2][0].get_segments()]
    assert (low, high) == pytest.approx((0.55, 0.57))


def test_of_one_row_there_is_one_panel(ablation, figures):
    ablation_figure(ablation.fixed_at(1.0), "lines")
    assert [axis.get_title() for axis in figures[0].axes] == ["spurious_strength = 1"]


def test_words_on_an_axis_stand_side_by_side(run, figures):
    from scale_tune.analysis.ablation import ablate

    ablation_figure(ablate(run, "spurious_strength", "regularize_mode"), "lines")
    axis = figures[0].axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["linear", "step"]
    assert lines_of(axis)[0][0] == [0, 1]


def numbers_in(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_heat_maps_have_a_panel_for_each_method_with_percent_in_the_cells(ablation, figures):
    ablation_figure(ablation, "heatmap")
    panels = [axis for axis in figures[0].axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ARMS
    assert numbers_in(panels[2]) == ["65.0", "67.0", "69.0", "71.0"]
    assert numbers_in(panels[0]) == ["13.0", "15.0", "17.0"], "the first is missing"
    limits = {axis.images[0].get_clim() for axis in panels}
    assert len(limits) == 1, "one scale for all"


def test_a_method_with_another_grid_has_a_heat_map_of_its_own_rows_and_columns():
    many, one = ([0.9, 0.95, 1.0], [1000, 2000]), ([1.0], [2000])
    series = []
    for look, (name, (rows, cols)) in enumerate({"scale": many, "scale_constant": one}.items()):
        cells = {place: Drawn(value=0.5) for place in product(rows, cols)}
        series.append(Series(panel=Panel(name=name, rows=rows, cols=cols, cells=cells), look=look))
    drawn = [axis for axis in heatmap(series, "rows", "cols", "label").axes if axis.get_title()]
    for axis, (rows, cols) in zip(drawn, (many, one), strict=True):
        assert [label.get_text() for label in axis.get_yticklabels()] == [f"{row:g}" for row in rows]
        assert [label.get_text() for label in axis.get_xticklabels()] == [f"{col:g}" for col in cols]
        assert (axis.get_xlim(), axis.get_ylim()) == ((-0.5, len(cols) - 0.5), (len(rows) - 0.5, -0.5))


def test_differences_are_centred_at_0_and_marked_where_their_interval_includes_it(run, ablation, figures):
    found = contrasts(run, ablation, ["scale,dfr", "scale,scale_step"])
    contrast_figure(found, "heatmap")
    panels = [axis for axis in figures[0].axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["scale − dfr", "scale − scale_step"]
    for axis in panels:
        low, high = axis.images[0].get_clim()
        assert low == -high < 0
    assert numbers_in(panels[0]) == ["+19.0", "+19.0", "+19.0"]
    assert (len(panels[0].patches), len(panels[1].patches)) == (0, 4)
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["95 % interval includes 0", "missing"]


def test_differences_without_an_interval_are_marked_as_such(run, ablation, figures, monkeypatch):
    class Unsure:
        seeds, difference, low, high, paired_over = 2, 0.1, None, None, "seeds"

    monkeypatch.setattr("scale_tune.analysis.contrasts.paired_differences", lambda *_: {"minority": Unsure})
    contrast_figure(contrasts(run, ablation, ["scale,erm_target"]), "heatmap")
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["no interval"]


def test_differences_as_lines_have_a_line_at_0(run, ablation, figures):
    contrast_figure(contrasts(run, ablation, ["scale,dfr"]), "lines")
    axis = figures[0].axes[0]
    assert any(list(line.get_ydata()) == [0, 0] for line in axis.lines)
    assert len(axis.containers) == 1


def test_published_lines_are_hollow_and_dashed_in_the_colour_of_ours(published, figures):
    beside_figure(published, "lines")
    axis = figures[0].axes[0]
    assert len(axis.containers) == 12
    for ours, theirs in zip(axis.containers[:6], axis.containers[6:], strict=True):
        assert theirs.lines[0].get_color() == ours.lines[0].get_color()
        assert (ours.lines[0].get_linestyle(), theirs.lines[0].get_linestyle()) == ("-", "--")
        assert theirs.lines[0].get_markerfacecolor() == "white"
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [*ARMS, "published", "missing"]


def test_published_heat_maps_are_of_the_difference(published, figures):
    beside_figure(published, "heatmap")
    panels = {axis.get_title(): axis for axis in figures[0].axes if axis.get_title()}
    assert numbers_in(panels["scale"])[0] == "-0.4"


def test_nothing_at_all_is_a_figure_too(figures):
    empty = grid_ablation(make_tables([], spec=grid_run().spec))
    for plot in PLOTS:
        ablation_figure(empty, plot)
    assert len(figures) == 2
    assert heatmap([], "rows", "cols", "label").axes
