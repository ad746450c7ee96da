"""Every module answers to its name."""

from collections import defaultdict
from pathlib import Path

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "scale_tune"


def test_no_two_modules_or_rooms_have_one_name():
    """But a module may have the name of the room it stands in."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        place = path.parent if path.stem == "__init__" else path.with_suffix("")
        if place.name != place.parent.name:
            found[place.name].append(place.relative_to(PACKAGE))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
