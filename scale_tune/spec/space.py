"""A search space: what is searched and how, as one validated value."""

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from scale_tune.spec.config import (
    DatasetConfig,
    Hyperparameters,
    ModelOptions,
    Objective,
    Race,
    Schedule,
    Seeds,
    Splits,
    TrackerName,
    TrialConfig,
    seeds_in,
)
from scale_tune.spec.frozen import MANY, MOST, Frozen, Lenient, LocatedError, nearest
from scale_tune.spec.mistakes import in_quotes
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange, Points, Space, with_constants
from scale_tune.spec.scheduler import SchedulerSpec
from scale_tune.spec.yamlfile import Path as KeyPath

DATASET = "dataset."
"""Before the name of a parameter that is an option of the dataset."""
LEAST_SHARE = 1e-4
"""Of a CPU or a GPU, as Ray deals them out."""


class MethodSpec(Frozen):
    """What one method has of its own."""

    file: str | None = None
    """The Python file that defines it, if the package does not."""
    variant_of: str | None = None
    """The method of the package that this is, under a name of its own: so that one method may stand in a comparison
    with several spaces."""
    epochs: int | None = Field(default=None, ge=1, le=MANY)
    """Instead of the run's ``epochs``."""
    space: Space = Field(default_factory=dict)
    """Parameters of this method alone, or instead of the shared ones of the same name."""
    try_first: Points | None = None
    """Instead of the run's ``try_first``."""

    _plain_values = field_validator("space", mode="before")(with_constants)


class ResourceSpec(Frozen):
    """What each trial gets, and how many run at once."""

    cpus_per_trial: float = Field(default=1, ge=LEAST_SHARE, le=MANY)
    """CPU cores of each trial."""
    gpus_per_trial: float = Field(default=0, ge=0, le=MANY)
    """GPUs of each trial; with 0.25, four share one."""
    max_concurrent: int | None = Field(default=None, ge=1, le=MANY)
    """Trials at once; left out, as many as the cluster has room for."""

    @field_validator("gpus_per_trial")
    @classmethod
    def _gpus_can_be_given(cls, gpus: float) -> float:
        if 0 < gpus < LEAST_SHARE:
            raise ValueError(f"a trial gets none, or at least {LEAST_SHARE:g} of a GPU, got {gpus!r}")
        if gpus > 1 and not gpus.is_integer():
            raise ValueError(f"more than one is a whole number of GPUs, got {gpus!r}; round it")
        return gpus


