"""A search space: what is searched and how, as one validated value."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from scale_tune.spec.config import (
    DatasetOptions,
    DigitsOptions,
    Frozen,
    Hyperparameters,
    Lenient,
    LocatedError,
    Method,
    ModelOptions,
    Objective,
    ScaleHyperparameters,
    Schedule,
    Seeds,
    TrialConfig,
    nearest,
)
from scale_tune.spec.mistakes import broken_rule, in_quotes
from scale_tune.spec.parameters import Constant, FloatRange, IntRange, Points, Scalar, Space, with_constants
from scale_tune.spec.yamlfile import Path as KeyPath

SCALE_PARAMETERS = tuple(ScaleHyperparameters.model_fields)


class MethodSpec(Frozen):
    """What one method has of its own."""

    epochs: int | None = Field(default=None, ge=1)
    """Instead of the run's ``epochs``."""
    space: Space = Field(default_factory=dict)
    """Parameters of this method alone, or instead of the shared ones of the same name."""
    try_first: Points | None = None
    """Instead of the run's ``try_first``."""

    _plain_values = field_validator("space", mode="before")(with_constants)


class SchedulerSpec(Frozen):
    """Early stopping of trials.

    ``asha`` compares trials at rungs, ``hyperband`` likewise in brackets whose first rungs are at different epochs;
    ``median`` stops a trial that is below the median of the complete ones at any epoch, once there are five.
    """

    name: Literal["asha", "hyperband", "median", "none"] = "asha"
    grace_period: int = Field(default=1, ge=1)
    """No trial is stopped before this epoch, which is the first rung."""
    reduction_factor: int = Field(default=3, ge=2)
    """Of asha and hyperband: at a rung the best 1/reduction_factor go on; each rung is this many times later."""

    def brackets(self, epochs: int) -> list[int]:
        """Of hyperband, the first rung of each bracket for trials of so many epochs."""
        rungs = [self.grace_period]
        while rungs[-1] * self.reduction_factor < epochs:
            rungs.append(rungs[-1] * self.reduction_factor)
        return rungs


class ResourceSpec(Frozen):
    """What each trial gets, and how many run at once."""

    cpus_per_trial: float = Field(default=1, gt=0)
    gpus_per_trial: float = Field(default=0, ge=0)
    max_concurrent: int | None = Field(default=None, ge=1)
    """None: as many as the cluster has room for."""


