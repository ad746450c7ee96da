"""A report shows what the tables hold, says how sure it is, and is harmless and complete whatever it is given."""

import re
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from scale_tune.analysis.caveats import caveats
from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.selection import leading
from scale_tune.analysis.verdicts import verdicts
from scale_tune.errors import UserError
from scale_tune.report import html as report
from scale_tune.report.html import data, estimates
from scale_tune.report.html import page as page_module
from scale_tune.report.html.importance import importances
from scale_tune.report.html.style import looks_of
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.tables.labels import METRICS
from tests.support.ablations import grid_run, grid_spec, grid_trials
from tests.support.pages import Page
from tests.support.reports import (
    REPORTING,
    TRACEBACK,
    analysed,
    comparison_of,
    dfr_of,
    differences_of,
    spec_of,
    state_of,
    tables_of,
)
from tests.support.tables import make_tables
from tests.support.twelve import twelve

SECTIONS = [
    "answer",
    "comparison",
    "groups",
    "validation",
    "epochs",
    "history",
    "enough",
    "hyperparameters",
    "diagnostics",
    "dfr",
    "failures",
    "trials",
    "reproduce",
]


@pytest.fixture(scope="module")
def whole():
    """A run with everything in it."""
    given = analysed(provenance={"command": "tune.py space.yaml", "versions": {"torch": "2.9"}, "git_commit": "abc123"})
    return replace(given, tables={**given.tables, **dfr_of("erm-00000")})


@pytest.fixture(scope="module")
def page(whole):
    return Page(report.render(whole))


def first_screen(given) -> str:
    """Rendered without the sections below it, whose figures take their time."""
    with patch.object(page_module, "sections", lambda analysed: []):
        return Page(report.render(given)).text("answer")


def accurate(table: dict, row: str, column: str) -> list[float]:
    return [value for value in table[row][column] if isinstance(value, float)]


def test_all_sections_are_there_in_order(page):
    ids = [attributes["id"] for tag, attributes in page.tags if tag in ("section", "header") and "id" in attributes]
    assert [each for each in ids if each in SECTIONS] == SECTIONS


def test_the_first_screen_names_winner_config_gain_and_certainty(whole, page):
    winner, second = whole.comparison.iloc[0], whole.comparison.iloc[1]
    text = page.text("answer").replace("\xa0", " ")
    assert f"{winner['method']} ({winner['trial']}) reaches {winner['test_worst_group_mean']:.3f} ±" in text
    difference = winner["test_worst_group_mean"] - second["test_worst_group_mean"]
    assert f"+{difference:.3f} against {second['method']} [95 % interval +{difference - 0.04:.3f}" in text.replace(
        "\xa0", " "
    )
    row = whole.tables["trials"].set_index("trial").loc[winner["trial"]]
    assert f"lr {row['config.lr']:.4g}, batch_size {row['config.batch_size']:.0f}" in text
    assert "All 36 trials ended: 12 complete, 21 pruned, 3 failed." in text


def test_the_winner_is_chosen_on_validation_also_where_test_disagrees():
    given = analysed()
    first, second = given.comparison["method"][:2]
    turned = given.comparison.copy()
    turned.loc[0, "test_worst_group_mean"], turned.loc[1, "test_worst_group_mean"] = 0.2, 0.9
    text = first_screen(replace(given, comparison=turned, differences=differences_of(turned)))
    assert f"{first} (" in text.partition("reaches")[0]
    assert re.search(rf"−0\.700 against {second} .*: less on test\.", text)
    assert "less accurate on test" in text


def test_an_interval_with_0_is_called_not_sure():
    text = first_screen(analysed(width=0.6))
    assert re.search(r"\[95 % interval −\S+ to \+\S+\]: not sure\.", text)
    assert text.count("not sure, the interval includes no difference") == 2
    assert "not sure" not in first_screen(analysed(width=0.001))


def test_a_pair_is_found_also_the_other_way_round():
    given = analysed()
    columns = {"method": "other_method", "other_method": "method"}
    turned = given.differences.rename(columns=columns)
    turned = turned.assign(difference=-turned["difference"], low=-turned["high"], high=-turned["low"])
    assert first_screen(replace(given, differences=turned)) == first_screen(given)


def test_a_single_method_has_nothing_to_be_compared_with():
    assert "nothing to compare with" in first_screen(analysed(spec_of(methods=["erm"])))


