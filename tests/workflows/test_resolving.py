"""A search space that passes can be trained in every corner."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from scale_tune.datasets import dataset_of, registered_options
from scale_tune.errors import UserError
from scale_tune.methods import method_class, registered_methods
from scale_tune.spec.config import Hyperparameters
from scale_tune.spec.frozen import LocatedError
from scale_tune.spec.loading import validate_spec
from scale_tune.spec.parameters import Choice, FloatRange, IntRange
from scale_tune.spec.space import RunSpec
from scale_tune.workflows.resolving import resolved

NUMBERS = st.one_of(
    st.sampled_from([-1, 0, 1, 2, 3, 4, 16, 20, 21, 64, 1000, 2000, 40000]),
    st.sampled_from([-0.5, 0.0, 1e-4, 0.05, 0.5, 0.95, 1.0, 1.5]),
)
TEXTS = st.sampled_from(["linear", "step", "none", "gender", "blond", "x"])
OPTIONS = {name: [*model.model_fields] for name, model in registered_options()}


@st.composite
def parameters(draw):
    """A parameter as YAML has it, right or wrong."""
    kind = draw(st.sampled_from(["constant", "choice", "float", "int"]))
    if kind == "constant":
        return draw(NUMBERS | TEXTS)
    if kind == "choice":
        return {"type": kind, "values": draw(st.lists(NUMBERS | TEXTS, min_size=1, max_size=3, unique=True))}
    low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
    return {"type": kind, "low": low, "high": high}


@st.composite
def specs(draw):
    """Search spaces of which many are wrong."""
    dataset = draw(st.sampled_from(sorted(set(OPTIONS) - {"table"})))
    names = [*Hyperparameters.model_fields, *(f"dataset.{option}" for option in OPTIONS[dataset])]
    chosen = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    methods = {}
    for method, cls in registered_methods():
        own = draw(st.lists(st.sampled_from([*cls.Options.model_fields, *names]), max_size=2, unique=True))
        methods[method] = {"space": {name: draw(parameters()) for name in own}}
    fixed = {option: draw(NUMBERS | TEXTS) for option in draw(st.sets(st.sampled_from(OPTIONS[dataset]), max_size=1))}
    picked = draw(st.sets(st.sampled_from(sorted(methods)), min_size=1))
    return {
        "dataset": {"name": dataset, **fixed},
        "methods": {method: methods[method] for method in sorted(picked)},
        "space": {name: draw(parameters()) for name in chosen},
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


@settings(max_examples=300, deadline=None)
@given(specs())
def test_every_corner_of_what_passes_can_be_loaded_and_trained(data):
    spec, message = None, ""
    try:
        spec = validate_spec(data, {}, "space.yaml", resolved)
    except UserError as error:
        message = str(error)
    assert all(line.startswith("space.yaml: ") for line in message.splitlines())
    for method in spec.methods if spec else ():
        space = spec.method_space(method)
        for point in product(*(values(parameter) for parameter in space.values())):
            config = spec.trial_config(method, dict(zip(space, point, strict=True)))
            dataset_of(config.dataset)
            method_class(method).Options.model_validate(config.options)


def test_corners_and_not_one_value_at_a_time():
    fixed = {"dataset": {"name": "celeba", "task": "blond"}, "methods": ["erm"]}
    searched = {"dataset.spurious_strength": {"type": "choice", "values": [1.0, 0.95]}}
    with pytest.raises(LocatedError, match="the task blond keeps the natural counts") as error:
        resolved(RunSpec.model_validate(fixed | {"space": searched}))
    assert error.value.path == ("space", "dataset.spurious_strength")
    both = searched | {"dataset.task": {"type": "choice", "values": ["gender", "blond"]}}
    with pytest.raises(LocatedError, match=r"leave this out \(with dataset.task=blond\)"):
        resolved(RunSpec.model_validate({"dataset": {"name": "celeba"}, "methods": ["erm"], "space": both}))


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
