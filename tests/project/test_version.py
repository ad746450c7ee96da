"""One version, wherever it stands; and what is installed under which name."""

import re
import tomllib
from importlib import import_module, metadata

import yaml

import scale_tune
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
VERSION = PROJECT["project"]["version"]
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text()


def test_the_code_says_the_version_that_is_installed():
    """A copy that is not installed, as on the workers of a cluster, knows none."""
    assert scale_tune.__version__ in (VERSION, "unknown")
    assert (scale_tune.__version__ == VERSION) == any(metadata.distributions(name=PROJECT["project"]["name"]))


def test_the_citation_is_of_this_version():
    assert CITATION["version"] == VERSION
    assert CITATION["license"] == PROJECT["project"]["license"]
    assert CITATION["title"] == PROJECT["project"]["name"]


def test_the_citation_has_what_the_format_asks_for():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    for work in (CITATION, *CITATION["references"]):
        assert {"type", "title", "authors"} <= set(work)
        for author in work["authors"]:
            assert set(author) in ({"name"}, {"family-names", "given-names"})
    assert CITATION["message"]


def test_the_changelog_has_this_version_or_has_it_before_it():
    """Before the first release all is unreleased."""
    first, *others = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    headings = others if first == "Unreleased" else [first, *others]
    releases = [re.fullmatch(r"(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)", heading) for heading in headings]
    assert all(releases), "a release's heading is as ## 1.2.3 (2026-01-31)"
    if releases:
        assert releases[0][1] == VERSION
        assert releases[0][2] == str(CITATION["date-released"])
        dates = [release[2] for release in releases]
        assert dates == sorted(dates, reverse=True)


def test_what_is_installed_as_a_command_is_one():
    for reference in PROJECT["project"]["scripts"].values():
        module, _, name = reference.partition(":")
        assert callable(getattr(import_module(module), name))
    assert PROJECT["project"]["scripts"].keys() == {"scale-tune", "scale-analyze"}
