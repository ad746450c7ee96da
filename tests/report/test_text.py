"""The comparison as text and LaTeX."""

import re

import pytest
from rich.console import Console

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.winners import winners_map
from scale_tune.report.text import (
    comparison_latex,
    difference_lines,
    latex_escaped,
    winners_table,
)
from tests.support.ablations import grid_run, grid_spec, grid_trials
from tests.support.tables import group_rows, make_spec, make_tables, trial
from tests.support.twelve import twelve


@pytest.fixture(scope="module")
def runs():
    groups = group_rows("scale-0", "val", [50, 60, 70], [100] * 3) + group_rows(
        "scale-0", "test", [40, 50, 60], [80] * 3
    )
    trials = [trial("erm_target-0", 0.5), trial("scale-0", 0.6), trial("erm-0", 0.7, state="failed")]
    return [make_tables(trials, groups, name="a_b")]


def printed(*tables) -> str:
    console = Console(width=120, markup=False, highlight=False)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()


def test_latex_is_balanced_escaped_and_bold_at_the_best(runs):
    latex = comparison_latex(compare(runs))
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1] == ["table", "tabular"]
    assert [latex.count(f"\\{rule}") for rule in ("toprule", "midrule", "bottomrule")] == [1, 2, 1]
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 5
    assert {line.count(" & ") for line in rows} == {8}
    assert len(re.search(r"\\begin\{tabular\}\{(\w+)\}", latex)[1]) == 9
    assert r"erm\_target & $50.0 \pm 0.0$ & $\mathbf{50.0} \pm 0.0$ &" in latex
    assert r"scale & $\mathbf{60.0} \pm 10.0$ & $\mathbf{50.0} \pm 10.0$ &" in latex
    assert r"erm & -- & -- & -- & -- & -- & 0 & 0 & -- \\" in latex
    assert latex.count("{") == latex.count("}")


def test_latex_names_runs_and_datasets(runs):
    birds = trial("scale-0", 0.4, **{"config.dataset": "waterbirds"})
    other = make_tables([birds], name="c", spec=make_spec(dataset={"name": "waterbirds"}))
    latex = comparison_latex(compare([*runs, other]))
    assert r"\multicolumn{10}{l}{digits} \\" in latex
    assert r"a\_b & scale &" in latex


def test_latex_groups_methods_by_what_they_know():
    lines = comparison_latex(compare([twelve()])).splitlines()
    headings = [line for line in lines if "multicolumn" in line]
    assert headings == [
        rf"\multicolumn{{9}}{{l}}{{\emph{{group labels of {splits} images}}}} \\"
        for splits in (
            "val alone: 1,000",
            "target and val: 1,400",
            "train and val: 5,000",
            "train, target and val: 5,400",
        )
    ]
    below = [line.partition(" & ")[0] for line in lines[lines.index(headings[2]) :]]
    assert below[1:3] == [r"group\_dro", "rwg"], "the best on val first"


def test_nothing_in_a_name_is_a_command_of_latex():
    assert latex_escaped(r"a_b & 50% #1 $x$ {y} ~ ^ \z") == (
        r"a\_b \& 50\% \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}z"
    )


def test_differences_are_lines_of_the_first_method_against_the_others(runs):
    (line,) = difference_lines(differences(runs), "worst_group")
    assert re.fullmatch(
        r"scale − erm_target: [+-]0\.000 \[-0\.\d{3}, 0\.\d{3}\] on test worst-group over 3 shared seeds: not sure",
        line,
    )
    assert difference_lines(differences([]), "worst_group") == []


def test_what_several_differences_have_in_common_stands_above_them_once():
    trials = [trial("scale-0", 0.9), trial("erm_target-0", 0.9), trial("erm-0", 0.1)]
    heading, *lines = difference_lines(differences([make_tables(trials)]), "worst_group")
    assert heading == "scale − …, on test worst-group over 3 shared seeds:"
    assert re.fullmatch(r"  erm_target  [+-]0\.000 \[-0\.\d{3}, 0\.\d{3}\]  not sure", lines[0])
    assert re.fullmatch(r"  erm         \+0\.800 \[0\.\d{3}, 0\.\d{3}\]", lines[1])
    few = [trial(f"{method}-0", 0.5, seeds=2, seeds_asked=2) for method in ("scale", "erm", "erm_target")]
    heading, *lines = difference_lines(differences([make_tables(few)]), "worst_group")
    assert heading.endswith("over 2 shared seeds, too few for an interval:")
    assert all(re.fullmatch(r"  \w+ +[+-]0\.000", line) for line in lines)


def test_a_difference_that_is_sure_says_no_more():
    found = differences([make_tables([trial("erm-0", 0.1), trial("scale-0", 0.9)])])
    assert difference_lines(found, "worst_group")[0].endswith("over 3 shared seeds")


def test_the_accuracy_that_selected_is_that_of_the_interval():
    run = make_tables([trial("scale-0", 0.6), trial("erm-0", 0.5)], spec=make_spec(objective="minority"))
    assert "mean test minority accuracy" in comparison_latex(compare([run]))


def test_two_seeds_have_no_interval():
    run = make_tables([trial(name, 0.5, seeds=2, seeds_asked=2) for name in ("erm-0", "scale-0")])
    (line,) = difference_lines(differences([run]), "worst_group")
    assert line.endswith("over 2 shared seeds, too few for an interval")
    assert "& -- & 2" in comparison_latex(compare([run]))


def test_a_grid_has_a_map_of_its_winners():
    run = grid_run()
    found = winners_map(run.name, run.spec, run.tables["trials"], compare([run]), differences([run]))
    lines = printed(winners_table(found)).splitlines()
    assert lines[0].startswith("winners by spurious_strength × val_target_size, chosen by val minority: test minority,")
    first = next(i for i, line in enumerate(lines) if "0.95" in line)
    assert re.search(r"│ 0\.95 │ +scale │ +scale │", lines[first])
    assert re.search(r"│ +│ +0\.650 │ +0\.670 │", lines[first + 1])
    assert re.search(r"│ +│ \+0\.090 \+0\.090\?? │", lines[first + 2])


def test_a_cell_of_the_map_says_which_method_has_no_result_there():
    trials, groups, dfr = grid_trials()
    gone = [row for row in dfr if row["fingerprint"] != "0.95 1000"]
    run = make_tables(trials, groups, gone, spec=grid_spec())
    found = winners_map(run.name, run.spec, run.tables["trials"], compare([run]), differences([run]))
    text = printed(winners_table(found))
    assert text.count("scale¹ │") == 1
    assert re.search(r"│ 0\.95 │ +scale¹ │ +scale │", text)
    last = text.splitlines()[-1]
    assert re.fullmatch(r"¹ no result here, but on other data: .*", last)
    assert "dfr (scale)" in last
