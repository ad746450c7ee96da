"""One sentence for what is the same on many kinds of data."""

from scale_tune.analysis.caveats import caveats
from scale_tune.analysis.grouped import grouped
from tests.support.ablations import grid_spec, grid_trials
from tests.support.tables import make_tables

DATA = [f"dominoes (size={size})" for size in (1000, 2000, 3000, 4000, 5000)]


def test_what_is_equal_on_every_dataset_is_said_once():
    sentences = [f"scale on {data}: 2 of the 3 seeds" for data in DATA]
    assert grouped(sentences, DATA) == ["on 5 of 5 datasets: scale: 2 of the 3 seeds"]
    sentences = [f"{data}: groups of test are small" for data in DATA]
    assert grouped(sentences, DATA) == ["on 5 of 5 datasets: groups of test are small"]


def test_three_of_the_datasets_are_named():
    sentences = [f"scale on {data}: few seeds" for data in DATA[:4]]
    assert grouped(sentences, DATA) == [
        "on 4 of 5 datasets (dominoes (size=1000), dominoes (size=2000), dominoes (size=3000) and 1 more): "
        "scale: few seeds"
    ]


def test_what_differs_in_numbers_has_an_example():
    sentences = [
        f"val and test disagree: scale on {data} is above erm on {data} on val (0.{i} against 0.10)"
        for i, data in enumerate(DATA[:2], 5)
    ]
    assert grouped(sentences, DATA) == [
        "on 2 of 5 datasets (dominoes (size=1000), dominoes (size=2000)), as on dominoes (size=1000): "
        "val and test disagree: scale is above erm on val (0.5 against 0.10)"
    ]


def test_what_differs_in_words_or_is_of_one_dataset_stays_as_it_is():
    sentences = [
        "of the 12 erm trials, 2 failed: not selectable",
        f"scale on {DATA[0]}: few seeds",
        f"erm on {DATA[1]}: few seeds",
        f"{DATA[2]}: label 0 is small",
        f"{DATA[2]}: label 1 is small",
        f"{DATA[3]}: label 1 is small",
    ]
    assert grouped(sentences, DATA) == sentences


def test_a_dataset_whose_name_begins_with_anothers_is_not_taken_for_it():
    assert grouped(["erm on digits: a", "erm on digits2: a"], ["digits", "digits2"]) == ["on 2 of 2 datasets: erm: a"]
    assert grouped(["erm on digits2: a"], ["digits", "digits2"]) == ["erm on digits2: a"]


def test_with_one_dataset_nothing_changes():
    assert grouped(["erm: a", "erm: a"], ["digits"]) == ["erm: a", "erm: a"]


def test_a_grid_has_one_line_for_each_caveat():
    trials, groups, _ = grid_trials()
    run = make_tables(trials, groups, [], spec=grid_spec(seeds=[0, 1, 2, 3]))
    said = caveats([run])
    assert "on 4 of 4 datasets: scale: 3 of the 4 seeds that were asked for" in said
    assert len(said) == len(set(said)) < 8
