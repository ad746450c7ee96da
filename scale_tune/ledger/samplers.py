"""How parameters are drawn: samplers for Optuna studies.

A driver may die at any moment, so nothing is kept in memory: each trial has a sampler of its own, which draws from
the study and the trial's number alone.
"""

import logging
import math
import warnings
from abc import abstractmethod
from collections import defaultdict
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from scale_tune.ledger.studies import trial_id
from scale_tune.seeding import derive_seed
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from scale_tune.spec.space import RunSpec


def sampler(spec: RunSpec, method: str, number: int, storage: BaseStorage) -> optuna.samplers.BaseSampler:
    """What draws the parameters of the method's trial of this number.

    It is made for this trial alone, as its seed depends on the number: whenever and however often a driver is
    restarted, no draw is repeated.

    Args:
        spec: what is searched.
        method: whose parameters.
        number: of the trial.
        storage: that holds the method's study; some note there what a later trial's draw depends on.
    """
    seed = derive_seed("sampler", spec.search_seed, method, number) % 2**32
    drawing = _sampler(spec, method, seed, storage)
    points = spec.method_points(method)
    if number >= len(points):
        return drawing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(points[number], drawing)


def _sampler(spec: RunSpec, method: str, seed: int, storage: BaseStorage) -> optuna.samplers.BaseSampler:
    match spec.sampler:
        case "tpe":
            # constant_liar: running trials count as bad, so that parallel draws keep apart from each other.
            return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)
        case "random" | "points":  # whose points are whole: nothing is left to draw
            return optuna.samplers.RandomSampler(seed=seed)
        case "grid":
            choices = {n: list(p.values) for n, p in spec.method_space(method).items() if isinstance(p, Choice)}
            # Trial n is point n of an order drawn from the seed: a restart must go on in the same order.
            return _Grid(choices, seed=derive_seed("grid", spec.search_seed) % 2**32)
        case "cmaes":
            return _CmaEs(spec.method_ranges(method), seed, storage)
        case "gp":
            # It warns of doing without greenlet, which would only make it faster. Optuna has no other way to silence
            # one warning; should the logger get another name, it is shown.
            logging.getLogger("optuna._gp.batched_lbfgsb").setLevel(logging.ERROR)
            return optuna.samplers.GPSampler(seed=seed)
        case "qmc":
            # Trial n is point n of one sequence, which its scrambling determines.
            return _Sobol(spec.method_ranges(method), seed, derive_seed("qmc", spec.search_seed, method))


def distributions(spec: RunSpec, method: str) -> dict[str, BaseDistribution]:
    """From what a method's trials are drawn: every parameter that is not constant."""
    space = spec.method_space(method)
    return {name: distribution(p) for name, p in space.items() if not isinstance(p, Constant)}


def distribution(parameter: FloatRange | IntRange | Choice) -> BaseDistribution:
    """The parameter in Optuna's words."""
    match parameter:
        case FloatRange():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case IntRange():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case Choice():
            return CategoricalDistribution(parameter.values)


def suggest(trial: optuna.Trial, name: str, parameter: FloatRange | IntRange | Choice | Constant) -> None:
    """Have the study's sampler draw the parameter, unless it is a constant or the trial has it already."""
    match parameter:
        case FloatRange():
            trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        case IntRange():
            trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log)
        case Choice():
            trial.suggest_categorical(name, parameter.values)


class _Grid(optuna.samplers.GridSampler):
    """Every point once, in an order drawn from the seed."""

    def after_trial(self, *arguments: Any) -> None:
        """Nothing: Optuna would end its own loop after the last point, and there is none."""


