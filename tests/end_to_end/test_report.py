"""The report of a real run, as the command writes it and as a browser shows it."""

from dataclasses import replace

import pytest

from scale_tune.analysis.comparison import compare
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import select_best
from scale_tune.report import html as report
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables import collect as results
from tests.support.commands import call
from tests.support.commands import run as command
from tests.support.reports import analysed, dfr_of, spec_of
from tests.support.runs import fast_spec, make_run

NASTY = "<img src=x onerror=\"pwned=1\"> & 'run'"
"""A directory's name is the run's name."""

WIDTHS = [pytest.param(390, id="phone"), pytest.param(1280, id="desktop")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three methods, with a failed trial."""
    spec = fast_spec(methods={"erm": {"epochs": 1}, "erm_target": {}, "scale": {}}, num_samples=2, epochs=2)
    made = make_run(tmp_path_factory.mktemp("runs"), spec, fail="scale-00001")
    moved = made.path.local.rename(made.path.local.with_name(NASTY))
    analyzed = command("analyze", moved)
    assert analyzed.returncode == 0, analyzed.stderr
    assert f"wrote {moved}/report.html" in analyzed.stdout
    return RunDir(moved)


def test_report_chooses_the_file(tmp_path):
    made = create_run(Location.of(tmp_path), "empty", fast_spec(), {})
    chosen = tmp_path / "elsewhere" / "chosen.html"
    done = command("analyze", made.path, "--report", chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no trial has begun" in chosen.read_text()
    assert not (made.path / "report.html").is_file()


def test_a_run_with_failures_alone_gets_a_report(tmp_path):
    made = make_run(tmp_path, fast_spec(methods=["erm"], num_samples=1), fail="erm-00000")
    assert call("analyze", made.path).returncode == 0
    assert "the only trial that ended has failed" in (made.path.local / "report.html").read_text()


def test_a_run_still_going_gets_a_report(tmp_path):
    spec = fast_spec(methods=["erm_target"], num_samples=1)
    made = make_run(tmp_path, spec, leave_running="erm_target-00000")
    assert call("analyze", made.path).returncode == 0
    assert "trials ended; this is a snapshot of" in (made.path.local / "report.html").read_text()


def test_each_of_several_runs_gets_a_report_and_one_file_is_refused(tmp_path):
    runs = [create_run(Location.of(tmp_path / name), "empty", fast_spec(), {}).path.local for name in ("one", "two")]
    done = call("analyze", *runs, "--report", tmp_path / "report.html")
    assert done.returncode == 2
    assert "is for one run" in done.stderr
    assert call("analyze", *runs).returncode == 0
    assert ["<b>one/empty</b>" in (runs[0] / "report.html").read_text(), (runs[1] / "report.html").exists()] == [
        True
    ] * 2


def test_a_directory_of_something_else_gets_no_report(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = call("analyze", tmp_path)
    assert done.returncode == 2
    assert "is not the directory of a run" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_report_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path):
    made = create_run(Location.of(tmp_path), "empty", fast_spec(), {})
    done = call("analyze", made.path, "--report", tmp_path)
    assert done.returncode == 2
    assert "can't write the report" in done.stderr
    assert "--report" in done.stderr


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_all_of_it_and_fetches_nothing(run, browser, width, tmp_path):
    browser.open(run.path.local / "report.html", width)
    assert browser.console() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [
        (run.path.local / "report.html").as_uri()
    ]
    assert browser.run("return window.pwned") is None
    titles = browser.run("return [...document.querySelectorAll('h2')].map(e => e.innerText)")
    assert titles == [
        "Comparison",
        "Accuracy by group",
        "Validation against test",
        "Worst-group accuracy over epochs",
        "The search",
        "Cost",
        "Was it enough?",
        "Hyperparameters",
        "What the methods report besides",
        "DFR: the last layer refitted",
        "Failures",
        "All trials",
        "How to reproduce",
        "Words",
    ]
    browser.screenshot(tmp_path / f"report-{width}.png")  # for a person to look at


@pytest.mark.browser
def test_a_request_and_an_error_would_be_noticed(browser, tmp_path):
    page = "<html data-drawn=1><img src='http://outside.invalid/x.png'><script>undefined.x</script></html>"
    (tmp_path / "page.html").write_text(page)
    browser.open(tmp_path / "page.html", 390)
    assert "http://outside.invalid/x.png" in browser.requests()
    assert any("undefined" in message for message in browser.console())


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_and_no_label_is_clipped(run, browser, width):
    browser.open(run.path.local / "report.html", width)
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.clipped() == []


@pytest.mark.browser
def test_what_the_browser_shows_equals_the_tables(run, browser):
    browser.open(run.path.local / "report.html", 1280)
    shown = browser.run("""
        const tables = {};
        for (const row of document.querySelectorAll("table[id] tr[data-row]")) {
          const cells = {};
          for (const number of row.querySelectorAll("data")) {
            const column = number.closest("[data-column]").dataset.column;
            cells[column] = Number(number.value);
          }
          const id = row.closest("table").id;
          (tables[id] ??= {})[row.dataset.row] = cells;
        }
        return tables;
    """)
    tables = results.load_results(run.path)
    trials, epochs = tables["trials"], tables["epochs"]
    for row in trials.to_dict("records"):
        cells = shown["trials-table"][row["trial"]]
        columns = ["config.lr", "epochs", *(c for c in cells if c.endswith(("_mean", "_std")) or c == "objective")]
        assert {column: cells[column] for column in columns} == {column: row[column] for column in columns}
        assert ("test_worst_group_mean" in cells) == (row["state"] == "complete")
    (compared,) = [RunTables(name=run.path.name, spec=run.read_spec(), tables=tables)]
    for row in compare([compared]).to_dict("records"):
        cells = shown["comparison-table"][row["method"]]
        columns = [c for c in row if c.startswith(("test_worst_group", "val_worst_group", "test_average"))]
        known = {
            column: row[column] for column in columns if isinstance(row[column], float) and row[column] == row[column]
        }
        assert len(known) >= 3 * 2, "means and deviations at least; two seeds have no interval"
        assert {column: cells.get(column) for column in columns if column in cells} == known, row["method"]
    for method, trial in select_best(trials).items():
        rows = epochs[(epochs["trial"] == trial) & (epochs["split"] == "val")]
        for row in rows.to_dict("records"):
            cells = shown["epochs-table"][f"{method} ({trial}), {row['epoch']}"]
            assert cells[f"seed {row['seed']}"] == row["worst_group"]
        drawn = browser.run(
            f"return document.getElementById('epochs-{method}').data.filter(t => t.mode === 'lines').map(t => t.y)"
        )
        assert drawn == [seed["worst_group"].tolist() for _, seed in rows.groupby("seed")]


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """The report of 1,000 trials of 50 epochs and 3 seeds, with 100 groups."""
    spec = spec_of(num_samples=334, epochs=50)
    given = analysed(spec, states=lambda number: "pruned" if number % 10 else "complete", cells=10)
    path = tmp_path_factory.mktemp("thousand") / "report.html"
    report.write_report(Location.of(path), replace(given, tables={**given.tables, **dfr_of("erm-00000")}))
    return path


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_a_thousand_trials_open(thousand, browser, width):
    assert thousand.stat().st_size < 10e6
    browser.open(thousand, width)
    assert browser.console() == []
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.clipped() == []
    assert browser.run("return document.querySelectorAll('#trials-table tbody tr').length") == 1002


@pytest.mark.browser
@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"trials": 0}, id="empty"),
        pytest.param({"states": lambda number: "failed"}, id="failed"),
        pytest.param({"states": lambda number: "running", "trials": 2}, id="running"),
    ],
)
def test_runs_without_an_answer_open_too(browser, given, tmp_path):
    report.write_report(Location.of(tmp_path / "report.html"), analysed(**given))
    browser.open(tmp_path / "report.html", 390)
    assert browser.console() == []
    assert browser.run("return document.documentElement.scrollWidth") == 390
    assert browser.clipped() == []