class RunSpec(Frozen):
    """A whole search. The fields are the top-level keys of a search space file."""

    dataset: DatasetConfig = DatasetConfig(name="digits")
    """What is trained on, by name, with its options."""
    model: ModelOptions = ModelOptions()
    """The network and its initial weights."""
    methods: dict[str, MethodSpec]
    """The methods to compare, each with a study of its own. In YAML a plain list will do."""
    space: Space = Field(default_factory=dict)
    """Parameters shared by all methods."""
    num_samples: int = Field(default=10, ge=1, le=MANY)
    """Trials of each method. A grid or a list of points has as many as it has points, and this is not used."""
    seeds: Seeds = (0, 1, 2)
    """Each trial is trained once for each, side by side, and reports their mean."""
    splits: Annotated[Splits, Lenient] = Splits.SHARED
    """``shared``: all seeds have one division of the data; ``per_seed``: each draws its own, as published."""
    epochs: int = Field(default=20, ge=1, le=MANY)
    """How long a trial trains: how often over train, or over target where a method learns from target alone."""
    schedule: Annotated[Schedule, Lenient] = Schedule.NONE
    """The learning rate over the epochs: ``none`` keeps it, ``cosine`` brings it down towards 0."""
    objective: Annotated[Objective, Lenient] = Objective.WORST_GROUP
    """The accuracy on val that is maximised, and that selects epochs, configs and DFR's C. ``worst_group`` is the
    lowest of the groups', ``minority`` and ``majority`` are those of samples whose attribute goes against and with
    their label, ``train_weighted`` weights the groups by their share of train, ``worst_class`` needs no attribute."""
    sampler: Literal["tpe", "random", "grid", "points", "cmaes", "gp", "qmc"] = "tpe"
    """How configs are drawn. ``points`` are those of ``try_first`` and no others. ``cmaes`` and ``qmc`` are for ranges,
    and draw choices at random. ``gp`` learns from complete trials alone."""
    try_first: Points = ()
    """Points to try before any other is drawn, by every method that has none of its own."""
    scheduler: SchedulerSpec = SchedulerSpec()
    """Early stopping of trials."""
    search_seed: int = Field(default=0, ge=0, le=MOST)
    """Seed of the sampler's draws."""
    keep_top: int = Field(default=3, ge=1, le=MANY)
    """Of each method on each dataset, this many of the best completed trials keep their weights."""
    resources: ResourceSpec = ResourceSpec()
    """What each trial gets, and how many run at once."""
    track: Annotated[tuple[TrackerName, ...], Lenient] = ()
    """Trackers that show the search while it runs, as ``[tensorboard, wandb]``; ``docs/tracking.md`` has them all."""

    _plain_values = field_validator("space", mode="before")(with_constants)

    @field_validator("methods", mode="before")
    @classmethod
    def _methods_as_mapping(cls, methods: Any) -> Any:
        if isinstance(methods, list):
            methods = {str(method): None for method in methods}
        if not isinstance(methods, dict):
            return methods
        if not methods:
            raise ValueError("no method is listed; name at least one")
        for method in methods:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", str(method)):
                raise LocatedError((method,), "a method's name is of small letters, digits and _, as group_dro")
        return {method: {} if own is None else own for method, own in methods.items()}

    @field_validator("track", mode="before")
    @classmethod
    def _trackers_are_known(cls, track: Any) -> Any:
        if not isinstance(track, list | tuple):
            return track
        for i, name in enumerate(track):
            if name not in list(TrackerName):
                raise LocatedError((i,), f"there is no tracker {name!r}; {nearest(name, TrackerName)}")
            if name in track[:i]:
                raise LocatedError((i,), f"{name} stands twice; list it once")
        return tuple(map(TrackerName, track))

    @field_validator("seeds")
    @classmethod
    def _seeds_are_distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ValueError(f"{seed} stands twice, but a repeated seed is the same run again; list it once")
        return seeds

    @model_validator(mode="after")
    def _grids_have_points(self) -> Self:
        for method in self.methods if self.sampler == "grid" else ():
            for name in self.method_ranges(method):
                path = self.parameter_path(method, name)
                raise LocatedError(path, "the grid sampler needs the values themselves, as a choice or a constant")
        return self

    @model_validator(mode="after")
    def _trials_can_be_counted(self) -> Self:
        for method in self.methods:
            if (trials := self.method_samples(method)) > MANY:
                remedy = "list fewer values" if self.sampler == "grid" else "list fewer points"
                raise LocatedError(("sampler",), f"{method} would have {trials:,} trials, more than {MANY:,}; {remedy}")
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
    def _seeds_can_join(self) -> Self:
        path, first = ("scheduler", "first_seeds"), self.scheduler.first_seeds
        if first is None:
            return self
        if first > len(self.seeds):
            rule = f"{first} seeds are to begin, but a trial has {len(self.seeds)}"
            raise LocatedError(path, f"{rule}; list more seeds, or lower it")
        for method in self.methods:
            if (epochs := self.method_epochs(method)) <= self.scheduler.grace_period:
                raise LocatedError(
                    path,
                    f"{method} has no rung, after which the other seeds could join, before its last epoch {epochs}; "
                    f"lower the grace_period of {self.scheduler.grace_period}, or leave first_seeds out (null)",
                )
        return self

    @model_validator(mode="after")
    def _points_lie_in_the_space(self) -> Self:
        for method, own in self.methods.items():
            path: KeyPath = ("try_first",) if own.try_first is None else ("methods", method, "try_first")
            points = self.method_points(method)
            if points and self.sampler == "grid":
                raise LocatedError(path, "a grid has every point anyway; leave this out")
            if self.sampler == "points":
                self._check_points_are_whole(path, method)
            elif len(points) > self.num_samples:
                rule = f"{len(points)} points are more than the {self.num_samples} trials of {method}"
                raise LocatedError(path, f"{rule}; raise num_samples or list fewer")
            known: set[frozenset[tuple[str, Any]]] = set()
            for i, point in enumerate(points):
                if not point:
                    raise LocatedError((*path, i), "the point has no value; give one or leave the point out")
                for name, value in point.items():
                    self._check_point((*path, i, name), method, name, value)
                if (same := frozenset(point.items())) in known:
                    raise LocatedError((*path, i), "the same point stands twice; list it once")
                known.add(same)
        return self

    def _check_points_are_whole(self, path: KeyPath, method: str) -> None:
        drawn = {n for n, p in self.method_space(method).items() if not isinstance(p, Constant)}
        points = self.method_points(method)
        if drawn and not points:
            raise LocatedError(path, f"the sampler points has none for {method}; list some, or take another sampler")
        for i, point in enumerate(points):
            if left_out := sorted(drawn - set(point)):
                raise LocatedError((*path, i), f"the sampler points draws nothing; give {', '.join(left_out)} as well")

    def _check_point(self, path: KeyPath, method: str, name: str, value: Any) -> None:
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
    def files(self) -> set[str]:
        """The names of the users' Python files that it needs."""
        named = [self.dataset.file, self.model.file, *(own.file for own in self.methods.values())]
        return {file.partition(":")[0] for file in named if file is not None}

    def parameter_path(self, method: str, name: str) -> KeyPath:
        """The keys that lead to a parameter of the method."""
        own = name in self.methods[method].space
        return ("methods", method, "space", name) if own else ("space", name)

    def algorithm(self, method: str) -> tuple[str, str | None]:
        """The name of what trains a method's trials, and the user's file that defines it, if one does."""
        own = self.methods[method]
        return own.variant_of or method, own.file

    def method_space(self, method: str) -> Space:
        """The shared parameters and the method's own."""
        return {**self.space, **self.methods[method].space}

    def method_ranges(self, method: str) -> dict[str, FloatRange | IntRange]:
        """The parameters of the method that are numbers between two others."""
        return {n: p for n, p in self.method_space(method).items() if isinstance(p, FloatRange | IntRange)}

    def method_points(self, method: str) -> tuple[dict[str, Any], ...]:
        """The points that the method's first trials try, a point per trial."""
        own = self.methods[method].try_first
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
        return self.methods[method].epochs or self.epochs

    def race(self, method: str) -> Race | None:
        """How the seeds of the method's trials race; None if all of them begin at once."""
        first = self.scheduler.first_seeds
        if first is None or first == len(self.seeds):
            return None
        return Race(first_seeds=first, join_after=self.scheduler.brackets(self.method_epochs(method))[-1])

    def seeds_in(self, method: str, epoch: int) -> int:
        """How many seeds of the method's trials train an epoch, see :func:`scale_tune.spec.config.seeds_in`."""
        return seeds_in(self.seeds, self.race(method), epoch)

    def searched_data(self, method: str, drawn: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        """The options of the dataset that are searched as choices, with their values in a trial.

        Accuracies on different data can't be compared, so trials that differ here are selected apart. An option that is
        drawn from a range is a hyperparameter like any other.
        """
        space = self.method_space(method)
        return tuple((n, drawn[n]) for n, p in space.items() if n.startswith(DATASET) and isinstance(p, Choice))

    def first_config(self, method: str) -> TrialConfig:
        """The config of some trial of the method that might be drawn, for trying out what all of them need."""
        return self.trial_config(method, {n: p.extremes()[0] for n, p in self.method_space(method).items()})

    def trial_config(self, method: str, drawn: dict[str, Any]) -> TrialConfig:
        """The config of one trial from a value for every parameter that is not constant."""
        constants = {n: p.value for n, p in self.method_space(method).items() if isinstance(p, Constant)}
        values = {**constants, **drawn}
        of_dataset = {n.removeprefix(DATASET): v for n, v in values.items() if n.startswith(DATASET)}
        return TrialConfig.model_validate(
            {
                "method": method,
                "file": self.methods[method].file,
                "variant_of": self.methods[method].variant_of,
                "hyperparameters": {n: v for n, v in values.items() if n in Hyperparameters.model_fields},
                "options": {
                    n: v for n, v in values.items() if n not in Hyperparameters.model_fields and DATASET not in n
                },
                "dataset": {**self.dataset.model_dump(mode="json"), **of_dataset},
                "model": self.model.model_dump(mode="json"),
                "epochs": self.method_epochs(method),
                "seeds": self.seeds,
                "splits": self.splits,
                "race": self.race(method),
                "schedule": self.schedule,
                "objective": self.objective,
            }
        )
