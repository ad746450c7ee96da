"""What ``tune.py init`` writes: it runs as it is, and tells of every option what it does."""

import re
from pathlib import Path

import pytest

from scale_tune.datasets import dataset_class
from scale_tune.datasets.ahead import data_corners, planned
from scale_tune.datasets.planning import info_of
from scale_tune.datasets.registry import DATASETS
from scale_tune.errors import UserError
from scale_tune.methods import method_class, registered_methods
from scale_tune.methods.defined import check_defined
from scale_tune.methods.method_registry import METHODS
from scale_tune.spec.config import Hyperparameters
from scale_tune.spec.keys import keys_of
from scale_tune.spec.loading import load_spec
from scale_tune.spec.space import RunSpec
from scale_tune.spec.yamlfile import parse_yaml
from scale_tune.workflows.new_space import new_space
from scale_tune.workflows.rehearsal import rehearse
from scale_tune.workflows.resolving import resolved
from tests.support.sources import (
    celeba_table,
    make_celeba,
    make_cifar,
    make_mnist,
    make_table,
    make_waterbirds,
    table_rows,
)

OUT_OF_USE = re.compile(r"^( *)#(?=\w)", re.MULTILINE)
"""Before a key that is not in use."""
CELLS = (30, 6, 6, 30)


def written(dataset: str, methods: list[str]) -> str:
    needed = {"csv": "list.csv"} if "csv" in dataset_class(dataset).Options.model_fields else {}
    return new_space(dataset, methods, needed, "my.yaml")


@pytest.fixture
def load(tmp_path):
    def validated(text: str, **options) -> RunSpec:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        return load_spec(path, check=resolved, **options)

    return validated


@pytest.mark.parametrize("dataset", DATASETS)
def test_of_every_dataset_and_method_it_passes_validation(dataset, load):
    for methods in (*([method] for method in METHODS), list(METHODS)):
        spec = load(written(dataset, methods))
        assert (spec.dataset.name, list(spec.methods)) == (dataset, methods)
        for method in methods:
            assert {"lr", "weight_decay", "batch_size"} <= {
                name for name, parameter in spec.method_space(method).items() if len(parameter.extremes()) > 1
            }, "what all methods have is searched"


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_is_out_of_use_is_the_default(dataset, load):
    text = written(dataset, list(METHODS))
    in_use, out_of_use = (set(OUT_OF_USE.findall(each)) for each in (OUT_OF_USE.sub("", text), text))
    assert not in_use
    assert out_of_use
    plain, full = load(text), load(all_in_use(text))
    for method in METHODS:
        ours, theirs = (spec.first_config(method).model_dump(mode="json") for spec in (plain, full))
        theirs["dataset"] = {name: value for name, value in theirs["dataset"].items() if value is not None}
        ours["dataset"].pop("file"), theirs["dataset"].pop("file", None)
        assert ours == theirs
    fields = set(RunSpec.model_fields) - {"dataset", "methods", "space"}
    assert plain.model_dump(include=fields) == full.model_dump(include=fields)


def all_in_use(text: str) -> str:
    """With every key that has a default."""
    return "\n".join(OUT_OF_USE.sub(r"\1", line) for line in text.splitlines() if not re.match(r" *#\w+: {type:", line))


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_option_stands_there_with_its_meaning(dataset):
    text = written(dataset, list(METHODS))
    comments = " ".join(re.findall(r"^ *# (.*)$", text, re.MULTILINE))
    options = [*keys_of(dataset_class(dataset).Options), *keys_of(Hyperparameters), *keys_of(RunSpec)]
    for _, method in registered_methods():
        options += keys_of(method.Options)
    for option in options:
        assert re.search(rf"^ *#?{option.name}:", text, re.MULTILINE), option.name
        assert option.meaning.replace("``", "") in comments
    assert max(len(line) for line in text.splitlines() if line.lstrip().startswith("# ")) <= 80


@pytest.mark.parametrize("method", METHODS)
def test_what_it_searches_of_a_method_holds_the_default(method, load):
    space = load(written("digits", [method])).method_space(method)
    for option in keys_of(method_class(method).Options):
        if option.searched is not None and option.default is not None:
            assert len(space[option.name].extremes()) > 1
            assert space[option.name].holds(option.default), f"{option.name}: {option.default}"


def make_sources(dataset: str, root: Path) -> None:
    if dataset == "dominoes":
        make_mnist(root, 6000, 600)
        make_cifar(root, 5000, 500)
    elif dataset == "celeba":
        make_celeba(root, celeba_table({0: CELLS, 1: CELLS, 2: CELLS}), "kaggle")
    elif dataset == "waterbirds":
        make_waterbirds(root, {0: CELLS, 1: CELLS, 2: CELLS})
    elif dataset == "table":
        cells = {("cow", "grass"): 20, ("cow", "sand"): 5, ("camel", "grass"): 5, ("camel", "sand"): 20}
        make_table(root, table_rows({"train": cells, "val": cells, "test": cells}))


@pytest.fixture
def with_sources(dataset, tmp_path, monkeypatch) -> str:
    """A dataset whose sources are there."""
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "data"))
    make_sources(dataset, tmp_path / "data")
    return dataset


@pytest.mark.parametrize("dataset", DATASETS)
def test_where_the_sources_are_every_method_means_something(with_sources, load):
    corners = data_corners(load(written(with_sources, list(METHODS))))
    assert {config.method for config in corners} == set(METHODS)
    for config, dataset, plan in planned(corners):
        check_defined(config, plan, info_of(dataset).groups)


@pytest.mark.drill
@pytest.mark.parametrize("dataset", DATASETS)
def test_where_the_sources_are_it_passes_a_dry_run(with_sources, load):
    """Of one method with the dataset's network; of all with a small one, which takes seconds."""
    first, small = next(iter(METHODS)), {"model.name": "small_cnn", "model.weights": "none"}
    for methods, overrides in (([first], {}), (list(METHODS), small)):
        lines: list[str] = []
        spec = load(written(with_sources, methods), overrides=overrides)
        rehearse(spec, lines.append)
        tried = [f"  of {method} with {spec.model.name}" for method in methods]
        assert lines[: len(methods) + 1] == ["trying a step …", *tried], "the data are there"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", ["erm"], {}), "give --dataset, one of digits, dominoes, celeba"),
        (("digits", [], {}), "give --methods, some of erm, erm_target"),
        (("digist", ["erm"], {}), "there is no dataset 'digist'; did you mean 'digits'"),
        (("digits", ["scael"], {}), "there is no method 'scael'; did you mean 'scale'"),
        (("table", ["erm"], {}), "table needs its csv: give --csv"),
        (("digits", ["erm"], {"csv": "list.csv"}), "--csv: digits has no such option"),
    ],
)
def test_what_is_wrong_is_told_with_what_there_is(arguments, message):
    with pytest.raises(UserError, match=message):
        new_space(*arguments, "my.yaml")


def test_a_method_named_twice_stands_once():
    assert list(parse_yaml(written("digits", ["erm", "scale", "erm"]), "my.yaml")[0]["methods"]) == ["erm", "scale"]
