"""An ablation, its differences and published numbers as text and as LaTeX."""

import re

import pytest
from rich.console import Console

from scale_tune.analysis.contrasts import contrasts
from scale_tune.analysis.published import beside, publication_for
from scale_tune.report.pivots import (
    beside_latex,
    beside_tables,
    contrast_latex,
    contrast_tables,
    pivot_latex,
    pivot_tables,
)
from tests.support.ablations import ARMS, grid_ablation, grid_run, run_with_a_failed_trial
from tests.support.tables import make_tables

PAIRS = ["scale,dfr", "scale,erm_target"]


@pytest.fixture(scope="module")
def run():
    return run_with_a_failed_trial()


@pytest.fixture(scope="module")
def ablation(run):
    return grid_ablation(run)


def text_of(tables) -> str:
    console = Console(width=120, markup=False, highlight=False)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()


def assert_latex(latex: str, columns: int) -> list[str]:
    """Balanced, and every row as wide as the header; gives the rows."""
    assert re.findall(r"\\begin\{(\w+)\}", latex) == re.findall(r"\\end\{(\w+)\}", latex)[::-1] == ["table", "tabular"]
    assert latex.count("{") == latex.count("}")
    assert latex.count("$") % 2 == 0
    assert "spurious_strength" not in latex
    for rule in ("toprule", "bottomrule"):
        assert latex.count(f"\\{rule}") == 1
    assert len(re.search(r"\\begin\{tabular\}\{(\w+)\}", latex)[1]) == columns
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {columns - 1}
    return rows


def test_the_text_has_a_grid_of_each_arm_with_what_is_missing(ablation):
    text = text_of(pivot_tables(ablation))
    for arm in ARMS[:5]:
        assert f"{arm}: test minority by spurious_strength × val_target_size, mean ± std over 3 seeds\n" in text
    assert "dfr_pretrained: test minority by spurious_strength × val_target_size, mean ± std over 1 seed\n" in text
    assert re.search(r"│ 0\.95 +│ +missing │ 0\.130 ± 0\.010 │", text)
    assert text.count(" missing ") == 2
    assert max(map(len, text.splitlines())) <= 120


def test_of_one_row_the_text_has_a_line_for_each_arm(ablation):
    text = text_of(pivot_tables(ablation.fixed_at(0.95)))
    title = "test minority by val_target_size at spurious_strength = 0.95, mean ± std over 3 seeds, or as (n) says"
    assert text.splitlines()[0] == title
    assert re.search(r"│ erm +│ +missing │ +0\.130 ± 0\.010 │", text)
    assert re.search(r"│ dfr_pretrained │ +0\.460 \(1\) │ +0\.480 \(1\) │", text)
    assert len(re.findall(r"^│ ", text, flags=re.MULTILINE)) == 6


def test_latex_has_percent_and_is_balanced(ablation):
    rows = assert_latex(pivot_latex(ablation), 3)
    assert r"spurious\_strength & 1000 & 2000 \\" in rows
    assert r"0.95 & missing & $13.0 \pm 1.0$ \\" in rows
    assert r"0.95 & $46.0$ (1) & $48.0$ (1) \\" in rows
    assert "over 3 seeds, or as (n) says, by" in pivot_latex(ablation)
    rows = assert_latex(pivot_latex(ablation.fixed_at(0.95)), 3)
    assert r"erm\_target & $56.0 \pm 1.0$ & $58.0 \pm 1.0$ \\" in rows


def test_an_ablation_without_any_cell_is_text_and_latex_too():
    empty = grid_ablation(make_tables([], spec=grid_run().spec))
    assert text_of(pivot_tables(empty)).count(" missing ") == 24
    assert_latex(pivot_latex(empty), 3)


def test_differences_have_their_interval_below_and_beside(run, ablation):
    found = contrasts(run, ablation, PAIRS)
    text = text_of(contrast_tables(found))
    assert "scale − erm_target: test minority by spurious_strength × val_target_size, [95 % interval]" in text
    assert re.search(r"│ 0\.95 +│ +missing │ +\+0\.190 │\n│ +│ +│ +\[0\.\d{3}, 0\.\d{3}\] │", text)
    rows = assert_latex(contrast_latex(found), 3)
    assert any(re.fullmatch(r"0\.95 & missing & \$\+19\.0\$ \$\[\d+\.\d, \d+\.\d\]\$ \\\\", row) for row in rows)
    assert r"\multicolumn{3}{l}{scale $-$ erm\_target} \\" in contrast_latex(found)


def test_published_numbers_stand_beside_ours(run, ablation):
    publication = publication_for(run, "spurious_strength", "val_target_size", None, None)
    found = beside(run, ablation, publication, None)
    text = text_of(beside_tables(found))
    assert "scale: test minority, this run's beside the published one" in text
    assert re.search(r"│ +0\.95 │ +1000 │ 0\.650 ± 0\.010 │ +0\.654 │ +-0\.004 │ \[-0\.\d{3}, 0\.\d{3}\] │", text)
    assert re.search(r"│ +0\.95 │ +1000 │ +missing │ +– │ +failed │ +no interval │", text)
    rows = assert_latex(beside_latex(found), 6)
    assert any(re.match(r"0\.95 & 1000 & \$65\.0 \\pm 1\.0\$ & \$65\.4\$ & \$-0\.4\$ & \$\[", row) for row in rows)
    assert r"0.95 & 1000 & missing & -- & -- & -- \\" in rows
