"""How the report looks in a browser: its first screen, on a phone, in the dark and on paper."""

from dataclasses import replace

import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.report import html as report
from scale_tune.report.html.style import SHADES
from tests.support.ablations import grid_run
from tests.support.reports import analysed, dfr_of, spec_of
from tests.support.twelve import twelve

pytestmark = pytest.mark.browser

SCREEN = 820
"""Pixels that are seen at once."""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The report of twelve methods and refits."""
    run = twelve()
    methods = {m: s.model_dump(exclude_defaults=True) for m, s in run.spec.methods.items()}
    given = analysed(spec_of(methods=methods), name="demo", warnings=[f"number {i} is odd" for i in range(9)])
    given = replace(given, comparison=compare([run]), differences=differences([run]))
    path = tmp_path_factory.mktemp("many") / "report.html"
    path.write_text(report.render(replace(given, tables={**given.tables, **dfr_of("erm-00000")})))
    return path


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The report of four kinds of data."""
    run = grid_run()
    given = analysed(run.spec, tables=run.tables)
    path = tmp_path_factory.mktemp("grid") / "report.html"
    path.write_text(report.render(replace(given, comparison=compare([run]), differences=differences([run]))))
    return path


@pytest.mark.parametrize("width", [1400, 390])
def test_sentence_and_figure_are_on_the_first_screen(many, browser, width):
    browser.open(many, width, SCREEN)
    for part in (".headline", "#answer-figure-0 .main-svg"):
        bottom = browser.run(f"return document.querySelector('{part}').getBoundingClientRect().bottom")
        assert 0 < bottom <= SCREEN, part


@pytest.mark.parametrize("width", [1400, 800, 390])
@pytest.mark.parametrize("name", ["many", "grid"])
def test_nothing_overflows_at_any_width(request, name, browser, width):
    browser.open(request.getfixturevalue(name), width)
    assert browser.console() == []
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.clipped() == []


def test_on_a_phone_captions_wrap_and_wide_tables_show_that_they_scroll(many, browser):
    browser.open(many, 390)
    caption = "document.querySelector('#information-table caption span').getBoundingClientRect()"
    assert browser.run(f"return {caption}.right") <= 390
    scroll = "document.querySelector('#information-table').closest('.scroll')"
    faded = f"return getComputedStyle({scroll}).maskImage !== 'none'"
    assert browser.run(faded)
    browser.run(f"{scroll}.scrollLeft = 10000")
    browser.wait(faded.replace("!==", "==="))
    browser.open(many, 1400)
    assert not browser.run(faded), "it fits"


def test_a_figure_that_was_folded_is_drawn_when_it_is_unfolded(grid, browser):
    browser.open(grid, 1400)
    is_drawn = "return document.querySelector('#answer-figure-1 .main-svg') !== null"
    assert not browser.run(is_drawn)
    browser.run("document.querySelector('#answer-figure-1').closest('details').open = true")
    browser.wait(is_drawn)
    assert browser.clipped() == []


def test_in_the_dark_the_page_is_dark_and_methods_have_the_colours_for_it(many, browser):
    page = "return getComputedStyle(document.body).backgroundColor"
    marks = "return document.getElementById('answer-figure-0').data.map(trace => trace.marker.color)"
    swatch = "return getComputedStyle(document.querySelector('.headline .swatch')).fill"
    browser.dark(False)
    browser.open(many, 1400)
    light, colours = browser.run(page), browser.run(marks)
    assert light == "rgb(255, 255, 255)"
    assert set(colours) <= {shade.light for shade in SHADES}
    browser.dark(True)
    try:
        dark = [dict(zip(*zip(*SHADES, strict=True), strict=True))[colour] for colour in colours]
        browser.wait(f"{marks.replace('return', 'return JSON.stringify(')}) === JSON.stringify({dark})")
        assert browser.run(page) == "rgb(21, 24, 28)"
        red, green, blue = (int(dark[0][i : i + 2], 16) for i in (1, 3, 5))
        assert browser.run(swatch) == f"rgb({red}, {green}, {blue})"
    finally:
        browser.dark(False)


def test_paper_is_light_with_figures_as_wide_as_their_column_and_warnings_whole(many, browser):
    browser.dark(True)
    try:
        browser.open(many, 1280)
        browser.run("dispatchEvent(new Event('beforeprint'))")
        widths = "return [...document.querySelectorAll('.plot')].filter(p => p.querySelector('.main-svg')).map(p => "
        widths += "[p.getBoundingClientRect().width, p.querySelector('.main-svg').getBoundingClientRect().width])"
        found = browser.run(widths)
        assert len(found) > 20
        assert all(abs(place - figure) <= 1 for place, figure in found)
        assert max(place for place, _ in found) <= 690, "of 182 mm"
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        marks = browser.run("return document.getElementById('answer-figure-0').data.map(trace => trace.marker.color)")
        assert set(marks) <= {shade.light for shade in SHADES}
        opened = "return [...document.querySelectorAll('details')].filter(d => d.open).map(d => d.className)"
        assert browser.run(opened) == ["printed"], "tables and tracebacks stay folded"
        browser.run("dispatchEvent(new Event('afterprint'))")
        assert browser.run(opened) == []
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    finally:
        browser.dark(False)