def test_a_single_seed_is_said_to_tell_nothing_of_the_spread():
    text = first_screen(analysed(spec_of(seeds=[5])))
    assert "over 1 seed," in text
    assert "One seed: how much the result varies from seed to seed is not known." in text


def test_methods_without_an_interval_of_the_difference_are_named_nevertheless():
    given = analysed()
    text = first_screen(replace(given, differences=given.differences.iloc[:0]))
    assert text.count("no interval of the difference is known") == 2


def test_too_few_seeds_for_an_interval_are_said():
    given = analysed(spec_of(seeds=[0, 1]))
    why = "no interval: two seeds tell too little of how much seeds differ"
    ends = [column for column in given.comparison if column.endswith(("_low", "_high"))]
    comparison = given.comparison.assign(interval=why, **dict.fromkeys(ends, np.nan))
    differences = given.differences.assign(interval=why, low=np.nan, high=np.nan)
    page = report.render(replace(given, comparison=comparison, differences=differences))
    text = Page(page).text("answer")
    assert "(no interval)." in text
    assert text.count(why) == 3, "of both differences, and of the winner's mean"
    assert "not sure" not in text
    assert "nan" not in page.partition('id="figures"')[2].partition("</script>")[0].lower()


def test_the_comparison_equals_its_table(whole, page):
    table = page.tables["comparison-table"]
    for row in whole.comparison.to_dict("records"):
        for column in ("test_worst_group", "val_worst_group", "test_average", "val_average"):
            expected = [row[f"{column}_{stat}"] for stat in ("mean", "std", "low", "high")]
            assert table[row["method"]][column] == expected
        assert table[row["method"]]["seeds"] == [row["seeds"]]
    shown = [x for x, _ in page.points("comparison-figure-0") if x is not None]
    assert shown == [
        value
        for column in ("test_worst_group", "val_worst_group", "test_average")
        for value in whole.comparison[f"{column}_mean"]
    ]
    bars = page.figures["comparison-figure-0"]["data"][0]["error_x"]
    assert bars["array"] == pytest.approx([0.04] * 3)
    assert bars["arrayminus"] == pytest.approx([0.04] * 3)


def test_the_differences_equal_their_table(whole, page):
    table = page.tables["differences-table"]
    for row in whole.differences.to_dict("records"):
        cells = table[f"{row['method']} − {row['other_method']}"]
        assert [cells[each] for each in ("difference", "low", "high")] == [
            [row["difference"]],
            [row["low"]],
            [row["high"]],
        ]


def test_validation_against_test_shows_every_judged_trial(whole, page):
    judged = whole.tables["trials"].dropna(subset="test_worst_group_mean")
    expected = list(zip(judged["val_worst_group_mean"], judged["test_worst_group_mean"], strict=True))
    assert sorted(page.points("validation-figure")[2:]) == sorted(expected)  # after the diagonal
    table = page.tables["validation-table"]
    assert [(table[t]["val_worst_group"][0], table[t]["test_worst_group"][0]) for t in judged["trial"]] == expected


def test_curves_have_every_epoch_of_every_seed_and_mark_the_best(whole, page):
    epochs = whole.tables["epochs"]
    table = page.tables["epochs-table"]
    for method, trial, _ in leading(whole.tables["trials"]).itertuples(index=False):
        rows = epochs[(epochs["trial"] == trial) & (epochs["split"] == "val")]
        own = page.figures[f"epochs-{method}"]["data"]
        lines = [trace["y"] for trace in own if trace["mode"] == "lines"]
        assert lines == [of_seed["worst_group"].tolist() for _, of_seed in rows.groupby("seed")]
        marks = [trace["y"][0] for trace in own if trace["mode"] == "markers"]
        assert marks == rows.groupby("seed")["worst_group"].max().tolist()
        for row in rows.to_dict("records"):
            assert table[f"{method} ({trial}), {row['epoch']}"][f"seed {row['seed']}"] == [row["worst_group"]]


