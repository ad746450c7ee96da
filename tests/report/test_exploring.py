"""What a reader explores a search by: trials that open, costs, hyperparameters together; and that the page is small."""

import base64
import gzip
import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from scale_tune.report import html as report
from scale_tune.report.html import cost, data, opened, parallel
from scale_tune.report.html.opened import WHOLE, curves
from scale_tune.spec.parameters import Choice
from tests.support.pages import Page
from tests.support.reports import TRACEBACK, analysed, spec_of, tables_of


@pytest.fixture(scope="module")
def whole():
    """Three methods, of which two have a split more, with losses that differ."""
    given = analysed()
    epochs = given.tables["epochs"].copy()
    epochs["loss"] = np.random.default_rng(0).lognormal(size=len(epochs))
    target = epochs[(epochs["split"] == "train") & epochs["trial"].str.startswith("scale")].assign(split="target")
    return replace(given, tables={**given.tables, "epochs": pd.concat([epochs, target], ignore_index=True)})


@pytest.fixture(scope="module")
def html(whole):
    return report.render(whole)


def unpacked(page: Page, name: str) -> str:
    return gzip.decompress(base64.b64decode(page.texts[name])).decode()


def test_plotly_is_packed_and_the_policy_names_what_comes_out(html):
    page = Page(html)
    source = unpacked(page, "plotly")
    assert source == get_plotlyjs()
    hashed = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "Policy" in a.get("http-equiv", "")]
    assert f"'sha256-{hashed}'" in policy
    assert policy.partition("script-src ")[2].partition(";")[0].count("'sha256-") == 2
    assert "unsafe-inline" not in policy.partition("script-src ")[2].partition(";")[0]
    assert len(html) < 2.4e6, "which was 5 MB"


def test_curves_are_those_of_the_table(whole, html):
    found = json.loads(unpacked(Page(html), "opened"))["trials"]
    epochs, groups = whole.tables["epochs"], whole.tables["groups"]
    assert list(found) == whole.tables["trials"]["trial"].tolist()
    for trial, rows in epochs.groupby("trial"):
        shown = found[trial]["curves"]
        assert sorted(shown["splits"]) == sorted(rows["split"].unique())
        for split, of_split in rows.groupby("split"):
            for i, (seed, of_seed) in enumerate(of_split.groupby("seed")):
                assert shown["seeds"][i] == seed
                own = {name: values[i] for name, values in shown["splits"][split].items()}
                assert list(own) == ["loss", "worst_group", "average"]
                assert own["loss"] == pytest.approx(of_seed["loss"].tolist(), abs=1e-4)
                for accuracy in ("worst_group", "average"):
                    expected = of_seed[accuracy].tolist()
                    assert [value / WHOLE for value in own[accuracy]] == pytest.approx(expected, abs=1e-4)
        best = groups[groups["trial"] == trial].groupby("seed")["epoch"].first()
        assert shown["best"] == best.tolist()


def test_a_gap_in_a_curve_stays_one_and_a_seed_may_be_shorter():
    given = analysed(spec_of(methods=["erm"], num_samples=1), states=lambda number: "complete")
    epochs = given.tables["epochs"]
    epochs = epochs[~((epochs["seed"] == 1) & (epochs["epoch"] > 2))].copy()
    epochs.loc[(epochs["seed"] == 0) & (epochs["epoch"] == 3) & (epochs["split"] == "val"), "worst_group"] = np.nan
    found = curves(replace(given, tables={**given.tables, "epochs": epochs}), {"erm-00000"})["erm-00000"]
    lengths = [len(values) for values in found["splits"]["val"]["worst_group"]]
    assert lengths == [4, 2, 4]
    assert [value is None for value in found["splits"]["val"]["worst_group"][0]] == [False, False, True, False]


