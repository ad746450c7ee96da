"""What the README guarantees is tested, by the tests that ARCHITECTURE.md names."""

import ast
import re

import pytest

from tests.conftest import REPOSITORY

README, ARCHITECTURE = ((REPOSITORY / name).read_text() for name in ("README.md", "ARCHITECTURE.md"))
GUARANTEED = README.split("## What is guaranteed\n")[1].split("\nNot guaranteed")[0]
ROWS = [
    (words.strip(), re.findall(r"`([^`]+)`", tests))
    for words, tests in re.findall(
        r"^\| (.+?) \| (`.+`) \|$", ARCHITECTURE.split("## What holds the guarantees\n")[1], re.M
    )
    if "::" in tests
]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_every_guarantee_has_tests():
    guarantees = [flat(point) for point in re.split(r"^- ", GUARANTEED, flags=re.M) if point.strip()]
    assert len(guarantees) > 5
    for guarantee in guarantees:
        assert any(words in guarantee for words, _ in ROWS), guarantee


@pytest.mark.parametrize(("words", "tests"), ROWS)
def test_what_is_named_is_there(words, tests):
    assert words in flat(GUARANTEED)
    for name in tests:
        path, _, function = name.partition("::")
        tree = ast.parse((REPOSITORY / "tests" / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