def test_what_methods_report_besides_has_a_figure_and_a_table_each(whole, page):
    shown = [name for name in page.figures if name.startswith("diagnostics-")]
    assert sorted(shown) == ["diagnostics-erm_target-0", "diagnostics-erm_target-1", "diagnostics-scale-0"]
    table, trials = whole.tables["diagnostics"], leading(whole.tables["trials"]).set_index("method")["trial"]
    for method, names in REPORTING.items():
        for i, name in enumerate(names):
            rows = table[(table["trial"] == trials[method]) & (table["name"] == name)]
            traces = page.figures[f"diagnostics-{method}-{i}"]["data"]
            assert [trace["y"] for trace in traces] == [of["value"].tolist() for _, of in rows.groupby("seed")]
            for row in rows.to_dict("records"):
                cells = page.tables["diagnostics-table"][f"{name}, {method} ({trials[method]}), {row['epoch']}"]
                assert cells[f"seed {row['seed']}"] == [row["value"]]


def test_a_run_whose_methods_report_nothing_says_so():
    assert "No method of this run reports" in Page(report.render(analysed(spec_of(methods=["erm"])))).text(
        "diagnostics"
    )


@pytest.mark.parametrize("method", ["erm", "erm_target", "scale"])
def test_the_history_has_every_trial_with_an_objective_by_state(whole, page, method):
    rows = whole.tables["trials"].query("method == @method")
    traces = {trace["name"]: trace for trace in page.figures[f"history-{method}"]["data"]}
    for state in ("complete", "pruned"):
        of_state = rows[rows["state"] == state]
        assert traces[state]["x"] == of_state["number"].tolist()
        assert traces[state]["y"] == of_state["objective"].tolist()
    assert "failed" not in traces  # it has no objective
    best = rows["objective"].where(rows["state"] == "complete").cummax().ffill()
    assert traces["best so far"]["y"] == best.tolist()
    assert page.tables["history-table"][method] | {"method": 0} == {
        "method": 0,
        "asked": [12],
        "complete": [4],
        "pruned": [7],
        "failed": [1],
        "running": [0],
        "waiting": [0],
        "absent": [0],
    }


def test_every_trial_has_a_row_with_its_parameters(whole, page):
    table, trials = page.tables["trials-table"], whole.tables["trials"]
    assert list(table) == trials["trial"].tolist()
    for row in trials.to_dict("records"):
        cells = table[row["trial"]]
        assert cells["config.lr"] == [row["config.lr"]]
        assert cells["config.batch_size"] == [row["config.batch_size"]]
        assert ("objective" in cells and accurate(table, row["trial"], "objective")) == (
            [] if pd.isna(row["objective"]) else [row["objective"]]
        )


def test_slices_have_every_trial_and_the_values_as_drawn(whole, page):
    trials = whole.tables["trials"].dropna(subset="objective")
    points = page.points("slice-lr")
    assert sorted(points) == sorted(zip(trials["config.lr"], trials["objective"], strict=True))
    axis = page.figures["slice-batch_size"]["layout"]["xaxis"]
    assert axis["ticktext"] == ["16", "32", "64"]
    for trace in page.figures["slice-batch_size"]["data"]:
        rows = trials[trials["method"] == trace["name"]]
        assert [int(axis["ticktext"][round(x)]) for x in trace["x"]] == rows["config.batch_size"].tolist()
        shown = zip(rows["trial"], rows["config.batch_size"], strict=True)
        assert trace["text"] == [f"{trial}, {value:.0f}" for trial, value in shown]
    assert page.figures["slice-lr"]["layout"]["xaxis"]["type"] == "log"


def test_importance_finds_the_parameter_that_matters_and_knows_chance():
    spec = spec_of(methods=["erm"], num_samples=200)
    tables = tables_of(spec, lambda number: "complete")
    trials = tables["trials"]
    trials["objective"] = 1 - np.abs(np.log10(trials["config.lr"]) + 2) / 3
    found = importances(trials, spec).set_index("parameter")
    assert found["importance"].sum() == pytest.approx(1)
    assert found.index[0] == "lr"
    assert (found["importance"] > found["by_chance"]).to_dict() == {"lr": True, "batch_size": False}
    assert set(found["trials"]) == {200}
    given = replace(analysed(spec, tables=tables), tables={**tables, "trials": trials})
    shown = Page(report.render(given))
    assert "Above it: lr (erm)." in shown.text("hyperparameters")
    assert shown.tables["importance-table"]["erm, lr"]["importance"] == [found.loc["lr", "importance"]]
    assert shown.figures["importance-erm"]["data"][0]["x"] == found["importance"].tolist()


def test_too_few_trials_have_no_importance():
    spec = spec_of(num_samples=4)
    assert importances(tables_of(spec)["trials"], spec).empty
    assert "needs at least 30 ended trials of a method with different objectives, and no method has them" in Page(
        report.render(analysed(spec))
    ).text("hyperparameters")


