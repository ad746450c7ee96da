"""The one answer that a reader gets, from comparisons made by hand."""

from dataclasses import replace

import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.verdicts import verdicts
from tests.support.tables import RunTables, group_rows, make_spec, make_tables, trial


def judged(*runs: RunTables, of: str = "run"):
    return verdicts(of, compare(runs), differences(runs))


def run(name: str = "run", **objectives: float) -> RunTables:
    return make_tables([trial(f"{method}-00000", value) for method, value in objectives.items()], name=name)


def test_the_winner_is_the_best_of_the_runs_own_methods_and_its_rivals_are_the_others():
    (verdict,) = judged(run(erm=0.1, scale=0.5, erm_target=0.4), run("other", scale=0.9))
    assert verdict.winner["trial"] == "scale-00000"
    assert [rival["rival"]["method"] for rival in verdict.rivals] == ["erm_target", "erm"]
    assert [rival["difference"] for rival in verdict.rivals] == pytest.approx([0.1, 0.4])
    assert verdict.confirmed is None


def test_the_difference_is_that_of_the_accuracy_that_selects():
    groups = [
        row
        for method, conflicting, aligned in (("erm", 50, 90), ("scale", 60, 70))
        for split in ("val", "test")
        for row in group_rows(f"{method}-00000", split, [conflicting] * 3, [aligned] * 3)
    ]
    trials = [trial("erm-00000", 0.7), trial("scale-00000", 0.65)]
    for objective, winner, difference in (("worst_group", "scale", 0.1), ("average", "erm", 0.05)):
        (verdict,) = judged(make_tables(trials, groups, spec=make_spec(objective=objective)))
        assert verdict.winner["method"] == winner
        assert verdict.rivals[0]["difference"] == pytest.approx(difference)


def test_of_equal_methods_the_first_wins():
    assert judged(run(scale=0.5, erm=0.5))[0].winner["method"] == "scale"


def test_a_run_is_confirmed_by_the_one_that_says_so_whatever_it_is_called():
    searched = run(erm=0.1, scale=0.5)
    confirmation = replace(run("again", erm=0.1, scale=0.3), confirms=searched)
    (verdict,) = judged(searched, confirmation)
    assert verdict.confirmed["run"] == "again"
    assert verdict.confirmed["val_worst_group_mean"] == pytest.approx(0.3)
    other = run("other", scale=0.4)
    (verdict,) = judged(searched, other, replace(run("run/confirm", scale=0.2), confirms=other))
    assert verdict.confirmed is None


def test_no_selectable_trial_is_no_verdict():
    assert judged(make_tables([trial("erm-00000", 0.5, diverged=1)])) == []
