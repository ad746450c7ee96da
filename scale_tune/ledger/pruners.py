"""Which trials are stopped early: pruners for Optuna studies.

A driver may die at any moment, so pruners decide from the objectives in the study alone; all that they keep in memory
are those of trials that have ended, which can't change. What they decide is a pure function of these, for one trial or
for many at once: a replay of a finished search (:mod:`scale_tune.economy.replay`) asks the same one.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from scale_tune.accuracies import Flags, Floats, Integers
from scale_tune.spec.scheduler import SchedulerSpec
from scale_tune.spec.space import RunSpec


def pruner(spec: RunSpec, method: str) -> "Pruner":
    """What stops trials of the method early."""
    return pruner_of(spec.scheduler, spec.method_epochs(method))


def pruner_of(scheduler: SchedulerSpec, epochs: int) -> "Pruner":
    """What stops trials of so many epochs early."""
    match scheduler.name:
        case "asha":
            return SuccessiveHalving(scheduler.grace_period, scheduler.reduction_factor)
        case "hyperband":
            return Hyperband(scheduler.brackets(epochs), scheduler.reduction_factor)
        case "median":
            return Median(scheduler.grace_period)
        case "none":
            return Never()


class Pruner(optuna.pruners.BasePruner):
    """Stops a trial after some of its epochs, by how its objective then compares with those of its bracket's trials."""

    complete_alone = False
    """Whether it is compared with complete trials; else with all that have reached the epoch, itself among them."""

    def __init__(self) -> None:
        self._reached: dict[int, _Reached] = {}
        """By epoch, of the one study that it is asked about."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to be stopped after its last reported epoch."""
        epoch = trial.last_step
        if epoch is None or not self.compares(trial.number, epoch):
            return False
        reached = self._reached.setdefault(epoch, _Reached(epoch, self.bracket))
        reached.look(study.get_trials(deepcopy=False))
        fellows = np.array(reached.brackets) == self.bracket(trial.number)
        if self.complete_alone:
            fellows &= np.array(reached.complete)
        objective = np.array(trial.intermediate_values[epoch])
        return bool(self.stops(objective, np.array(reached.objectives)[fellows], fellows.sum()))

    @abstractmethod
    def compares(self, number: int, epoch: int) -> bool:
        """Whether the trial of this number may be stopped after this epoch."""

    @abstractmethod
    def stops(self, objective: Floats, reached: Floats, fellows: Integers) -> Flags:
        """Whether trials are to be stopped.

        Args:
            objective: what each has after its epoch, of shape (…).
            reached: what those have that each is compared with, after the same epoch, of shape (…, fellows); NaN of
                one that has not reached it.
            fellows: how many these are, of shape (…).

        Returns:
            Of shape (…).
        """

    def bracket(self, number: int) -> int:
        """The bracket of the trial of this number."""
        return 0


class _Reached:
    """What a study's trials have after an epoch, in their order; those that have ended are not looked at again.

    Args:
        epoch: after which.
        bracket: of a trial, by its number.
    """

    def __init__(self, epoch: int, bracket: Callable[[int], int]) -> None:
        self.objectives: list[float] = []
        """NaN of one that has not reached it."""
        self.complete: list[bool] = []
        self.brackets: list[int] = []
        self._epoch, self._bracket = epoch, bracket
        self._open: list[int] = []

    def look(self, trials: Sequence[FrozenTrial]) -> None:
        """At all trials of the study."""
        new = range(len(self.objectives), len(trials))
        self.objectives += [math.nan] * len(new)
        self.complete += [False] * len(new)
        self.brackets += map(self._bracket, new)
        self._open += new
        for number in self._open:
            self.objectives[number] = trials[number].intermediate_values.get(self._epoch, math.nan)
            self.complete[number] = trials[number].state is TrialState.COMPLETE
        self._open = [number for number in self._open if not trials[number].state.is_finished()]


class Never(Pruner):
    """Trains every trial to its end."""

    def compares(self, number: int, epoch: int) -> bool:
        """Never."""
        return False

    def stops(self, objective: Floats, reached: Floats, fellows: Integers) -> Flags:
        """No."""
        return np.zeros(objective.shape, bool)