def test_dfrs_path_equals_its_table(whole, page):
    path = whole.tables["dfr_path"]
    shown = page.points("dfr-path-0")
    assert shown == list(zip(path["C"], path["val_worst_group"], strict=True))
    for row in path.to_dict("records"):
        cells = page.tables["dfr-path-table"][f"erm-00000, scale, seed {row['seed']}, C {row['C']:g}"]
        assert cells["val_worst_group"] == [row["val_worst_group"]]
        assert ("chosen" in cells.get("chosen", [])) == row["chosen"]
    for row in whole.tables["dfr"].to_dict("records"):
        cells = page.tables["dfr-table"][f"erm-00000, scale, seed {row['seed']}"]
        assert (cells["C"], cells["test_worst_group"]) == ([row["C"]], [row["test_worst_group"]])
    large = [size == 12 for trace in page.figures["dfr-path-0"]["data"] for size in trace["marker"]["size"]]
    assert large == path["chosen"].tolist()


def test_a_pretrained_network_has_no_trial_and_no_seed(whole):
    dfr = {k: t.assign(trial=None, seed=np.nan, features="pretrained").head(3) for k, t in dfr_of("x").items()}
    pretrained = whole.comparison.iloc[[0]].assign(method="pretrained (scale)", trial=None, seeds=1)
    given = replace(whole, tables=whole.tables | dfr, comparison=pd.concat([pretrained, whole.comparison.iloc[1:]]))
    shown = Page(report.render(given))
    assert "pretrained (scale) reaches" in shown.text("answer")
    assert "pretrained, scale" in shown.tables["dfr-table"]


def test_failures_stand_with_their_reasons(whole, page):
    text = page.text("failures")
    assert "3 of 36 trials failed" in text
    assert "3 trials: RuntimeError: CUDA out of memory" in text
    assert "erm-00007, erm_target-00007, scale-00007" in text
    assert " ".join(TRACEBACK.split()) in text


def test_the_most_frequent_reason_comes_first():
    trials = analysed().tables["trials"].assign(state="failed", error="rare")
    trials.loc[3:, "error"] = "Traceback\n  frequent\n"
    found = data.failures(trials)
    assert found[["reason", "count"]].values.tolist() == [["frequent", 33], ["rare", 3]]


@pytest.mark.parametrize(
    "parameter",
    [{"type": "int", "low": 8, "high": 64}, {"type": "choice", "values": [8, 16, 64]}],
    ids=["int", "choice"],
)
def test_whole_numbers_are_shown_as_drawn(parameter):
    space = {"batch_size": parameter, "lr": 0.1}
    spec = spec_of(methods=["scale"], space=space, num_samples=30)
    tables = tables_of(spec, lambda number: "complete")
    tables["trials"] = tables["trials"].astype({"config.batch_size": float})  # as a column with gaps is
    given = analysed(spec, tables=tables)
    shown = Page(report.render(given))
    assert re.search(r"With which config batch_size \d+ ", shown.text("answer"))
    assert all(re.search(r", \d+$", text) for text in shown.figures["slice-batch_size"]["data"][0]["text"])
    assert shown.tables["importance-table"]["scale, batch_size"]["importance"] == [1.0]


def test_diverged_trials_are_listed():
    given = analysed()
    given.tables["trials"].loc[1, "diverged"] = 2
    shown = Page(report.render(given))
    assert shown.tables["diverged-table"]["erm-00001"]["diverged"] == [2]


def test_how_to_reproduce_names_command_commit_versions_and_data(whole):
    resumed = [{"created": "2030-01-03T04:05:06+00:00", "command": "tune.py --resume runs/demo"}]
    fingerprints = {"scale-00000": "f00d", "erm-00000": "beef"}
    priors = [{"run": "runs/digits", "id": "digits-1234", "trials": ["scale-00007", "erm-00002"]}]
    provenance = {**whole.provenance, "fingerprints": fingerprints, "resumed": resumed, "priors": priors}
    shown = Page(report.render(replace(whole, provenance=provenance)))
    assert shown.text("command") == "tune.py space.yaml"
    assert shown.text("commit") == "abc123"
    began = "2030-01-03 04:05 UTC: tune.py --resume runs/demo"
    first = "scale-00007, erm-00002 of runs/digits (digits-1234)"
    for part in ("torch 2.9", "f00d of scale-00000", "beef of erm-00000", "num_samples: 12", began, first):
        assert part in shown.text("reproduce")
    nothing = Page(report.render(replace(whole, provenance={})))
    assert nothing.text("command") == "not recorded"
    assert "Resumed" not in nothing.text("reproduce")
    assert "try first" not in nothing.text("reproduce")


NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;{{ 7 * 7 }}"


def test_names_with_html_in_them_are_harmless():
    spec = spec_of(dataset={"name": "celeba"}, model={"name": "resnet18", "weights": NASTY})
    given = analysed(spec, name=NASTY, warnings=[NASTY], provenance={"command": NASTY, "versions": {NASTY: NASTY}})
    trials = given.tables["trials"]
    trials["error"] = trials["error"].where(trials["error"].isna(), NASTY)
    names = {trial: trial + NASTY for trial in trials["trial"]}
    tables = {k: t.assign(trial=t["trial"].map(names)) for k, t in given.tables.items() if len(t)}
    comparison = given.comparison.assign(
        trial=given.comparison["trial"].map(names), dataset=NASTY, config=NASTY, interval=NASTY
    )
    differences = given.differences.assign(dataset=NASTY, interval=NASTY)
    html = report.render(replace(given, tables=given.tables | tables, comparison=comparison, differences=differences))
    harmless = report.render(analysed(spec_of(dataset={"name": "celeba"})))
    page, expected = Page(html), Page(harmless)
    for tag in ("script", "img", "iframe", "style"):
        assert [t for t, _ in page.tags].count(tag) == [t for t, _ in expected.tags].count(tag)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert NASTY in page.texts["command"]
    assert NASTY in page.texts["failures"]
    assert "49" not in page.texts["command"]
    assert [text for text in labels(page.figures) if re.search("<(?!br>|b>|/b>)", text)] == []
    assert any("&lt;/script&gt;" in text for text in labels(page.figures))  # plotly shows it as <


def labels(part, key: str = "") -> list[str]:
    """The texts of figures in which plotly reads tags, apart from templates, which are ours alone."""
    if isinstance(part, dict):
        return [text for name, value in part.items() for text in labels(value, name)]
    if isinstance(part, list):
        return [text for value in part for text in labels(value, key)]
    return [part] if isinstance(part, str) and key != "hovertemplate" else []


