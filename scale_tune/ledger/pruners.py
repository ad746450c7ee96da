"""Which trials are stopped early: pruners for Optuna studies.

A driver may die at any moment, so nothing is kept in memory: pruners decide from the objectives in the study alone.
"""

import math

import optuna
from optuna.trial import FrozenTrial

from scale_tune.spec.space import RunSpec


def pruner(spec: RunSpec, method: str) -> optuna.pruners.BasePruner:
    """What stops trials of the method early."""
    scheduler = spec.scheduler
    match scheduler.name:
        case "asha":
            return SuccessiveHalving(scheduler.grace_period, scheduler.reduction_factor)
        case "hyperband":
            return Hyperband(scheduler.brackets(spec.method_epochs(method)), scheduler.reduction_factor)
        case "median":
            return optuna.pruners.MedianPruner(n_warmup_steps=scheduler.grace_period)
        case "none":
            return optuna.pruners.NopPruner()


class SuccessiveHalving(optuna.pruners.BasePruner):
    """Asynchronous successive halving (Li et al., 2020), from the objectives in the study alone.

    The rungs are at epochs grace_period * reduction_factor ** k. At a rung a trial goes on if its objective is
    among the best 1/reduction_factor (at least one) of all that have reached it. Optuna's own pruner notes a rung
    as passed before it has decided, so that a driver that dies in between forgets the decision; this one keeps no
    state, and decides again.
    """

    def __init__(self, grace_period: int, reduction_factor: int) -> None:
        self.grace_period = grace_period
        self.reduction_factor = reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to be stopped after its last reported epoch."""
        return self.loses(trial, study.get_trials(deepcopy=False))

    def loses(self, trial: FrozenTrial, trials: list[FrozenTrial]) -> bool:
        """Whether the trial is at a rung and not among the best of these that have reached it."""
        epoch = trial.last_step
        if epoch is None or not self.is_rung(epoch):
            return False
        own = trial.intermediate_values[epoch]
        reached = [value for other in trials if (value := other.intermediate_values.get(epoch)) is not None]
        promoted = max(1, len(reached) // self.reduction_factor)
        return sum(value > own for value in reached) >= promoted

    def is_rung(self, epoch: int) -> bool:
        """Whether trials are compared after this epoch."""
        rung = self.grace_period
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch


class Hyperband(optuna.pruners.BasePruner):
    """Hyperband (Li et al., 2018) over successive halving: some trials are given more epochs before the first rung.

    Each trial belongs to a bracket by its number, and is compared with the trials of its bracket alone. Brackets that
    stop trials earlier have more of them, in Hyperband's proportions, and take turns.

    Args:
        grace_periods: the first rung of each bracket.
        reduction_factor: of the trials at a rung, the best 1/reduction_factor go on.
    """

    def __init__(self, grace_periods: list[int], reduction_factor: int) -> None:
        self.brackets = [SuccessiveHalving(grace_period, reduction_factor) for grace_period in grace_periods]
        n = len(grace_periods)
        sizes = [math.ceil(n * reduction_factor**s / (s + 1)) for s in reversed(range(n))]
        # Each bracket's turns are spread evenly over the cycle.
        turns = sorted(((i + 0.5) / size, bracket) for bracket, size in enumerate(sizes) for i in range(size))
        self.cycle = [bracket for _, bracket in turns]

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to be stopped after its last reported epoch."""
        bracket = self.bracket(trial.number)
        fellows = [t for t in study.get_trials(deepcopy=False) if self.bracket(t.number) == bracket]
        return self.brackets[bracket].loses(trial, fellows)

    def bracket(self, number: int) -> int:
        """The bracket of a trial."""
        return self.cycle[number % len(self.cycle)]