def test_a_trial_opens_to_its_config_its_error_and_its_command(whole, html):
    found = json.loads(unpacked(Page(html), "opened"))["trials"]
    for row in whole.tables["trials"].to_dict("records"):
        trial = found[row["trial"]]
        assert trial["config"]["lr"] == row["config.lr"]
        assert trial["config"]["batch_size"] == row["config.batch_size"]
        assert f"--methods {row['method']} " in trial["command"]
        assert trial["error"] == (TRACEBACK if row["state"] == "failed" else None)
        assert (trial["curves"] is None) == (row["state"] == "failed")


def test_a_trial_that_has_not_been_drawn_has_no_command():
    given = analysed()
    trials = given.tables["trials"]
    trials.loc[0, "config.lr"] = np.nan
    first = opened.opened(given).trials["erm-00000"]
    assert (first["config"], first["command"]) == (None, None)


def test_curves_without_room_are_left_out_from_the_worst_on_and_it_is_said(monkeypatch):
    given = analysed(states=lambda number: "complete")
    values_of_one = 2 * 3 * 4 * 3
    monkeypatch.setattr(opened, "MAX_VALUES", 7 * values_of_one + 5)
    found = opened.opened(given)
    kept = {trial for trial, own in found.trials.items() if own["curves"]}
    trials = given.tables["trials"]
    ranks = trials.set_index("trial").groupby("method")["objective"].rank(ascending=False)
    assert len(kept) == 7
    assert set(ranks[ranks <= 2].index) < kept < set(ranks[ranks <= 3].index)
    assert set(found.left_out) == set(trials["trial"]) - kept
    text = Page(report.render(given)).text("trials")
    assert "it has those of 7, the best of each method; those of the other 29 are in epochs.parquet" in text


def test_a_choice_is_what_was_drawn_also_where_its_column_is_text():
    parameter = Choice(type="choice", values=(16, "auto", True, 0.5))
    assert [data.drawn(parameter, each) for each in ("16", 16.0, "auto", "true", "0.5")] == [16, 16, "auto", True, 0.5]


def test_costs_are_added_up_from_trials_and_epochs(whole):
    found = cost.cost(whole).set_index("method")
    trials, epochs = whole.tables["trials"], whole.tables["epochs"]
    for method, rows in trials.groupby("method"):
        own = found.loc[method]
        assert (own["complete"], own["pruned"], own["other"]) == (4, 7, 1)
        assert own["hours"] == pytest.approx(rows["seconds"].sum() / 3600)
        assert own["hours_complete"] + own["hours_pruned"] + own["hours_other"] == pytest.approx(own["hours"])
        val = epochs[(epochs["split"] == "val") & epochs["trial"].isin(rows["trial"])]
        assert own["epochs"] == len(val), "an epoch counts once, on however many splits it was measured"
        assert own["epoch_seconds"] == pytest.approx(rows["seconds"].sum() / len(val))
    assert found["share"].sum() == pytest.approx(1)


def test_the_bars_of_cost_are_its_table(whole, html):
    page, rows = Page(html), cost.cost(whole).set_index("method")
    table = page.tables["cost-table"]
    lengths = dict.fromkeys(rows.index, 0.0)
    for trace in page.figures["cost-figure"]["data"]:
        for method, minutes in zip(trace["y"], trace["x"], strict=True):
            lengths[method] += minutes
    for method, own in rows.iterrows():
        assert table[method]["time"] == [pytest.approx(own["hours"] * 60)]
        assert lengths[method] == pytest.approx(own["hours"] * 60)
        assert table[method]["epochs"] == [own["epochs"]]


def test_preparation_and_hours_of_trials_that_failed_are_said():
    given = analysed(spec_of(methods=["erm"]))
    trials = given.tables["trials"]
    trials["preparation"] = 2
    trials.loc[trials["state"] == "failed", "seconds"] = 7200.0
    page = Page(report.render(given))
    assert "grey part to those that failed" in page.text("cost")
    assert "Not timed are refits and epochs of preparation" in page.text("cost")
    assert page.tables["cost-table"]["erm"]["preparation"] == [2 * 3 * 12]
    assert page.tables["cost-table"]["erm"]["time"][0] > 2, "in hours"


