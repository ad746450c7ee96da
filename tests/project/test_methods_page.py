"""docs/methods.md: every method and option is there, and what each one knows is as its class says."""

import re

import pytest

from scale_tune.methods import registered_methods
from scale_tune.methods.method import PooledOptions
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "methods.md").read_text()
METHODS = dict(registered_methods())
every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_it_has_each_method_and_option(name):
    assert re.search(rf"^(#+ |- \*\*|#+ .*, )`{name}`", PAGE, flags=re.MULTILINE), "a heading, or a line of controls"
    for option in set(METHODS[name].Options.model_fields) - set(PooledOptions.model_fields):
        assert f"`{option}`" in PAGE, option


@every_method
def test_it_says_what_each_method_knows(name):
    rows = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \|$", PAGE, flags=re.MULTILINE)
    known = [row for row in rows if row[1] in ("train", "target", "train, target") and not row[0].startswith("DFR")]
    ((_, labels, attributes),) = [row for row in known if f"`{name}`" in row[0]]
    cls = METHODS[name]
    learns_from = ("train", "target") if cls.pools(cls.Options.model_construct()) else cls.learns_from
    assert labels == ", ".join(learns_from)
    assert attributes == (", ".join(cls.attributes_of) or "–")
