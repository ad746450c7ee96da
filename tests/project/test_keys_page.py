"""docs/keys.md: it is what the models say, and they say something of every key."""

import re
import runpy
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from scale_tune.datasets import registered_options
from scale_tune.methods import registered_methods
from scale_tune.spec.config import Hyperparameters
from scale_tune.spec.space import DATASET, RunSpec
from scale_tune.spec.yamlfile import parse_yaml
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "keys.md").read_text()
ROWS = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("| `")]
MEANINGS = {(cells[0].strip("`"), cells[-1]) for cells in ROWS}
"""Of each key, by its name."""
SPACES = [*REPOSITORY.glob("search_spaces/*.yaml"), *REPOSITORY.glob("examples/*/search.yaml")]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of, with those of their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for inner in get_args(annotation):
        yield from models_in(inner)


FOUND = {
    *models_in(RunSpec),
    Hyperparameters,
    *(options for _, options in registered_options()),
    *(method.Options for _, method in registered_methods()),
}
MODELS = sorted(FOUND, key=lambda model: model.__name__)


def test_the_page_is_what_the_models_say():
    page = runpy.run_path(str(REPOSITORY / "docs" / "make_keys.py"))["page"]()
    assert page == PAGE, "run python docs/make_keys.py"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_stands_there_with_what_it_means(model):
    for name, field in model.model_fields.items():
        assert field.description, f"say below {model.__name__}.{name} what it means"
        meaning = " ".join(field.description.split()).replace("``", "`").replace("|", r"\|")
        assert (name, meaning) in MEANINGS


def test_all_models_were_found():
    names = {model.__name__ for model in MODELS}
    assert {"RunSpec", "MethodSpec", "SchedulerSpec", "FloatRange", "Choice", "ScaleOptions", "TableOptions"} <= names


def keys(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The keys of a search space that are not names which somebody chose."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if path[-1:] != ("methods",):
            yield key.removeprefix(DATASET)
        yield from keys(inner, (*path, key))


@pytest.mark.parametrize("path", SPACES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_key_of_a_space_that_ships_stands_there(path):
    used = set(keys(parse_yaml(path.read_text(), path.name)[0]))
    own = {"strength", "eta"} if path.parent.parent.name == "examples" else set()
    assert used - own <= {name for name, _ in MEANINGS}