def test_a_run_without_an_epoch_has_no_cost():
    assert "No trial has completed an epoch yet." in Page(report.render(analysed(trials=0))).text("cost")


def test_parallel_coordinates_have_every_trial_at_its_values(whole):
    trials = whole.tables["trials"]
    found = parallel.parallel(trials, "scale", whole.spec)
    rows = trials[(trials["method"] == "scale") & trials["objective"].notna()].set_index("trial").loc[found.trials]
    assert rows["objective"].is_monotonic_increasing, "the best are drawn last"
    assert len(rows) == 11
    by_label = {axis.label: axis for axis in found.axes}
    assert list(by_label) == ["lr", "batch_size", "regularize_mode", "objective"]
    lr = by_label["lr"]
    assert lr.values == rows["config.lr"].tolist()
    assert lr.places == pytest.approx(((np.log10(rows["config.lr"]) + 4) / 3).tolist())
    assert lr.ticks == pytest.approx({"0.0001": 0, "0.001": 1 / 3, "0.01": 2 / 3, "0.1": 1})
    batch = by_label["batch_size"]
    assert batch.ticks == {"16": 0, "32": 0.5, "64": 1}
    nearest = [min(batch.ticks, key=lambda tick, at=at: abs(batch.ticks[tick] - at)) for at in batch.places]
    assert nearest == [f"{value:.0f}" for value in rows["config.batch_size"]]
    assert (by_label["objective"].places[0], by_label["objective"].places[-1]) == (0, 1)


def test_parallel_coordinates_are_drawn_as_they_are(whole, html):
    found = parallel.parallel(whole.tables["trials"], "scale", whole.spec)
    traces = Page(html).figures["parallel-scale"]["data"]
    lines = []
    for trace in traces:
        line = []
        for x, y, said in zip(trace["x"], trace["y"], trace["text"], strict=True):
            if x is None:
                lines.append(line)
                line = []
            else:
                line.append((said.partition(",")[0], y))
    expected = [[(trial, axis.places[i]) for axis in found.axes] for i, trial in enumerate(found.trials)]
    assert lines == expected
    strengths = [trace["opacity"] for trace in traces]
    assert strengths == sorted(strengths)
    assert strengths[-1] == 1


def test_of_many_methods_those_with_the_highest_objectives_are_unfolded():
    names = ["erm", "rwg", "subg", "rwy", "suby", "jtt", "afr", "mixup"]
    given = analysed(spec_of(methods=names))
    best = given.tables["trials"].groupby("method")["objective"].max().sort_values(ascending=False)
    section = parallel.section(given)
    assert [shown.of for shown in (*section.figures, *section.more_figures)] == list(best.index)
    assert len(section.figures) == parallel.SHOWN
    shown = Page(report.render(given))
    assert "2 more" in shown.text("parallel")
    assert {f"parallel-{method}" for method in names} <= set(shown.figures)


def test_a_method_with_one_searched_parameter_has_no_parallel_coordinates():
    spec = spec_of(methods=["erm"], space={"lr": {"type": "float", "low": 0.1, "high": 0.2}})
    assert parallel.section(analysed(spec)) is None
    assert "parallel" not in Page(report.render(analysed(spec))).texts


def test_equal_objectives_and_a_single_choice_have_a_place():
    space = {"lr": {"type": "int", "low": 1, "high": 3}, "batch_size": {"type": "choice", "values": [16]}}
    spec = spec_of(methods=["erm"], space={**space, "lr": {"type": "float", "low": 1.0, "high": 3.0}})
    trials = tables_of(spec, lambda number: "complete")["trials"].assign(objective=0.5)
    found = parallel.parallel(trials, "erm", spec)
    assert set(found.axes[-1].places) == {1.0}
    assert {round(place) for place in found.axes[1].places} <= {0, 1}
    assert found.axes[1].ticks == {"16": 0.5}
    report.render(analysed(spec, tables={**tables_of(spec), "trials": trials}))
