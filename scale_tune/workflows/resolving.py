"""A search space held against the datasets and methods that it names: what passes here can be drawn and loaded.

:class:`scale_tune.spec.space.RunSpec` checks what can be said of a search without them. Here every option is checked by
the class that it belongs to, in every corner of the space, and those that the search leaves out are written into it.
(A space with more corners than :data:`MAX_CORNERS` is looked at as far as :func:`corners` says.)
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, islice, product
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from scale_tune.datasets import dataset_class
from scale_tune.errors import UserError
from scale_tune.methods import Method, method_class, registered_methods
from scale_tune.spec.config import Hyperparameters
from scale_tune.spec.frozen import LocatedError, Scalar, unknown
from scale_tune.spec.mistakes import broken_rule
from scale_tune.spec.parameters import Constant, Parameter
from scale_tune.spec.space import DATASET, RunSpec
from scale_tune.spec.yamlfile import Path as KeyPath

Found = TypeVar("Found")
MAX_CORNERS = 100_000
"""Of one method's options or one dataset's; further ones are not looked at, see :func:`corners`."""


def resolved(spec: RunSpec) -> RunSpec:
    """The search with every option of its dataset and methods, after all of them were checked.

    Raises:
        LocatedError: what it says of a dataset or method can't be, with the keys that lead there.
    """
    dataset = _found(("dataset",), dataset_class, spec.dataset.name, spec.dataset.file).Options
    options = {method: _class(spec, method).Options for method in spec.methods}
    _check_names(spec, dataset, options)
    for method in spec.methods:
        of_hyperparameters, of_method, of_dataset = _by_owner(spec, method)
        _check_corners(spec, method, Hyperparameters, {}, of_hyperparameters)
        _check_corners(spec, method, options[method], {}, of_method)
        _check_corners(spec, method, dataset, spec.dataset.options, of_dataset, DATASET)
    plain = spec.model_dump(mode="json")
    searched = {n.removeprefix(DATASET) for m in spec.methods for n in spec.method_space(m) if n.startswith(DATASET)}
    plain["dataset"] |= _defaults(dataset, searched | set(spec.dataset.options))
    for method, cls in options.items():
        left_out = _defaults(cls, spec.method_space(method))
        plain["methods"][method]["space"] |= {n: {"type": "constant", "value": v} for n, v in left_out.items()}
    return RunSpec.model_validate(plain)


def preparation(spec: RunSpec) -> dict[str, list[int]]:
    """Of each method of a resolved search, how many epochs its trials may prepare before those that count."""
    found = {}
    for method in spec.methods:
        cls = _class(spec, method)
        of_method = _by_owner(spec, method)[1]
        found[method] = [cls.prepares(cls.Options.model_validate(corner)) for corner in corners(of_method)]
    return found


def corners(parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Scalar]]:
    """The combinations of extreme values: every one of choices, the ends of ranges and, of whole numbers, between.

    Each comes once, and those that differ from the first values in fewer parameters come earlier: every value of every
    parameter beside the first ones of the others, then every two values of two parameters, and so on. Up to
    :data:`MAX_CORNERS` these are all. Of more, what is certain to be among them is every value of every parameter; a
    mistake that takes several together may be missed.
    """
    return islice(_by_distance(parameters), MAX_CORNERS)


def _by_distance(parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Scalar]]:
    values = {name: parameter.extremes() for name, parameter in parameters.items()}
    first = {name: of[0] for name, of in values.items()}
    varied = [name for name, of in values.items() if len(of) > 1]
    for number in range(len(varied) + 1):
        for names in combinations(varied, number):
            for point in product(*(values[name][1:] for name in names)):
                yield first | dict(zip(names, point, strict=True))


def _class(spec: RunSpec, method: str) -> type[Method]:
    own, path = spec.methods[method], ("methods", method)
    if own.variant_of is None:
        return _found(path, method_class, method, own.file)
    names = [name for name, _ in registered_methods()]
    if own.file is not None:
        raise LocatedError((*path, "variant_of"), "a file's method may have any name; leave this out")
    if method in names:
        raise LocatedError((*path, "variant_of"), f"{method} is a method of its own; give the variant another name")
    return _found((*path, "variant_of"), method_class, own.variant_of, None)


def _by_owner(spec: RunSpec, method: str) -> tuple[dict[str, Parameter], ...]:
    """The parameters of the hyperparameters that all methods have, of the method's own, and of the dataset's."""
    owned: tuple[dict[str, Parameter], ...] = ({}, {}, {})
    for name, parameter in spec.method_space(method).items():
        owner = 2 if name.startswith(DATASET) else 0 if name in Hyperparameters.model_fields else 1
        owned[owner][name.removeprefix(DATASET)] = parameter
    return owned


def _check_names(spec: RunSpec, dataset: type[BaseModel], options: Mapping[str, type[BaseModel]]) -> None:
    for name in spec.dataset.options:
        if name not in dataset.model_fields:
            raise LocatedError(("dataset", name), unknown("option", name, dataset.model_fields))
    shared = [*Hyperparameters.model_fields, *(f"{DATASET}{option}" for option in dataset.model_fields)]
    for name in spec.space:
        if owners := [method for method, own in options.items() if name in own.model_fields and name not in shared]:
            verb = "has" if len(owners) == 1 else "have"
            move = " and ".join(f"methods.{owner}.space" for owner in owners)
            raise LocatedError(("space", name), f"only {', '.join(owners)} {verb} this; move it to {move}")
        _check_name(("space", name), name, shared)
    for method, own in spec.methods.items():
        for name in own.space:
            _check_name(("methods", method, "space", name), name, [*shared, *options[method].model_fields])


def _check_name(path: KeyPath, name: str, known: list[str]) -> None:
    if name not in known:
        raise LocatedError(path, unknown("parameter", name, known))


def _check_corners(
    spec: RunSpec,
    method: str,
    model: type[BaseModel],
    fixed: Mapping[str, Any],
    parameters: Mapping[str, Parameter],
    prefix: str = "",
) -> None:
    """See that a class takes every corner of its options.

    Args:
        spec: what is searched.
        method: whose space the parameters are of.
        model: the class.
        fixed: what the search gives it anyway.
        parameters: what the search draws.
        prefix: before their names in the space.
    """
    for corner in corners(parameters):
        try:
            model.model_validate({**fixed, **corner})
        except ValidationError as error:
            path, rule = _mistake(error)
            option = str(path[0]) if path else ""
            drawn = {n: v for n, v in corner.items() if n != option and not isinstance(parameters[n], Constant)}
            beside = f" (with {', '.join(f'{prefix}{n}={v}' for n, v in drawn.items())})" if drawn else ""
            if option in parameters:
                raise LocatedError(spec.parameter_path(method, prefix + option), rule + beside) from None
            if prefix:
                raise LocatedError(("dataset", *path), rule + beside) from None
            raise LocatedError(("methods", method, "space", *path), rule + beside) from None


def _mistake(error: ValidationError) -> tuple[KeyPath, str]:
    """Where the first mistake is, and what it is."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    deeper = cause.path if isinstance(cause, LocatedError) else ()
    return (*first["loc"], *deeper), broken_rule(first)


def _defaults(model: type[BaseModel], given: Any) -> dict[str, Any]:
    """The options that are not given, as plain data; those that must be given are not among them."""
    left_out = {n for n, field in model.model_fields.items() if n not in given and not field.is_required()}
    found: dict[str, Any] = model.model_construct().model_dump(mode="json", include=left_out)
    return {name: value for name, value in found.items() if value is not None}


def _found(path: KeyPath, find: Callable[[str, str | None], Found], name: str, file: str | None) -> Found:
    """What is known by a name, or what is wrong with it at a place of the search space."""
    try:
        return find(name, file)
    except UserError as error:
        raise LocatedError(path, str(error)) from None