class SuccessiveHalving(Pruner):
    """Asynchronous successive halving (Li et al., 2020), from the objectives in the study alone.

    The rungs are at epochs grace_period * reduction_factor ** k. At a rung a trial goes on if its objective is
    among the best 1/reduction_factor (at least one) of all that have reached it. Optuna's own pruner notes a rung
    as passed before it has decided, so that a driver that dies in between forgets the decision; this one keeps no
    state, and decides again.
    """

    def __init__(self, grace_period: int, reduction_factor: int) -> None:
        super().__init__()
        self.grace_period = grace_period
        self.reduction_factor = reduction_factor

    def compares(self, number: int, epoch: int) -> bool:
        """At a rung."""
        return self.is_rung(epoch)

    def stops(self, objective: Floats, reached: Floats, fellows: Integers) -> Flags:
        """Those that are not among the best."""
        promoted = np.maximum(1, (~np.isnan(reached)).sum(axis=-1) // self.reduction_factor)
        beaten: Flags = (reached > objective[..., None]).sum(axis=-1) >= promoted
        return beaten

    def is_rung(self, epoch: int) -> bool:
        """Whether trials are compared after this epoch."""
        rung = self.grace_period
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch


class Hyperband(Pruner):
    """Hyperband (Li et al., 2018) over successive halving: some trials are given more epochs before the first rung.

    Each trial belongs to a bracket by its number, and is compared with the trials of its bracket alone. Brackets that
    stop trials earlier have more of them, in Hyperband's proportions, and take turns.

    Args:
        grace_periods: the first rung of each bracket.
        reduction_factor: of the trials at a rung, the best 1/reduction_factor go on.
    """

    def __init__(self, grace_periods: list[int], reduction_factor: int) -> None:
        super().__init__()
        self.brackets = [SuccessiveHalving(grace_period, reduction_factor) for grace_period in grace_periods]
        n = len(grace_periods)
        sizes = [math.ceil(n * reduction_factor**s / (s + 1)) for s in reversed(range(n))]
        # Each bracket's turns are spread evenly over the cycle.
        turns = sorted(((i + 0.5) / size, bracket) for bracket, size in enumerate(sizes) for i in range(size))
        self.cycle = [bracket for _, bracket in turns]

    def compares(self, number: int, epoch: int) -> bool:
        """At a rung of its bracket."""
        return self.brackets[self.bracket(number)].is_rung(epoch)

    def stops(self, objective: Floats, reached: Floats, fellows: Integers) -> Flags:
        """As successive halving does, with the same reduction factor in each bracket."""
        return self.brackets[0].stops(objective, reached, fellows)

    def bracket(self, number: int) -> int:
        """The bracket of a trial."""
        return self.cycle[number % len(self.cycle)]


class Median(Pruner):
    """Median stopping (Golovin et al., 2017): what is below the median of the complete trials, once there are five.

    It decides as Optuna's median pruner does where objectives never fall from epoch to epoch, as those of a search.
    """

    complete_alone = True
    LEAST = 5
    """Complete trials without which nothing is stopped."""

    def __init__(self, grace_period: int) -> None:
        super().__init__()
        self.grace_period = grace_period

    def compares(self, number: int, epoch: int) -> bool:
        """After every epoch from the grace period on."""
        return epoch >= self.grace_period

    def stops(self, objective: Floats, reached: Floats, fellows: Integers) -> Flags:
        """Those below the median."""
        ordered = np.sort(reached, axis=-1)  # NaN last
        n = (~np.isnan(ordered)).sum(axis=-1)
        if not ordered.shape[-1]:
            return np.zeros(objective.shape, bool)
        below, above = (
            np.take_along_axis(ordered, np.maximum(at, 0)[..., None], -1)[..., 0] for at in ((n - 1) // 2, n // 2)
        )
        # Rounded as NumPy's percentiles are.
        median = np.where(below == above, below, above - (above - below) * 0.5)
        stopped: Flags = (objective < median) & (fellows >= self.LEAST) & (n > 0)
        return stopped
