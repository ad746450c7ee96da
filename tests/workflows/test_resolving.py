"""A search space that passes can be trained in every corner."""

from itertools import chain, combinations, product
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ValidationError, ValidationInfo, create_model

from scale_tune.datasets import dataset_of, registered_options
from scale_tune.errors import UserError
from scale_tune.methods import method_class, registered_methods
from scale_tune.methods.method import MethodOptions
from scale_tune.spec.config import Hyperparameters
from scale_tune.spec.frozen import LocatedError
from scale_tune.spec.loading import validate_spec
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from scale_tune.spec.space import RunSpec
from scale_tune.workflows.resolving import MAX_CORNERS, corners, resolved

VALUES = [-1, 0, 1, 2, 3, 4, 16, 20, 21, 64, 1000, 2000, 40000, -0.5, 0.0, 1e-4, 0.05, 0.5, 0.95, 1.0, 1.5]
VALUES += ["linear", "constant", "none", "gender", "blond", "val", "x", True, False]
NEEDED = {"table": {"csv": "list.csv"}}
"""Options that a dataset can't be without."""


def taken(model: type[BaseModel], option: str, value) -> bool:
    """Whether an option takes a value by itself, whatever others there are."""
    try:
        model.model_validate({option: value})
    except ValidationError as error:
        return not any(each["loc"][:1] == (option,) for each in error.errors())
    return True


def possible(model: type[BaseModel], prefix: str = "") -> dict[str, list]:
    """Of each option the values that it takes, by how a search space calls it."""
    found = {f"{prefix}{name}": [v for v in VALUES if taken(model, name, v)] for name in model.model_fields}
    return {name: known for name, known in found.items() if known}


OF_METHODS = {name: possible(cls.Options) for name, cls in registered_methods()}
OF_DATASETS = {name: possible(model, "dataset.") for name, model in registered_options()}
OF_ALL = possible(Hyperparameters)


@st.composite
def parameters(draw, known: list):
    """A parameter as YAML has it; by itself most are right."""
    among = st.sampled_from(VALUES if draw(st.integers(0, 19)) == 7 else known)
    kind = draw(st.sampled_from(["constant", "choice", "choice", "float", "int"]))
    numbers = draw(st.lists(among, min_size=2, max_size=3, unique=True)) if len(known) > 1 else []
    if kind in ("float", "int"):
        types = (int, float) if kind == "float" else (int,)
        of_kind = [number for number in numbers if type(number) in types]
        if len(of_kind) > 1:
            return {"type": kind, "low": min(of_kind), "high": max(of_kind)}
        kind = "choice"
    return {"type": kind, "values": numbers} if kind == "choice" and numbers else draw(among)


@st.composite
def spaces(draw, known: dict[str, list]):
    """Up to two of these options."""
    chosen = draw(st.lists(st.sampled_from(sorted(known)), max_size=2, unique=True)) if known else []
    return {name: draw(parameters(known[name])) for name in chosen}


@st.composite
def specs(draw):
    """Search spaces of which some are wrong, most of them only in how options go together."""
    dataset = draw(st.sampled_from(sorted(OF_DATASETS)))
    shared = OF_ALL | OF_DATASETS[dataset]
    picked = draw(st.lists(st.sampled_from(sorted(OF_METHODS)), min_size=1, max_size=2, unique=True))
    fixed = draw(st.lists(st.sampled_from(sorted(OF_DATASETS[dataset])), max_size=1))
    values = {name.removeprefix("dataset."): draw(st.sampled_from(OF_DATASETS[dataset][name])) for name in fixed}
    return {
        "dataset": {"name": dataset, **values, **NEEDED.get(dataset, {})},
        "methods": {method: {"space": draw(spaces(OF_METHODS[method]))} for method in picked},
        "space": draw(spaces(shared)),
        "sampler": "random",
    }


def values(parameter) -> list:
    """What may be drawn, at its ends and between."""
    match parameter:
        case Choice():
            return list(parameter.values)
        case IntRange():
            middle = (parameter.low + parameter.high) // 2
            return sorted({parameter.low, min(parameter.low + 1, parameter.high), middle, parameter.high})
        case FloatRange():
            return [parameter.low, (parameter.low + parameter.high) / 2, parameter.high]
    return [parameter.value]


def test_every_corner_of_what_passes_can_be_loaded_and_trained():
    seen = {"passed": 0, "refused": 0, "corners": 0}

    @settings(max_examples=300, deadline=None)
    @given(specs())
    def check(data):
        spec, message = None, ""
        try:
            spec = validate_spec(data, {}, "space.yaml", resolved)
        except UserError as error:
            message = str(error)
        assert all(line.startswith("space.yaml: ") for line in message.splitlines())
        seen["passed" if spec else "refused"] += 1
        for method in spec.methods if spec else ():
            space = spec.method_space(method)
            for point in product(*(values(parameter) for parameter in space.values())):
                config = spec.trial_config(method, dict(zip(space, point, strict=True)))
                dataset_of(config.dataset)
                method_class(method).Options.model_validate(config.options)
                seen["corners"] += 1

    check()
    # Of spaces that are all refused, or have one point each, nothing would be learned.
    assert seen["passed"] > 100
    assert seen["refused"] > 10
    assert seen["corners"] > 2 * seen["passed"]


