"""The comparison as text and LaTeX."""

import re

import pytest
from rich.console import Console

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.winners import winners_map
from scale_tune.report.text import (
    comparison_latex,
    comparison_tables,
    difference_lines,
    latex_escaped,
    winners_table,
)
from scale_tune.tables.labels import selecting
from tests.support.ablations import grid_run
from tests.support.tables import group_rows, make_spec, make_tables, trial


@pytest.fixture(scope="module")
def runs():
    groups = group_rows("scale-0", "val", [50, 60, 70], [100] * 3) + group_rows(
        "scale-0", "test", [40, 50, 60], [80] * 3
    )
    trials = [trial("erm_target-0", 0.5), trial("scale-0", 0.6), trial("erm-0", 0.7, state="failed")]
    return [make_tables(trials, groups, name="a_b")]


def text_of(found) -> str:
    return printed(*comparison_tables(found))


def printed(*tables) -> str:
    console = Console(width=120, markup=False, highlight=False)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()


def test_the_text_has_means_deviations_and_intervals_within_120_columns(runs):
    text = text_of(compare(runs))
    assert max(map(len, text.splitlines())) <= 120
    scale = next(line for line in text.splitlines() if "scale-0" in line)
    assert re.search(r"│ scale +│ +0\.600 ± 0\.100 │ +0\.500 ± 0\.100 │ +0\.800 ± 0\.050 │ .* │ +3 │ scale-0", scale)
    below = text.splitlines()[text.splitlines().index(scale) + 1]
    assert len(re.findall(r"\[0\.\d{3}, 0\.\d{3}\]", below)) == 4
    assert re.search(r"│ erm +│ +– │ +– │ .* 0 │ none eligible", text)


def test_several_runs_and_datasets_have_titles_and_names(runs):
    birds = trial("scale-0", 0.4, **{"config.dataset": "waterbirds"})
    other = make_tables([birds], name="c", spec=make_spec(dataset={"name": "waterbirds"}))
    text = text_of(compare([*runs, other]))
    assert "digits\n" in text or "digits " in text.splitlines()[0]
    assert "waterbirds" in text
    assert re.search(r"│ scale .*\n│ a_b  .* \[0\.", text)
    assert max(map(len, text.splitlines())) <= 120
    latex = comparison_latex(compare([*runs, other]))
    assert r"\multicolumn{8}{l}{digits} \\" in latex
    assert r"a\_b & scale &" in latex
    assert latex.count(r"\midrule") == 2, "below the header and between the datasets"


def test_latex_is_balanced_escaped_and_bold_at_the_best(runs):
    latex = comparison_latex(compare(runs))
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1] == ["table", "tabular"]
    for rule in ("toprule", "midrule", "bottomrule"):
        assert latex.count(f"\\{rule}") == 1
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4
    assert {line.count(" & ") for line in rows} == {6}
    assert len(re.search(r"\\begin\{tabular\}\{(\w+)\}", latex)[1]) == 7
    assert r"erm\_target & $50.0 \pm 0.0$ & $\mathbf{50.0} \pm 0.0$ &" in latex
    assert r"scale & $\mathbf{60.0} \pm 10.0$ & $\mathbf{50.0} \pm 10.0$ &" in latex
    assert r"erm & -- & -- & -- & -- & -- & 0 \\" in latex
    assert latex.count("{") == latex.count("}")


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


def test_a_difference_that_is_sure_says_no_more():
    found = differences([make_tables([trial("erm-0", 0.1), trial("scale-0", 0.9)])])
    assert difference_lines(found, "worst_group")[0].endswith("over 3 shared seeds")


def test_the_accuracy_that_selected_comes_first_and_its_differences_are_told():
    trials = [trial("scale-0", 0.6), trial("erm-0", 0.5)]
    run = make_tables(trials, spec=make_spec(objective="minority"))
    found = compare([run])
    shown = text_of(found)
    order = [shown.index(title) for title in ("val minority", "test minority", "test worst-group", "test average")]
    assert order == sorted(order)
    assert "val worst-group" not in shown
    assert "mean test minority accuracy" in comparison_latex(found)
    assert selecting(found) == "minority"
    by_average = make_tables(trials, spec=make_spec(objective="average"), name="other")
    assert selecting(compare([run, by_average])) == "worst_group", "they have no one accuracy that selected"


def test_two_seeds_have_no_interval_and_the_text_says_why():
    run = make_tables([trial(name, 0.5, seeds=2, seeds_asked=2) for name in ("erm-0", "scale-0")])
    text = " ".join(text_of(compare([run])).split())
    assert "[0." not in text
    assert "no interval: two seeds tell too little of how much seeds differ" in text
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
