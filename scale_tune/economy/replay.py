"""A search replayed from what its configs reached: in other orders, with other early stopping, fewer trials or seeds.

Every decision is the pruner's that a real search asks (:mod:`scale_tune.ledger.pruners`), for many orders at once. A
worker trains one trial; when it ends, it takes the next. Time is what epochs took, or one unit for each if that is not
known, and only matters where several workers overtake each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scale_tune.accuracies import Flags, Floats, Integers
from scale_tune.economy.lookup import Curves, mean_over_seeds
from scale_tune.economy.policy import Policy
from scale_tune.ledger.pruners import Pruner

COMPARISONS = 400_000_000
"""Of two objectives, at most, in the replay of a policy: a search of thousands of trials has fewer orders."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Orders:
    """Orders in which configs are drawn and seeds are trained."""

    configs: Integers
    """Of shape (orders, c): positions in the lookup. A policy of fewer trials has the first ones."""
    seeds: Integers
    """Of shape (orders, s), likewise."""

    def first(self, n: int) -> "Orders":
        """The first of them."""
        return Orders(configs=self.configs[:n], seeds=self.seeds[:n])


def random_orders(curves: Curves, n: int, seed: int = 0) -> Orders:
    """So many random orders, the same ones for the same seed."""
    draws = np.random.default_rng(seed)
    c, s, _ = curves.val.shape
    configs = draws.permuted(np.tile(np.arange(c), (n, 1)), axis=1)
    return Orders(configs=configs, seeds=draws.permuted(np.tile(np.arange(s), (n, 1)), axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Replayed:
    """What became of the trials of a policy in each order, of shapes (orders, …)."""

    policy: Policy
    curves: Curves
    configs: Integers
    """Of shape (orders, trials): which config each trial is of."""
    epochs: Integers
    """Of shape (orders, trials): the last epoch of each trial."""
    complete: Flags
    """Of shape (orders, trials): whether it was trained to its end; others were pruned."""
    selected: Integers
    """Of shape (orders,): the config that was selected, -1 where none could be."""
    spent: Integers
    """Of shape (orders,): epochs of single seeds."""
    time: Floats
    """Of shape (orders,): when the last trial ended."""

    @cached_property
    def found(self) -> Flags:
        """Of shape (orders,): whether the winner of the whole search was selected."""
        same: Flags = self.selected == self.curves.winner
        return same

    @cached_property
    def val_loss(self) -> Floats:
        """Of shape (orders,): how much lower the objective is than the winner's, all seeds taken into account.

        A search that selects nothing loses all.
        """
        return self._loss(self.curves.final)

    @cached_property
    def test_loss(self) -> Floats:
        """Of shape (orders,): the same of the accuracy on test, below zero where the winner's is lower."""
        return self._loss(np.where(self.curves.selectable, self.curves.test.mean(axis=1), np.nan))

    @cached_property
    def near(self) -> Flags | None:
        """Of shape (orders,): whether it is within one standard error of the winner's objective; None of one seed."""
        error = self.curves.standard_error
        return None if error is None else self.val_loss <= error

    def _loss(self, of_configs: Floats) -> Floats:
        reached = np.where(self.selected >= 0, of_configs[self.selected], 0.0)
        loss: Floats = of_configs[self.curves.winner] - reached
        return loss


def replay(curves: Curves, policy: Policy, orders: Orders, workers: int = 1) -> Replayed:
    """Search in each order by a policy.

    Args:
        curves: the lookup; one whose :attr:`~scale_tune.economy.lookup.Curves.no_replay` is None, or it means nothing.
        policy: with no more seeds than there are.
        orders: of configs and seeds. Those beyond what is sensible for a search of this size are left out.
        workers: trials at once.
    """
    trials = policy.trials(len(curves.trials))
    width = len(policy.stages(curves.epochs, trials)) * trials**2
    return _Search(curves, policy, orders.first(max(1, COMPARISONS // width)), workers).run()


class _Search:
    """Searches in many orders, which go on side by side."""

    def __init__(self, curves: Curves, policy: Policy, orders: Orders, workers: int) -> None:
        self.curves, self.policy = curves, policy
        self.rule: Pruner = policy.rule(curves.epochs)
        trials = policy.trials(len(curves.trials))
        stages = policy.stages(curves.epochs, trials)
        self.configs = orders.configs[:, :trials]
        self.seeds = orders.seeds
        n, k = len(self.configs), len(stages)
        self.every = np.arange(n)
        self.epoch = np.array([stage.epoch for stage in stages])
        numbers = range(trials)
        self.compares = np.array(
            [
                [stage.epoch == curves.epochs or self.rule.compares(number, stage.epoch) for stage in stages]
                for number in numbers
            ]
        )
        brackets = np.array([self.rule.bracket(number) for number in numbers])
        self.fellows = brackets[:, None] == brackets
        # What each trial has at each stage, and what it has cost up to there.
        self.objective, cost, seconds, whole = self._looked_up([(stage.epoch, stage.seeds) for stage in stages])
        self.cost = np.diff(cost, axis=1, prepend=0)
        self.took = self.cost if np.isnan(seconds).any() else np.diff(seconds, axis=1, prepend=0)
        self.whole = whole[:, -1]
        # A trial of which every seed has diverged ends there, and has no objective afterwards.
        # So does one of which all those have diverged that go ahead in a race: the others don't join.
        self.ends = np.minimum(
            self._ends(stages[0].seeds, stages[-2:][0].epoch), self._ends(policy.seeds, curves.epochs)
        )
        self.reached = np.full((n, k, trials), np.nan)
        self.complete = np.zeros((n, trials), bool)
        self.last_epoch = np.zeros((n, trials), np.int64)
        self.spent = np.zeros(n, np.int64)
        self.ended = np.zeros(n)
        # What each worker is at, and when it gets there.
        at_once = min(workers, trials)
        self.trial = np.tile(np.arange(at_once), (n, 1))
        self.stage = np.zeros((n, at_once), np.int64)
        self.due = self.took[:, 0, :at_once].astype(float)
        self.next = np.full(n, at_once)

    def _ends(self, seeds: int, epoch: int) -> Integers:
        """Of shape (orders, trials): the epoch, up to this one, in which the last of the first seeds diverges.

        Beyond the end where none does.
        """
        trained = self.curves.trained[self.configs[:, :, None], self.seeds[:, None, :seeds]].max(axis=2)
        ends: Integers = np.where(trained < epoch, trained + 1, self.curves.epochs + 1)
        return ends

    def run(self) -> Replayed:
        """Until every worker is idle in every order."""
        while len(which := np.flatnonzero(np.isfinite(self.due).any(axis=1))):
            self._step(which)
        final = np.where(self.complete & self.whole, self.objective[:, -1], -np.inf)
        best = final.argmax(axis=1)  # of equal ones the first
        some = np.isfinite(final.max(axis=1))
        return Replayed(
            policy=self.policy,
            curves=self.curves,
            configs=self.configs,
            epochs=self.last_epoch,
            complete=self.complete,
            selected=np.where(some, self.configs[self.every, best], -1),
            spent=self.spent,
            time=self.ended,
        )

    def _step(self, which: Integers) -> None:
        """In each of these orders the next trial that gets to the end of its stage."""
        worker = self.due[which].argmin(axis=1)
        now = self.due[which, worker]
        trial, stage = self.trial[which, worker], self.stage[which, worker]
        self.spent[which] += self.cost[which, stage, trial]
        self.ended[which] = now
        epoch = self.epoch[stage]
        ends = self.ends[which, trial]
        self.last_epoch[which, trial] = np.minimum(epoch, ends)
        at_end = (stage == len(self.epoch) - 1) | (epoch >= ends)
        told = epoch <= ends
        self.reached[which[told], stage[told], trial[told]] = self.objective[which[told], stage[told], trial[told]]
        over = at_end.copy()
        asked = np.flatnonzero(~at_end & self.compares[trial, stage])
        if len(asked):
            over[asked] = self._stopped(which[asked], stage[asked], trial[asked])
        self.complete[which[at_end], trial[at_end]] = True
        self._go_on(which[~over], worker[~over], now[~over])
        self._take_next(which[over], worker[over], now[over])

    def _stopped(self, which: Integers, stage: Integers, trial: Integers) -> Flags:
        compared = self.fellows[trial]
        if self.rule.complete_alone:
            compared = compared & self.complete[which]
        reached = np.where(compared, self.reached[which, stage], np.nan)
        return self.rule.stops(self.objective[which, stage, trial], reached, compared.sum(axis=-1))

    def _go_on(self, which: Integers, worker: Integers, now: Floats) -> None:
        self.stage[which, worker] += 1
        self.due[which, worker] = now + self.took[which, self.stage[which, worker], self.trial[which, worker]]

    def _take_next(self, which: Integers, worker: Integers, now: Floats) -> None:
        left = self.next[which] < self.configs.shape[1]
        self.due[which[~left], worker[~left]] = np.inf
        which, worker, now = which[left], worker[left], now[left]
        trial = self.next[which]
        self.next[which] += 1
        self.trial[which, worker], self.stage[which, worker] = trial, 0
        self.due[which, worker] = now + self.took[which, 0, trial]

    def _looked_up(self, stages: Sequence[tuple[int, int]]) -> tuple[Floats, Integers, Floats, Flags]:
        """Each of shape (orders, stages, trials), of the first seeds of each order up to each stage's epoch.

        Returns:
            The objective; the epochs of single seeds and the seconds that were spent since the trial began; and
            whether no seed has diverged.
        """
        curves = self.curves
        known: dict[tuple[int, ...], tuple[Floats, Floats]] = {}
        shape = (len(self.configs), len(stages), self.configs.shape[1])
        objective, seconds = np.empty(shape), np.empty(shape)
        cost, whole = np.empty(shape, np.int64), np.empty(shape, bool)
        of_seconds = curves.seconds.cumsum(axis=2)
        for k, (epoch, n) in enumerate(stages):
            subsets, index = np.unique(np.sort(self.seeds[:, :n], axis=1), axis=0, return_inverse=True)
            for i, subset in enumerate(map(tuple, subsets.tolist())):
                if subset not in known:
                    known[subset] = mean_over_seeds(curves.val[:, subset]), of_seconds[:, subset].sum(axis=1)
                means, took = known[subset]
                rows = np.flatnonzero(index.reshape(-1) == i)
                configs, trained = self.configs[rows], curves.trained[:, subset]
                objective[rows, k] = means[:, epoch - 1][configs]
                seconds[rows, k] = took[:, epoch - 1][configs]
                cost[rows, k] = np.minimum(trained, epoch).sum(axis=1)[configs]
                whole[rows, k] = (trained == curves.epochs).all(axis=1)[configs]
        return objective, cost, seconds, whole