class _RangeSampler(optuna.samplers.RandomSampler):
    """Draws the ranges together, as a point of the unit cube, and all other parameters at random.

    Optuna's samplers of this kind learn from the trials what ranges there are, and draw at random until then.
    """

    def __init__(self, ranges: dict[str, FloatRange | IntRange], seed: int) -> None:
        super().__init__(seed=seed)
        self.ranges = ranges
        self.seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The ranges."""
        return {name: distribution(range_) for name, range_ in self.ranges.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A value of each range that is asked for; those that a point to try first fixes are not."""
        point = self.draw(study, trial)
        values = {name: _from_unit(r, u) for (name, r), u in zip(self.ranges.items(), point.tolist(), strict=True)}
        return {name: values[name] for name in search_space}

    @abstractmethod
    def draw(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.float64]:
        """A point of the unit cube with a coordinate for each range."""


class _CmaEs(_RangeSampler):
    """Covariance matrix adaptation (Hansen, 2016).

    Optuna's keeps the optimizer in the study, as a pickle in several pieces, and a driver may die between them. Here
    a trial remembers only the generation it was drawn in, and a new optimizer is told all generations again.
    """

    GENERATION = "cmaes:generation"

    def __init__(self, ranges: dict[str, FloatRange | IntRange], seed: int, storage: BaseStorage) -> None:
        super().__init__(ranges, seed)
        self.storage = storage

    def draw(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.float64]:
        """From the distribution that the trials so far lead to."""
        import cmaes  # slow to import, like SciPy

        n = len(self.ranges)
        bounds = np.tile([0.0, 1.0], (n, 1))
        optimizer = cmaes.CMA(mean=np.full(n, 0.5), sigma=1 / 6, bounds=bounds, seed=self.seed)
        generations = defaultdict(list)
        for ended in _ended(study):
            point = np.array([_to_unit(range_, ended.params[name]) for name, range_ in self.ranges.items()])
            generations[ended.system_attrs.get(self.GENERATION)].append((point, -ended.values[0]))
        # Of parallel trials more than a population may be of one generation; the first to end make the next.
        while len(generation := generations[optimizer.generation]) >= optimizer.population_size:
            optimizer.tell(generation[: optimizer.population_size])
        drawn_for = trial_id(self.storage, study, trial.number)
        self.storage.set_trial_system_attr(drawn_for, self.GENERATION, optimizer.generation)
        drawn: NDArray[np.float64] = optimizer.ask()
        return drawn


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """The complete and the pruned trials, in the order in which they ended."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return sorted(ended, key=lambda trial: trial.datetime_complete or datetime.min)


class _Sobol(_RangeSampler):
    """Trial n is point n of a scrambled Sobol sequence.

    Optuna's counts in the study how many points it has drawn, and a driver that dies over a trial uses one up.
    """

    def __init__(self, ranges: dict[str, FloatRange | IntRange], seed: int, scramble: int) -> None:
        super().__init__(ranges, seed)
        self.scramble = scramble

    def draw(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.float64]:
        """The point of the trial's number."""
        from scipy.stats import qmc  # slow to import

        sequence = qmc.Sobol(len(self.ranges), rng=self.scramble)
        if trial.number:  # SciPy can't forward by 0
            sequence.fast_forward(trial.number)
        point: NDArray[np.float64] = sequence.random()[0]
        return point


def _from_unit(range_: FloatRange | IntRange, u: float) -> float | int:
    """The value at a fraction of the range; whole numbers share it evenly."""
    low, high = _ends(range_)
    value = low + u * (high - low)
    if range_.log:
        value = math.exp(value)
    whole = round(value) if isinstance(range_, IntRange) else value
    return min(max(whole, range_.low), range_.high)


def _to_unit(range_: FloatRange | IntRange, value: float) -> float:
    """The fraction of the range at which a value lies."""
    low, high = _ends(range_)
    return ((math.log(value) if range_.log else value) - low) / (high - low)


def _ends(range_: FloatRange | IntRange) -> tuple[float, float]:
    """The ends of the axis on which a range is drawn evenly."""
    margin = 0.5 if isinstance(range_, IntRange) else 0.0
    low, high = range_.low - margin, range_.high + margin
    return (math.log(low), math.log(high)) if range_.log else (low, high)