class RunSpec(Frozen):
    """A whole search. The fields are the top-level keys of a search space file."""

    dataset: DatasetOptions = DigitsOptions()
    model: ModelOptions = ModelOptions()
    methods: dict[Annotated[Method, Lenient], MethodSpec]
    """The methods to compare, each with a study of its own. In YAML a plain list will do."""
    space: Space = Field(default_factory=dict)
    """Parameters shared by all methods."""
    num_samples: int = Field(default=10, ge=1)
    """Trials of each method. A grid or a list of points has as many as it has points, and this is not used."""
    seeds: Seeds = (0, 1, 2)
    epochs: int = Field(default=20, ge=1)
    schedule: Annotated[Schedule, Lenient] = Schedule.NONE
    objective: Annotated[Objective, Lenient] = Objective.WORST_GROUP
    sampler: Literal["tpe", "random", "grid", "points", "cmaes", "gp", "qmc"] = "tpe"
    """``points`` are those of ``try_first`` and no others. ``cmaes`` and ``qmc`` are for ranges, and draw choices at
    random. ``gp`` learns from complete trials alone."""
    try_first: Points = ()
    """Points to try before any other is drawn, by every method that has none of its own."""
    scheduler: SchedulerSpec = SchedulerSpec()
    search_seed: int = Field(default=0, ge=0)
    """Seed of the sampler's draws."""
    keep_top: int = Field(default=3, ge=1)
    """Of each method, this many of the best completed trials keep their weights."""
    resources: ResourceSpec = ResourceSpec()

    _plain_values = field_validator("space", mode="before")(with_constants)

    @field_validator("methods", mode="before")
    @classmethod
    def _methods_as_mapping(cls, methods: Any) -> Any:
        if isinstance(methods, list):
            methods = {str(method): None for method in methods}
        if not isinstance(methods, dict):
            return methods
        if not methods:
            raise ValueError(f"no method is listed; known are: {', '.join(Method)}")
        for method in methods:
            if method not in list(Method):
                raise LocatedError((method,), f"unknown method; {nearest(method, Method)}")
        return {method: {} if own is None else own for method, own in methods.items()}

    @field_validator("seeds")
    @classmethod
    def _seeds_are_distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice; a repeated seed is the same run again")
        return seeds

    @model_validator(mode="after")
    def _every_parameter_can_be_trained(self) -> Self:
        for name in self.space:
            if name in SCALE_PARAMETERS:
                raise LocatedError(("space", name), "only the method scale has this; move it to methods.scale.space")
            _check_name(("space", name), name, self._shared_parameters)
        for method, own in self.methods.items():
            known = self._shared_parameters + (SCALE_PARAMETERS if method is Method.SCALE else ())
            for name in own.space:
                _check_name(("methods", method.value, "space", name), name, known)
            for name, parameter in self.method_space(method).items():
                is_range = isinstance(parameter, FloatRange | IntRange)
                path = ("methods", method.value, "space", name) if name in own.space else ("space", name)
                if self.sampler == "grid" and is_range:
                    raise LocatedError(path, "the grid sampler needs the values themselves, as a choice or a constant")
                for value in parameter.extremes():
                    self._check_value(path, method, name, value)
        return self

    @model_validator(mode="after")
    def _sampler_has_ranges_to_draw(self) -> Self:
        if self.sampler in ("cmaes", "gp", "qmc"):
            without = [method for method in self.methods if not self.method_ranges(method)]
            if without:
                raise LocatedError(
                    ("sampler",),
                    f"{self.sampler} needs a parameter that is a range, and there is none for {', '.join(without)}; "
                    "add a float or an int, or take tpe, random or grid",
                )
        return self

    @model_validator(mode="after")
    def _points_lie_in_the_space(self) -> Self:
        for method, own in self.methods.items():
            path: KeyPath = ("try_first",) if own.try_first is None else ("methods", method.value, "try_first")
            points = self.method_points(method)
            if points and self.sampler == "grid":
                raise LocatedError(path, "a grid has every point anyway; leave this out")
            if self.sampler == "points":
                self._check_points_are_whole(path, method)
            elif len(points) > self.num_samples:
                rule = f"{len(points)} points are more than the {self.num_samples} trials of {method}"
                raise LocatedError(path, f"{rule}; raise num_samples or list fewer")
            for i, point in enumerate(points):
                if not point:
                    raise LocatedError((*path, i), "the point has no value; give one or leave the point out")
                if point in points[:i]:
                    raise LocatedError((*path, i), "the same point stands twice; list it once")
                for name, value in point.items():
                    self._check_point((*path, i, name), method, name, value)
        return self

    def _check_points_are_whole(self, path: KeyPath, method: Method) -> None:
        drawn = {n for n, p in self.method_space(method).items() if not isinstance(p, Constant)}
        points = self.method_points(method)
        if drawn and not points:
            raise LocatedError(path, f"the sampler points has none for {method}; list some, or take another sampler")
        for i, point in enumerate(points):
            if left_out := sorted(drawn - set(point)):
                raise LocatedError((*path, i), f"the sampler points draws nothing; give {', '.join(left_out)} as well")

    def _check_point(self, path: KeyPath, method: Method, name: str, value: Any) -> None:
        space = self.method_space(method)
        parameter = space.get(name)
        remedy = f"; {method} may have a try_first of its own" if path[0] == "try_first" else ""
        if parameter is None:
            drawn = [n for n, p in space.items() if not isinstance(p, Constant)]
            raise LocatedError(path, f"{method} has no such parameter; {nearest(name, drawn)}{remedy}")
        if isinstance(parameter, Constant):
            raise LocatedError(path, f"{method} has it fixed at {parameter.value!r}; leave it out{remedy}")
        if not parameter.holds(value):
            raise LocatedError(path, f"{method} needs {parameter} here, got {value!r}{in_quotes(value)}{remedy}")

    @property
    def _shared_parameters(self) -> tuple[str, ...]:
        options = (f"dataset.{option}" for option in type(self.dataset).model_fields if option != "name")
        return (*Hyperparameters.model_fields, *options)

    def _check_value(self, path: KeyPath, method: Method, name: str, value: Scalar) -> None:
        others = {n: p.extremes()[0] for n, p in self.method_space(method).items()}
        try:
            self.trial_config(method, {**others, name: value})
        except ValidationError as error:
            for mistake in error.errors():  # those of other parameters are named when it is their turn
                if mistake["loc"][-1] == name.rpartition(".")[2]:
                    raise LocatedError(path, broken_rule(mistake)) from None

    def method_space(self, method: str) -> Space:
        """The shared parameters and the method's own."""
        return {**self.space, **self.methods[Method(method)].space}

    def method_ranges(self, method: str) -> dict[str, FloatRange | IntRange]:
        """The parameters of the method that are numbers between two others."""
        return {n: p for n, p in self.method_space(method).items() if isinstance(p, FloatRange | IntRange)}

    def method_points(self, method: str) -> tuple[dict[str, Any], ...]:
        """The points that the method's first trials try, a point per trial."""
        own = self.methods[Method(method)].try_first
        return self.try_first if own is None else own

    def method_samples(self, method: str) -> int:
        """How many trials the method has."""
        match self.sampler:
            case "grid":
                return math.prod(len(parameter.extremes()) for parameter in self.method_space(method).values())
            case "points":
                return max(1, len(self.method_points(method)))  # all parameters may be constants
            case _:
                return self.num_samples

    @property
    def total_samples(self) -> int:
        """How many trials all methods have."""
        return sum(self.method_samples(method) for method in self.methods)

    def method_epochs(self, method: str) -> int:
        """How long each of the method's trials trains."""
        return self.methods[Method(method)].epochs or self.epochs

    def first_config(self) -> TrialConfig:
        """The config of some trial that might be drawn, for trying out what all of them need."""
        method = next(iter(self.methods))
        return self.trial_config(method, {n: p.extremes()[0] for n, p in self.method_space(method).items()})

    def trial_config(self, method: str, drawn: dict[str, Any]) -> TrialConfig:
        """The config of one trial from a value for every parameter that is not constant."""
        constants = {n: p.value for n, p in self.method_space(method).items() if isinstance(p, Constant)}
        values = {**constants, **drawn}
        dataset = {n.partition(".")[2]: v for n, v in values.items() if n.startswith("dataset.")}
        fields = {
            "method": method,
            "hyperparameters": {n: v for n, v in values.items() if n in Hyperparameters.model_fields},
            "dataset": {**self.dataset.model_dump(mode="json"), **dataset},
            "model": self.model.model_dump(mode="json"),
            "epochs": self.method_epochs(method),
            "seeds": self.seeds,
            "schedule": self.schedule,
            "objective": self.objective,
        }
        if method == Method.SCALE:
            fields["scale"] = {n: v for n, v in values.items() if n in SCALE_PARAMETERS}
        return TrialConfig.model_validate(fields)


def _check_name(path: KeyPath, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise LocatedError(path, f"unknown parameter; {nearest(name, known)}")