def test_corners_and_not_one_value_at_a_time():
    fixed = {"dataset": {"name": "celeba", "task": "blond"}, "methods": ["erm"]}
    searched = {"dataset.spurious_strength": {"type": "choice", "values": [1.0, 0.95]}}
    with pytest.raises(LocatedError, match="the task blond keeps the natural counts") as error:
        resolved(RunSpec.model_validate(fixed | {"space": searched}))
    assert error.value.path == ("space", "dataset.spurious_strength")
    both = searched | {"dataset.task": {"type": "choice", "values": ["gender", "blond"]}}
    with pytest.raises(LocatedError, match=r"leave this out \(with dataset.task=blond\)"):
        resolved(RunSpec.model_validate({"dataset": {"name": "celeba"}, "methods": ["erm"], "space": both}))


NINE = {name: Choice(type="choice", values=(0, 1, 2, 3)) for name in "abcdefghi"}
"""4 ** 9 corners, more than are looked at."""


def test_of_too_many_corners_every_value_and_every_two_come_first():
    found = list(corners(NINE))
    assert 4**9 > len(found) == MAX_CORNERS
    assert found[0] == dict.fromkeys(NINE, 0)
    assert {(name, value) for corner in found[: 1 + 9 * 3] for name, value in corner.items()} == {
        (name, value) for name in NINE for value in range(4)
    }
    pairs = {(a, x, b, y) for a, b in combinations(NINE, 2) for x, y in product(range(1, 4), repeat=2)}
    of_two = found[1 + 9 * 3 : 1 + 9 * 3 + len(pairs)]
    assert {tuple(chain(*((n, v) for n, v in corner.items() if v))) for corner in of_two} == pairs


def test_few_corners_are_all_there_once():
    three = dict(list(NINE.items())[:3]) | {"fixed": Constant(type="constant", value=7)}
    found = [tuple(corner.values()) for corner in corners(three)]
    assert sorted(found) == [(*point, 7) for point in product(range(4), repeat=3)]


@pytest.mark.parametrize("bad", ["a", "e", "i"])
def test_a_space_with_more_corners_than_are_looked_at_is_refused_wherever_its_only_bad_value_is(bad, monkeypatch):
    def checked(value: int, info: ValidationInfo) -> int:
        if (info.field_name, value) == (bad, 3):
            raise ValueError("3 is too many")
        return value

    of_int = (Annotated[int, AfterValidator(checked)], 0)
    options = create_model("Options", __base__=MethodOptions, **dict.fromkeys(NINE, of_int))
    monkeypatch.setattr(method_class("erm"), "Options", options)
    space = {name: {"type": "choice", "values": [0, 1, 2, 3]} for name in NINE}
    with pytest.raises(LocatedError, match="3 is too many") as error:
        resolved(RunSpec.model_validate({"methods": {"erm": {"space": space}}}))
    assert error.value.path == ("methods", "erm", "space", bad)


def test_what_lies_between_the_ends_of_whole_numbers_counts_too():
    sizes = {"dataset.val_target_size": {"type": "int", "low": 1000, "high": 2000}}
    with pytest.raises(LocatedError, match="multiple of 10, got 1001"):
        resolved(RunSpec.model_validate({"dataset": {"name": "dominoes"}, "methods": ["erm"], "space": sizes}))


def test_options_that_are_left_out_are_written_into_the_search():
    spec = resolved(RunSpec.model_validate({"methods": {"scale": {"space": {"group_size": 4}}, "erm": {}}}))
    assert spec.dataset.options == {"seed": 0, "spurious_strength": 1.0, "noise": 0.55, "target_size": 400}
    config = spec.trial_config("scale", {})
    assert config.options == {"group_size": 4, "regularize_mode": "linear"}
    assert spec.trial_config("erm", {}).options == {}
    assert resolved(spec) == spec


def test_an_option_of_one_method_is_sent_to_its_place():
    shared = {"methods": ["erm", "scale"], "space": {"group_size": 4}}
    with pytest.raises(LocatedError, match="only scale has this; move it to methods.scale.space"):
        resolved(RunSpec.model_validate(shared))


@pytest.mark.parametrize("wrong", [True, "0.1", [0.1], None])
def test_a_value_of_another_kind_is_no_value(wrong):
    asked = {"methods": {"erm": {"space": {"lr": wrong}}}}
    with pytest.raises((ValidationError, LocatedError)):
        resolved(RunSpec.model_validate(asked))
