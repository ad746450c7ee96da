"""The report in a browser, as a reader explores it: tables sort and filter, and trials open."""

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from scale_tune.report import html as report
from scale_tune.storage.location import Location
from tests.support.reports import TRACEBACK, analysed, dfr_of, spec_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def whole():
    given = analysed()
    return replace(given, tables={**given.tables, **dfr_of("erm-00000")})


@pytest.fixture(scope="module")
def page(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write_report(Location.of(path), whole)
    return path


def wait_until_drawn(browser) -> None:
    browser.wait("return document.querySelectorAll('.opened .main-svg').length >= 3")


def rows(browser, table: str) -> list[str]:
    return browser.run(
        f"return [...document.querySelectorAll('#{table} tbody tr')].filter(r => !r.hidden && r.dataset.row)"
        ".map(r => r.dataset.row)"
    )


def click(browser, table: str, header: str) -> str:
    """Click a header's button, and say how the column is sorted then."""
    return browser.run(f"""
        const header = [...document.querySelectorAll('#{table} thead th')].find(h => h.textContent === '{header}');
        header.querySelector('button').click();
        return header.ariaSort;
    """)


def test_a_table_sorts_down_up_and_back_with_what_is_missing_last(browser, page, whole):
    browser.open(page, 1280)
    trials = whole.tables["trials"]
    known = trials.dropna(subset="objective").sort_values("objective", kind="stable")
    missing = trials.loc[trials["objective"].isna(), "trial"].tolist()
    assert click(browser, "trials-table", "objective") == "descending"
    assert rows(browser, "trials-table") == [*known["trial"][::-1], *missing]
    assert click(browser, "trials-table", "objective") == "ascending"
    assert rows(browser, "trials-table") == [*known["trial"], *missing]
    assert click(browser, "trials-table", "objective") == "none"
    assert rows(browser, "trials-table") == trials["trial"].tolist()
    assert click(browser, "trials-table", "state") == "descending"
    by_state = trials.sort_values("state", kind="stable", ascending=False)
    assert rows(browser, "trials-table")[:7] == by_state["trial"].tolist()[:7]
    assert (
        browser.run("return [...document.querySelectorAll('#trials-table th[aria-sort]')].map(h => h.ariaSort)").count(
            "descending"
        )
        == 1
    )
    assert browser.console() == []


def test_rows_stay_below_their_heading(browser, page):
    browser.open(page, 1280)
    script = """return [...document.querySelectorAll('#epochs-table tbody tr')]
        .map(r => r.dataset.row?.split(' (')[0] ?? r.textContent.trim().split(' (')[0])"""
    before = browser.run(script)
    assert click(browser, "epochs-table", "seed 0") == "descending"
    assert browser.run(script) == before
    assert len(set(before)) == 3


def test_a_header_is_worked_by_the_keyboard(browser, page):
    from selenium.webdriver.common.keys import Keys

    browser.open(page, 1280)
    browser.run("document.querySelector('#trials').querySelector('details').open = true")
    button = browser.driver.find_element("css selector", "#trials-table thead th button")
    button.send_keys(Keys.ENTER)
    assert rows(browser, "trials-table")[0] == "scale-00011"


def test_a_long_table_is_filtered_by_words_and_says_how_many_are_left(browser, page, whole):
    browser.open(page, 1280)
    assert browser.run("return document.querySelectorAll('#history .filter').length") == 0, "three rows need none"

    def typed(words: str) -> str:
        return browser.run(f"""
            const box = document.querySelector('#trials .filter');
            box.querySelector('input').value = '{words}';
            box.querySelector('input').dispatchEvent(new Event('input'));
            return box.querySelector('[role=status]').textContent;
        """)

    assert typed("SCALE- pruned") == "7 of 36 rows"
    trials = whole.tables["trials"]
    wanted = trials[(trials["method"] == "scale") & (trials["state"] == "pruned")]["trial"].tolist()
    assert rows(browser, "trials-table") == wanted
    click(browser, "trials-table", "trial")
    assert rows(browser, "trials-table") == wanted[::-1], "a filtered table sorts, too"
    assert typed("") == ""
    assert len(rows(browser, "trials-table")) == 36


def test_a_click_opens_a_trial_to_its_curves_and_another_closes_it(browser, page, whole):
    browser.open(page, 1280)
    browser.run("document.querySelector('#trials details').open = true")
    button = "document.querySelector('#erm-00003 button')"
    assert browser.run(f"return {button}.ariaExpanded") == "false"
    browser.run(f"{button}.click()")
    wait_until_drawn(browser)
    assert browser.run(f"return {button}.ariaExpanded") == "true"
    drawn = browser.run("return [...document.querySelectorAll('.opened .plot')].map(p => p.data.map(t => t.y))")
    epochs = whole.tables["epochs"].query("trial == 'erm-00003'")
    for split in ("train", "val"):
        for _, rows_of_seed in epochs[epochs["split"] == split].groupby("seed"):
            assert pytest.approx(rows_of_seed["worst_group"].tolist(), abs=1e-4) in drawn[1]
    text = browser.run("return document.querySelector('.opened').innerText")
    assert "python tune.py /runs/run/spec.yaml --methods erm" in text
    assert "seed 0 solid, seed 1 dashed, seed 2 dotted" in text
    click(browser, "trials-table", "objective")
    assert browser.run("return document.querySelector('.opened').previousElementSibling.id") == "erm-00003"
    browser.run(f"{button}.click()")
    assert browser.run("return [document.querySelectorAll('.opened').length, places.length]") == [
        0,
        browser.run("return Object.keys(figures).length"),
    ]
    assert browser.console() == []


def test_a_failed_trial_opens_to_its_error_without_curves(browser, page):
    browser.open(page, 390)
    browser.run("location.hash = 'scale-00007'")
    browser.wait("return document.querySelector('.opened dl')")
    text = browser.run("return document.querySelector('.opened').innerText")
    assert "It has no complete epoch." in text
    assert TRACEBACK.splitlines()[-1] in text
    assert browser.run("return document.querySelector('.opened pre:last-child').textContent") is not None
    assert browser.run("return document.documentElement.scrollWidth") == 390


def test_a_mark_in_a_figure_leads_to_its_trial_and_back_leads_back(browser, page):
    browser.open(page, 1280)
    browser.run("""
        const place = document.getElementById('history-scale');
        place.emit('plotly_click', {points: [{text: place.data[0].text[0]}]});
    """)
    wait_until_drawn(browser)
    assert browser.run("return location.hash") == "#scale-00000"
    assert browser.run("return document.querySelector('#trials details').open")
    browser.run("document.getElementById('validation-figure').emit('plotly_click', {points: [{text: 'nothing'}]})")
    browser.run("document.getElementById('cost-figure').emit('plotly_click', {points: [{}]})")
    assert browser.run("return location.hash") == "#scale-00000"
    assert browser.console() == []


def test_an_opened_trial_is_dark_and_printed_as_all_is(browser, page):
    browser.open(page, 1280)
    browser.run("location.hash = 'scale-00003'")
    wait_until_drawn(browser)
    colour = "return document.querySelector('.opened .plot').data.find(t => t.line.width === 1.8).line.color"
    light = browser.run(colour)
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.wait(f"return (() => {{ {colour} }})() !== '{light}'")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(colour) == light
    widths = browser.run("return [...document.querySelectorAll('.opened .plot')].map(p => p.clientWidth)")
    assert max(widths) < 240, "three of them beside each other"
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_browser_that_cannot_unpack_says_so_and_has_its_tables(browser, page, tmp_path):
    lacking = page.read_text().replace("new DecompressionStream", "new (class { constructor() { throw 0 } })")
    hashed = rehashed(lacking)
    (tmp_path / "old.html").write_text(hashed)
    browser.open(tmp_path / "old.html", 1280)
    assert "this browser has no DecompressionStream" in browser.run(
        "return document.getElementById('undrawn').checkVisibility() && document.getElementById('undrawn').innerText"
    )
    assert click(browser, "trials-table", "objective") == "descending"
    browser.run("location.hash = 'erm-00003'")
    browser.wait("return document.querySelector('.opened')?.innerText.includes('can’t unpack')")
    browser.open(page, 1280)
    assert not browser.run("return document.getElementById('undrawn').checkVisibility()")


def rehashed(html: str) -> str:
    """The page with the hash of its script as it is now."""
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    changed, n = re.subn("script-src &#39;sha256-[^&]+", lambda _: f"script-src &#39;sha256-{own}", html)
    assert n == 1
    return changed


def test_a_script_that_is_not_the_pages_does_not_run(browser, page, tmp_path):
    foreign = page.read_text().replace("</main>", "<script>window.pwned = 1</script></main>")
    (tmp_path / "foreign.html").write_text(foreign)
    browser.open(tmp_path / "foreign.html", 1280)
    assert browser.run("return window.pwned") is None
    assert any("Content Security Policy" in message for message in browser.console())


def test_a_thousand_trials_make_a_page_that_opens_any_of_them(browser, tmp_path):
    spec = spec_of(num_samples=334, epochs=50)
    path = tmp_path / "report.html"
    report.write_report(Location.of(path), analysed(spec, states=lambda number: "complete", cells=10))
    assert path.stat().st_size < 8e6
    browser.open(path, 1280)
    browser.run("location.hash = 'scale-00333'")
    wait_until_drawn(browser)
    assert browser.run("return document.querySelector('.opened .plot').data[0].x.length") == 50
    click(browser, "trials-table", "objective")
    assert len(rows(browser, "trials-table")) == 1002
    assert browser.console() == []
