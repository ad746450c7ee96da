"""What the README shows is what there is."""

import re

from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


def test_the_files_it_names_are_there():
    named = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"search_spaces/\w+\.yaml", README)
    assert len(named) > 5
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_the_table_has_the_four_methods_and_erm_is_the_lowest():
    rows = re.findall(r"│ (\w+(?: \(scale\))?) +│ +(0\.\d+) ± 0\.\d+ │ +(0\.\d+) ± 0\.\d+ │ .* │ +3 │", README)
    test = {method: float(worst) for method, _, worst in rows}
    assert set(test) == {"scale", "erm_target", "dfr (scale)", "erm"}
    assert min(test, key=test.__getitem__) == "erm"


def test_its_commands_are_targets_of_the_makefile():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_its_options_are_options():
    from tests.support.commands import run

    text = run("tune", "--help").stdout
    for option in set(re.findall(r"tune\.py .*?(--[a-z-]+)", README)):
        assert option in text
