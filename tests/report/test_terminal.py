"""The comparison in a terminal: whole numbers at any width, grouped by what methods know."""

import re

import pandas as pd
import pytest
from rich.console import Console

from scale_tune.analysis.comparison import compare
from scale_tune.report.terminal import comparison_tables
from scale_tune.tables.labels import selecting
from tests.support.tables import group_rows, make_spec, make_tables, trial
from tests.support.twelve import METHODS, twelve

FILE = "runs/demo/report.html"
VAL, TEST = ["val_worst_group"], ["test_worst_group", "test_average"]


def text_of(found: pd.DataFrame, width: int = 120) -> str:
    console = Console(width=width, markup=False, highlight=False)
    with console.capture() as capture:
        for table in comparison_tables(found, width, FILE):
            console.print(table)
    return capture.get()


@pytest.fixture(scope="module")
def runs():
    groups = group_rows("scale-0", "val", [50, 60, 70], [100] * 3) + group_rows(
        "scale-0", "test", [40, 50, 60], [80] * 3
    )
    trials = [trial("erm_target-0", 0.5), trial("scale-0", 0.6), trial("erm-0", 0.7, state="failed")]
    return [make_tables(trials, groups, name="a_b")]


@pytest.fixture(scope="module")
def many():
    return compare([twelve()])


def numbers(found: pd.DataFrame, name: str) -> list[str]:
    """All of an accuracy, as they are printed."""
    return [f"{value:.3f}" for end in ("mean", "low", "high") for value in found[f"{name}_{end}"]]


@pytest.mark.parametrize(
    ("width", "accuracies", "left_out"),
    [
        (50, VAL, "test worst-group, val average, test average, trial, epochs spent, own hyperparameters"),
        (80, [*VAL, *TEST], "val average, trial, epochs spent, own hyperparameters"),
        (120, [*VAL, *TEST], "val average, own hyperparameters"),
        (150, [*VAL, *TEST, "val_average"], None),
    ],
)
def test_every_number_is_whole_and_what_has_no_room_is_named(many, width, accuracies, left_out):
    text = text_of(many, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    flat = " ".join(text.split())
    for name in accuracies:
        for number in numbers(many, name):
            assert re.search(rf"(?<![\d.]){number}(?![\d.])", text)
    assert len(re.findall(r"\[0\.\d{3}, 0\.\d{3}\]", text)) == 15 * len(accuracies)
    assert f"no room here for {left_out}: in {FILE}" in flat if left_out else "no room" not in flat


def test_methods_are_grouped_by_what_they_know_and_the_best_is_marked(many):
    lines = [line for line in text_of(many, 80).splitlines() if line.startswith("group labels")]
    assert lines == [
        "group labels of val alone: 1,000 images",
        "group labels of target and val: 1,400 images",
        "group labels of train and val: 5,000 images",
        "group labels of train, target and val: 5,400 images",
    ]
    text = text_of(many, 80)
    names = [line.split()[0] for line in text.splitlines() if re.match(r"  [a-z_]+ .*±", line)]
    assert names[:4] == sorted(names[:4], key=METHODS.__getitem__, reverse=True) == ["jtt", "rwy", "suby", "erm"]
    marked = [
        above for above, line in zip(text.splitlines(), text.splitlines()[1:], strict=False) if "best on val" in line
    ]
    assert [line.split()[0] for line in marked] == ["scale"]


def test_a_row_has_means_deviations_and_intervals(runs):
    text = text_of(compare(runs))
    scale = next(line for line in text.splitlines() if "scale-0" in line)
    assert re.match(r"  scale +0\.600 ± 0\.100 +0\.500 ± 0\.100 +0\.800 ± 0\.050 .* 3  scale-0", scale)
    below = text.splitlines()[text.splitlines().index(scale) + 1]
    assert len(re.findall(r"\[0\.\d{3}, 0\.\d{3}\]", below)) == 4
    last = text[text.index("no trial could be selected") :]
    assert re.search(r"  erm +– +– .* 0  none eligible", last)


def test_several_runs_and_datasets_have_titles_and_names(runs):
    birds = trial("scale-0", 0.4, **{"config.dataset": "waterbirds"})
    other = make_tables([birds], name="c", spec=make_spec(dataset={"name": "waterbirds"}))
    lines = text_of(compare([*runs, other])).splitlines()
    assert [line for line in lines if line.strip() in ("digits", "waterbirds")] == ["digits", "waterbirds"]
    at = next(i for i, line in enumerate(lines) if line.startswith("  scale "))
    assert re.match(r"  a_b  .* \[0\.", lines[at + 1])
    assert lines[at + 2].strip() == "best on val"


def test_a_long_name_is_folded_and_cuts_no_number():
    name = "a" * 60
    found = compare([make_tables([trial("erm-0", 0.5)], name=name), make_tables([trial("erm-0", 0.25)], name="b")])
    text = text_of(found, 80)
    assert text.count("a") - text.replace("a" * 24, "").count("a") == 48
    assert all(number in text for number in numbers(found, "test_worst_group"))


def test_the_accuracy_that_selected_comes_first():
    trials = [trial("scale-0", 0.6), trial("erm-0", 0.5)]
    run = make_tables(trials, spec=make_spec(objective="minority"))
    found = compare([run])
    above, titles = text_of(found).splitlines()[:2]
    assert above.split()[:4] == ["val", "test", "test", "test"]
    assert titles.split()[1:5] == ["minority", "minority", "worst-group", "average"]
    assert selecting(found) == "minority"
    by_average = make_tables(trials, spec=make_spec(objective="average"), name="other")
    assert selecting(compare([run, by_average])) == "worst_group", "they have no one accuracy that selected"


def test_an_objective_without_attributes_needs_no_group_labels():
    text = text_of(compare([make_tables([trial("erm-0", 0.5)], spec=make_spec(objective="average"))]))
    assert "\nno group labels\n" in text.replace("  \n", "\n")


def test_two_seeds_have_no_interval_and_the_text_says_why():
    run = make_tables([trial(name, 0.5, seeds=2, seeds_asked=2) for name in ("erm-0", "scale-0")])
    text = " ".join(text_of(compare([run])).split())
    assert "[0." not in text
    assert "no interval: two seeds tell too little of how much seeds differ" in text
