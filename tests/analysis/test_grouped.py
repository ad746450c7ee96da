"""One sentence for what is the same of many methods, or on many kinds of data."""

from scale_tune.analysis.caveats import caveats
from scale_tune.analysis.grouped import Note, grouped
from tests.support.ablations import grid_spec, grid_trials
from tests.support.tables import make_tables

DATA = [f"dominoes (size={size})" for size in (1000, 2000, 3000, 4000, 5000)]


def note(text: str, subject: str = "", dataset: str = "") -> Note:
    return Note(text=text, subject=subject, dataset=dataset)


def test_what_is_equal_on_every_dataset_is_said_once():
    notes = [note("2 of the 3 seeds", "scale", data) for data in DATA]
    assert grouped(notes, 5) == ["on 5 of 5 datasets: scale: 2 of the 3 seeds"]
    notes = [note("groups of test are small", dataset=data) for data in DATA]
    assert grouped(notes, 5) == ["on 5 of 5 datasets: groups of test are small"]


def test_three_of_the_datasets_are_named():
    assert grouped([note("few seeds", "scale", data) for data in DATA[:4]], 5) == [
        "on 4 of 5 datasets (dominoes (size=1000), dominoes (size=2000), dominoes (size=3000) and 1 more): "
        "scale: few seeds"
    ]


def test_what_differs_in_numbers_has_an_example():
    notes = [note(f"scale is above erm (0.{i} against 0.10)", dataset=data) for i, data in enumerate(DATA[:2], 5)]
    assert grouped(notes, 5) == [
        "on 2 of 5 datasets (dominoes (size=1000), dominoes (size=2000)), as on dominoes (size=1000): "
        "scale is above erm (0.5 against 0.10)"
    ]


def test_what_is_equal_of_several_methods_is_said_once_also_on_several_datasets():
    methods = ["erm", "scale", "jtt", "afr", "rwg"]
    assert grouped([note("few seeds", method) for method in methods], 1) == ["erm, scale, jtt and 2 more: few seeds"]
    notes = [note("few seeds", method, data) for data in DATA for method in methods]
    assert grouped(notes, 5) == ["on 5 of 5 datasets: erm, scale, jtt and 2 more: few seeds"]
    assert grouped(notes[:2], 5) == [f"erm, scale on {DATA[0]}: few seeds"]


def test_methods_on_different_datasets_are_named_with_them():
    notes = [note("few seeds", "scale", data) for data in DATA[:2]]
    notes += [note("few seeds", "erm", DATA[2]), *(note("few seeds", name, DATA[0]) for name in ("jtt", "afr"))]
    assert grouped(notes, 5) == [f"scale on 2 of 5 datasets, erm on {DATA[2]}, jtt on {DATA[0]} and 1 more: few seeds"]


def test_what_differs_in_words_or_is_of_one_dataset_stays_as_it_is():
    notes = [
        note("of the 12 erm trials, 2 failed: not selectable"),
        note("few seeds", "scale", DATA[0]),
        note("fewer seeds", "erm", DATA[1]),
        note("label 0 is small", dataset=DATA[2]),
        note("label 1 is small", dataset=DATA[2]),
        note("the selected lr = 1 is at the end", "scale"),
        note("the selected lr = 2 is at the end", "erm"),
    ]
    assert grouped(notes, 5) == [
        "of the 12 erm trials, 2 failed: not selectable",
        f"scale on {DATA[0]}: few seeds",
        f"erm on {DATA[1]}: fewer seeds",
        f"{DATA[2]}: label 0 is small",
        f"{DATA[2]}: label 1 is small",
        "scale: the selected lr = 1 is at the end",
        "erm: the selected lr = 2 is at the end",
    ]


def test_a_grid_has_one_line_for_each_caveat():
    trials, groups, _ = grid_trials()
    run = make_tables(trials, groups, [], spec=grid_spec(seeds=[0, 1, 2, 3]))
    said = caveats([run])
    assert "on 4 of 4 datasets: scale, erm_target, erm: 3 of the 4 seeds that were asked for" in said
    assert len(said) == len(set(said)) < 8
