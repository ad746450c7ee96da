"""Colour is of methods alone, is the same everywhere, and can be told apart by everybody."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.report import html as report
from scale_tune.report.html import data, marks, swatches
from scale_tune.report.html.style import NEUTRAL, SHADES, SYMBOLS, looks, looks_of, on_one_scale
from tests.support.pages import Page
from tests.support.reports import analysed, dfr_of, spec_of
from tests.support.twelve import twelve

VISION = {
    "usual": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""What linear RGB becomes (Machado et al., 2009, severity 1)."""
PAGES = {"light": "#FFFFFF", "dark": "#15181C"}


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson's (2020): distances are as people see them; black and white are 1 apart."""
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_cones) @ np.clip(rgb, 0, 1))


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("page", PAGES)
def test_colours_of_methods_are_told_apart_by_the_colour_blind_and_from_grey(page, vision):
    seen = [oklab(np.array(VISION[vision]) @ linear(getattr(shade, page))) for shade in (*SHADES, NEUTRAL)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.06


@pytest.mark.parametrize("page", PAGES)
def test_colours_of_methods_stand_out_from_the_page(page):
    for shade in (*SHADES, NEUTRAL):
        low, high = sorted([luminance(getattr(shade, page)), luminance(PAGES[page])])
        assert (high + 0.05) / (low + 0.05) >= 2.9, shade


def test_thirty_methods_have_looks_of_their_own_also_without_colour():
    found = looks(f"method_{i}" for i in range(30)).values()
    for one, other in ((0, 1), (0, 2), (1, 2)):  # colour, symbol, dash
        assert len({(look[one], look[other]) for look in found}) == 30
    first = list(found)[: len(SHADES)]
    assert len({look.colour for look in first}) == len({look.symbol for look in first}) == len(first)


def test_a_look_follows_from_the_place_in_the_spec_and_not_from_results():
    given = analysed()
    turned = replace(given, comparison=given.comparison[::-1])
    assert looks_of(given) == looks_of(turned)
    assert list(looks_of(given)) == list(given.spec.methods)
    with_refits = replace(given, tables={**given.tables, **dfr_of("erm-00000")})
    assert list(looks_of(with_refits)) == [*given.spec.methods, "dfr (scale)"]
    assert {**looks_of(with_refits), **looks_of(given)} == looks_of(with_refits)


def test_every_symbol_has_a_mark_for_the_text():
    for look in looks(f"method_{i}" for i in range(len(SYMBOLS))).values():
        assert swatches.shade_class(look) in swatches.swatch(look)


@pytest.fixture(scope="module")
def many():
    run = twelve()
    methods = {m: s.model_dump(exclude_defaults=True) for m, s in run.spec.methods.items()}
    given = analysed(spec_of(methods=methods), name="demo")
    given = replace(given, comparison=compare([run]), differences=differences([run]))
    return replace(given, tables={**given.tables, **dfr_of("erm-00000")})


def colours_in(part) -> set[str]:
    """Every colour of a figure that is a hue."""
    if isinstance(part, dict):
        return set().union(*map(colours_in, part.values())) if part else set()
    if isinstance(part, list):
        return set().union(*map(colours_in, part)) if part else set()
    is_colour = isinstance(part, str) and len(part) == 7 and part.startswith("#")
    return {part} if is_colour and len({part[1:3], part[3:5], part[5:7]}) > 1 else set()


def test_in_a_figure_of_one_method_there_is_no_other_colour_than_its_own(many):
    figures, of = Page(report.render(many)).figures, looks_of(many)
    for method in many.spec.methods:
        for name in (f"epochs-{method}", f"history-{method}", f"importance-{method}", f"diagnostics-{method}-0"):
            if name in figures:
                assert colours_in(figures[name]) == {of[method].colour}, name
    assert colours_in(figures["dfr-path-0"]) == {of["dfr (scale)"].colour}
    allowed = {shade.light for shade in SHADES}
    assert set().union(*map(colours_in, figures.values())) <= allowed


def test_states_of_trials_are_told_apart_by_marks_and_greys(many):
    shown = {trace["name"]: trace["marker"] for trace in history_of(many, "erm") if "marker" in trace}
    assert shown["complete"]["color"] == looks_of(many)["erm"].colour
    assert shown["pruned"]["color"] == NEUTRAL.light
    assert shown["pruned"]["symbol"] != shown["complete"]["symbol"]


def history_of(given, method: str) -> list[dict]:
    return marks.history(data.history(given.tables["trials"], method), looks_of(given)[method]).to_plotly_json()["data"]


def test_methods_have_the_same_colour_in_figures_that_show_several(many):
    figures, of = Page(report.render(many)).figures, looks_of(many)
    for trace in (
        *figures["validation-figure"]["data"],
        *figures["answer-figure-0"]["data"],
        *figures["slice-lr"]["data"],
    ):
        if "name" in trace:
            assert trace["marker"]["color"] == of[trace["name"]].colour
    (points,) = figures["labelled-figure-0"]["data"]
    assert points["marker"]["color"] == [of[method].colour for method in points["text"]]
    accuracies = [trace for trace in figures["comparison-figure-0"]["data"] if "text" in trace]
    for trace in accuracies:
        assert trace["marker"]["color"] == [of[method].colour for method in trace["text"]]
    assert len({trace["marker"]["symbol"] for trace in accuracies}) == 3, "splits are told apart by their marks"


def test_small_multiples_are_on_one_scale(many):
    figures = Page(report.render(many)).figures
    for kind in ("epochs", "history"):
        shown = [figures[f"{kind}-{method}"] for method in many.spec.methods]
        ranges = {tuple(figure["layout"][axis]["range"]) for figure in shown for axis in ("yaxis",)}
        assert len(ranges) == len({tuple(figure["layout"]["xaxis"]["range"]) for figure in shown}) == 1
        low, high = ranges.pop()
        values = [y for figure in shown for trace in figure["data"] for y in trace["y"] if y is not None]
        assert low < min(values) < max(values) < high


def test_a_logarithmic_axis_has_its_range_in_powers_of_ten():
    import plotly.graph_objects as go

    figures = [go.Figure(go.Scatter(x=[0.01, x], y=[0.1, 0.2])).update_xaxes(type="log") for x in (1, 100)]
    on_one_scale(figures)
    low, high = figures[0].layout.xaxis.range
    assert (round(low), round(high)) == (-2, 2)
    assert figures[1].layout.xaxis.range == (low, high)
