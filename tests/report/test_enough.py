"""Whether the search was enough: what the report says of it, and that it says why where it can't."""

from unittest.mock import patch

import pytest

from scale_tune.report.html import enough
from tests.support.reports import analysed, spec_of, state_of

WHOLE = {"sampler": "random", "scheduler": {"name": "none"}, "methods": ["erm", "scale"], "num_samples": 16}


def section_of(spec, **options):
    return enough.section(analysed(spec, **({"states": lambda n: "complete"} | options)))


@pytest.fixture(scope="module")
def whole():
    return section_of(spec_of(**WHOLE))


def test_it_says_what_a_smaller_search_would_have_found(whole):
    assert "Of the smaller searches that were replayed: " in whole.lead
    assert "is expected to reach more on val than" in whole.lead or "leads up to" in whole.lead
    assert "tells the two apart in" in whole.lead
    (table,), (ranks,) = whole.tables, whole.folded
    rows = table.rows
    to_the_end = rows[rows["policy"] == "to the end, 16 trials, 3 seeds"]
    assert to_the_end["spent"].tolist() == [16 * 3 * 4] * 2
    assert to_the_end[["share", "found", "near"]].to_numpy().tolist() == [[1, 1, 1]] * 2
    half = rows[rows["policy"] == "to the end, 8 trials, 3 seeds"]
    assert half["spent"].tolist() == [8 * 3 * 4] * 2
    assert half["found"].between(0.3, 0.7).all()
    assert ranks.rows["key"].tolist() == ["erm", "scale"]


def test_it_draws_what_is_expected_and_what_policies_cost(whole):
    budgets, policies = whole.figures
    lines = [trace for trace in budgets.figure.data if trace.mode == "lines+markers"]
    assert [trace.name for trace in lines] == ["erm", "scale"]
    for trace in lines:
        assert list(trace.x) == [4 * n for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)], (
            "epochs of a search of so many trials"
        )
        assert list(trace.y) == sorted(trace.y), "more trials reach no less"
    bands = [trace for trace in budgets.figure.data if trace.fill == "toself"]
    assert [max(trace.x) for trace in bands] == [32, 32], "there is none beyond half of the trials"
    assert policies.methods == ["erm", "scale"]
    assert all(max(trace.x) == 1 or min(trace.y) == 0 for trace in policies.figure.data)


def test_of_a_search_with_pruned_trials_it_says_what_is_not_known():
    section = section_of(spec_of(), states=state_of)
    assert "what a smaller search would have found is not known: 7 of 11 trials were pruned" in section.lead
    assert "tells the two apart in" in section.lead
    assert not section.figures
    assert not section.tables


def test_each_kind_of_data_has_its_figures():
    space = {"dataset.spurious_strength": {"type": "choice", "values": [0.9, 1.0]}, "lr": 0.1}
    section = section_of(spec_of(**(WHOLE | {"methods": ["erm"], "num_samples": 24, "space": space})))
    assert len(section.figures) == 4
    assert sum("spurious_strength=0.9" in figure.title for figure in section.figures) == 2


def test_a_large_search_is_left_to_the_command():
    with patch.object(enough, "MOST_REPLAYED", 20):
        section = section_of(spec_of(**WHOLE))
    assert "A search of more than 20 trials is not replayed here: analyze.py economy does it" in section.lead
    assert len(section.figures) == 1
    with patch.object(enough, "MOST_TOLD", 20):
        section = section_of(spec_of(**WHOLE))
    assert "more than 20 trials" in section.lead
    assert not section.figures


def test_a_run_without_trials_has_nothing_to_tell():
    given = analysed(spec_of(**WHOLE))
    empty = {name: table.iloc[:0] for name, table in given.tables.items()}
    section = enough.section(type(given)(**(vars(given) | {"tables": empty, "comparison": given.comparison.iloc[:0]})))
    assert section.lead == "No trial has run to its end yet."
