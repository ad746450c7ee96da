"""What the README shows is what there is."""

import re

from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.loading import load_spec
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


def test_the_table_has_the_demos_methods_and_erm_is_the_lowest():
    rows = re.findall(r"^  (\w+(?: \(\w+\))?) +(0\.\d+) ± 0\.\d+ +(0\.\d+) ± 0\.\d+ .* 3  ", README, flags=re.MULTILINE)
    test = {method: float(worst) for method, _, worst in rows}
    demo = load_spec(REPOSITORY / "search_spaces" / "digits.yaml")
    assert set(test) == {*demo.methods, "dfr (scale)", "dfr (dfr)"}
    assert min(test, key=test.__getitem__) == "erm"
    assert f"({demo.total_samples} trials of {len(demo.seeds)} seeds" in README


def test_the_table_of_all_methods_has_all_of_them():
    rows = re.findall(r"^\| [\d,]+ \| `([^`]+)` \| 0\.\d+ ± ", README, flags=re.MULTILINE)
    space = load_spec(REPOSITORY / "search_spaces" / "digits_methods.yaml")
    assert sorted(rows) == sorted([*space.methods, *(f"dfr ({protocol})" for protocol in DfrProtocol)])
    assert (
        f"{space.total_samples} trials of {len(space.seeds)} seeds each, {space.num_samples} of each method" in README
    )