def test_nothing_is_fetched_and_nothing_foreign_is_run(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data", "srcset"):
            target = attributes.get(name) or ""
            assert target == "" or target.startswith(("#", "data:")), (tag, attributes)
    (policy,) = [a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert re.fullmatch(r"script-src 'sha256-\S+' 'sha256-\S+'", policy.split("; ")[1])


def test_an_empty_run_says_that_nothing_has_begun():
    shown = Page(report.render(analysed(trials=0)))
    text = shown.text("answer")
    assert "No answer yet: no trial has begun. 36 trials of erm, erm_target, scale were asked for." in text
    assert shown.figures == {}
    assert [each for each in SECTIONS if not shown.text(each)] == []


def test_a_run_with_failures_alone_says_why():
    shown = Page(report.render(analysed(states=lambda number: "failed")))
    assert "No answer: all 36 trials that ended have failed." in shown.text("answer")
    assert "The most frequent reason: RuntimeError: CUDA out of memory" in shown.text("answer")
    assert "36 trials: RuntimeError" in shown.text("failures")


def test_a_run_still_going_is_called_a_snapshot_and_shows_the_leader_as_not_selectable():
    given = analysed(
        states=lambda number: "pruned" if number < 3 else "running" if number == 3 else "waiting", trials=6
    )
    shown = Page(report.render(given))
    text = shown.text("answer")
    assert "No answer yet: no trial may be selected." in text
    assert "9 of 36 trials ended; this is a snapshot of 2030-01-02 03:04 UTC." in text
    assert "3 running, 6 waiting, 18 not begun." in text
    assert "best so far, not selectable" in shown.text("groups")
    assert shown.tables["history-table"]["erm"]["absent"] == [6]


def test_a_run_still_going_with_a_winner_says_that_it_may_change():
    shown = Page(report.render(analysed(trials=6)))
    text = shown.text("answer")
    assert "reaches" in text
    assert "18 of 36 trials ended; this is a snapshot" in text
    assert "A better trial may still come." in text


def test_a_method_without_a_selectable_trial_is_seen_to_be_missing():
    given = analysed(spec_of(methods=["erm", "scale"]))
    trials = given.tables["trials"]
    trials.loc[(trials["method"] == "erm") & (trials["state"] == "complete"), "diverged"] = 1
    comparison = comparison_of("run", given.tables, given.spec)
    shown = Page(report.render(replace(given, comparison=comparison, differences=differences_of(comparison))))
    assert shown.tables["selection-table"]["erm"]["trial"] == ["none selectable"]
    assert "nothing to compare with" in shown.text("answer")


@pytest.fixture(scope="module")
def many():
    run = twelve()
    methods = {m: s.model_dump(exclude_defaults=True) for m, s in run.spec.methods.items()}
    given = analysed(spec_of(methods=methods), name="demo")
    return replace(given, comparison=compare([run]), differences=differences([run]))


@pytest.fixture(scope="module")
def page_of_many(many):
    return Page(report.render(many))


def test_the_information_of_each_method_is_printed(many, page_of_many):
    table = page_of_many.tables["information-table"]
    assert set(table) == set(many.comparison["method"])
    for row in many.comparison.to_dict("records"):
        shown = table[row["method"]]
        assert shown["train_attributes"] == ["yes" if row["train_attributes"] else "no"]
        assert (shown["target"], shown["val_attributes"]) == ([row["target"]], ["yes"])
        for column in ("group_labelled", "own_hyperparameters", "epochs_spent"):
            assert shown[column] == [row[column]]


def test_methods_are_grouped_by_what_they_know(page_of_many):
    order = list(page_of_many.tables["comparison-table"])
    assert order[:5] == ["jtt", "rwy", "suby", "erm", "scale"]
    assert order[-3:] == ["group_dro", "rwg", "group_dro_with_target"]
    assert page_of_many.text("comparison").count("group labels of ") == 3 * 4, "in three tables"
    assert "group labels of target and val: 1,400 images" in page_of_many.text("comparison-table")


def test_accuracy_is_drawn_against_the_images_whose_group_was_known(many, page_of_many):
    figure = page_of_many.figures["labelled-figure-0"]
    (trace,) = figure["data"]
    axis = figure["layout"]["xaxis"]
    by_name = many.comparison.set_index("method")
    assert set(trace["text"]) == set(by_name.index)
    for name, y, images in zip(trace["text"], trace["y"], trace["customdata"], strict=True):
        assert (y, images) == (by_name.loc[name, "test_worst_group_mean"], by_name.loc[name, "group_labelled"])
    assert trace["customdata"] == sorted(trace["customdata"])
    assert axis["ticktext"] == ["1,000", "1,400", "5,000", "5,400"]
    steps = [right - left for left, right in zip(trace["x"], trace["x"][1:], strict=False)]
    assert min(steps) >= 1, "no method stands on another"
    notes = figure["layout"]["annotations"]
    assert [note["text"] for note in notes if note["font"]["weight"] == 700] == ["scale"]
    assert len(notes) == len(by_name)


def test_methods_that_know_the_same_have_no_figure_of_it():
    assert "labelled-figure-0" not in Page(report.render(analysed(spec_of(methods=["erm", "jtt"])))).figures


def test_several_runs_and_datasets_are_told_apart():
    given = analysed()
    other = given.comparison.assign(run="other")
    weak = given.comparison.assign(dataset="digits (spurious_strength=0.95)")
    shown = Page(report.render(replace(given, comparison=pd.concat([given.comparison, other, weak]))))
    methods = given.comparison["method"]
    assert set(shown.tables["comparison-table"]) == {
        f"{method} · {run} · {dataset}"
        for method in methods
        for run, dataset in (("run", "digits"), ("other", "digits"), ("run", "digits (spurious_strength=0.95)"))
    }
    assert shown.text("answer").count("With which config") == 2  # this run's two datasets


def test_a_run_without_anything_to_search_has_no_slices():
    spec = RunSpec.model_validate({"methods": ["erm"], "num_samples": 3, "epochs": 2})
    shown = Page(report.render(analysed(spec)))
    assert "Every hyperparameter was held constant." in shown.text("hyperparameters")
    assert "every hyperparameter was held constant" in shown.text("answer")


@pytest.mark.parametrize("objective", ["minority", "average"])
def test_another_objective_is_named(objective):
    given = analysed(spec_of(objective=objective))
    assert f"Validation, by {objective} accuracy, chose" in first_screen(given)


def test_the_headline_is_about_the_accuracy_that_selects():
    given = analysed(spec_of(objective="minority"))
    comparison = given.comparison.copy()
    comparison["test_minority_mean"] = 0.9 - 0.2 * np.arange(len(comparison))
    first, second = comparison["method"][:2]
    text = first_screen(replace(given, comparison=comparison, differences=differences_of(comparison)))
    assert f"has the highest minority accuracy on {given.spec.dataset.name}?" in text
    assert re.search(rf"{first} \(\S+\) reaches 0\.900 ± \S+ test minority accuracy", text)
    assert f"+0.200 against {second}" in text
    assert "worst" not in text
    assert "is most accurate on its worst group of" in first_screen(analysed())


@pytest.mark.parametrize(("objective", "other"), [("worst_group", "average"), ("average", "worst_group")])
def test_the_winner_is_the_highest_by_what_selected(objective, other):
    given = analysed(spec_of(objective=objective))
    comparison = given.comparison.copy()
    places = np.arange(len(comparison))
    comparison[f"val_{objective}_mean"] = 0.1 + 0.1 * places
    comparison[f"val_{other}_mean"] = 0.9 - 0.1 * places
    (verdict,) = verdicts(given.name, comparison, given.differences)
    assert verdict.winner["method"] == comparison["method"].iloc[-1]


def test_each_accuracy_in_the_figure_is_its_own(whole):
    rows = whole.comparison.copy()
    columns = ["test_worst_group", "val_worst_group", "test_average"]
    for n, column in enumerate(columns):
        rows[f"{column}_mean"] = 0.2 + 0.1 * n
    figure = estimates.comparison(rows, rows["method"].tolist(), columns, looks_of(whole))
    shown = {trace.name: list(trace.x) for trace in figure.data if trace.x[0] is not None}
    assert shown == {METRICS[column]: rows[f"{column}_mean"].tolist() for column in columns}


@pytest.mark.drill
def test_a_thousand_trials_of_fifty_epochs_and_three_seeds_stay_under_10_mb():
    spec = spec_of(num_samples=334, epochs=50)
    html = report.render(analysed(spec, states=lambda number: "pruned" if number % 10 else "complete", cells=10))
    assert len(html.encode()) < 10e6
    assert len(Page(html).tables["trials-table"]) == 1002


def test_writing_replaces_the_file_at_once_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "report.html"
    given = analysed(spec_of(methods=["erm"], num_samples=1))
    report.write_report(Location.of(path), given)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="can't write the report .*No space left.*--report"):
        report.write_report(Location.of(path), given)
    assert [each.read_bytes() for each in path.parent.iterdir()] == [before]


def test_states_of_the_made_up_runs_are_those_of_the_ledger():
    assert {state_of(number) for number in range(12)} < set(data.STATES)


@pytest.fixture(scope="module")
def grid():
    run = grid_run()
    given = analysed(run.spec, tables=run.tables, warnings=caveats([run]))
    return replace(given, comparison=compare([run]), differences=differences([run]))


def test_on_a_grid_a_map_of_winners_comes_first(grid):
    page = Page(report.render(grid))
    text = page.text("answer").replace("\xa0", " ")
    assert "scale wins on 4 of 4 kinds of data." in text
    table = page.text("winners")
    assert re.search(r"scale 0\.650 \+0\.090, \+0\.090 \? over erm_target", table)
    assert text.index("scale wins on") < text.index("scale (scale-00000) reaches")


def test_a_cell_of_the_map_names_the_methods_that_could_not_win_there():
    trials, groups, dfr = grid_trials()
    gone = [row for row in dfr if row["fingerprint"] != "0.95 1000"]
    run = make_tables(trials, groups, gone, spec=grid_spec())
    given = analysed(run.spec, tables=run.tables)
    page = Page(report.render(replace(given, comparison=compare([run]), differences=differences([run]))))
    told = re.findall(r"no result here: ([^–]*?\))", page.text("winners").replace("\xa0", " "))
    assert len(told) == 1
    assert "dfr (scale)" in told[0]


def test_on_a_grid_a_caveat_is_one_line(grid):
    warnings = Page(report.render(grid)).text("answer")
    assert warnings.count("1 seed:") <= 1
    assert len(grid.warnings) == len(set(grid.warnings))


def test_a_run_on_one_kind_of_data_has_no_map(page):
    assert "winners" not in [attributes.get("id") for _, attributes in page.tags]
