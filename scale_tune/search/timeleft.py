"""How long a search will still take: what is left to train, dealt out to as many workers as train now.

What is left is counted in epochs: those of trials that run, of which some will be stopped early, and those of trials
that have not begun. How long an epoch takes is measured for each method while this process watches; how often a trial
goes on after an epoch is what the method's trials did, and at first what the scheduler makes likely.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from scale_tune.ledger.studies import LedgerState, LedgerTrial
from scale_tune.spec.space import RunSpec

PRIOR_TRIALS = 2.0
"""What is likely of a scheduler counts as much as so many trials that were seen."""
HALF_LIFE = 8.0
"""A trial counts half as much as the one so many numbers later: searches get better, and stop trials sooner."""
MEDIAN_STARTUP = 5
"""The median of fewer complete trials stops none, so the first ones tell nothing of the others."""
GOLDEN = 0.6180339887498949
"""Whose multiples, less their whole part, are spread most evenly."""
SMOOTH_SECONDS, SMOOTH_SHARE = 15.0, 0.05
"""A new estimate counts in full after so long, or after this share of the time that has passed."""


@dataclass(kw_only=True)
class _Pace:
    """What was measured of a method's trials, in seconds."""

    epochs: list[float] = field(default_factory=list)
    preparing: list[float] = field(default_factory=list)
    """An epoch before those that count."""
    preparations: list[int] = field(default_factory=list)
    """How many of these each trial had that began here: others may have left it theirs."""
    wanted: int = 0
    """How many there are where nothing is left by others."""

    @property
    def measured(self) -> bool:
        """Whether anything was."""
        return bool(self.epochs or self.preparing)


@dataclass(kw_only=True)
class _Work:
    """A trial that a worker is at."""

    since: float
    """When it began, or was last heard of."""
    prepared: int = 0
    of: int = 0
    """Epochs without an objective, which come next: so many are trained of so many."""
    anew: bool
    """Whether it has been trained from its beginning here."""


class TimeLeft:
    """Watches a search. Times are in seconds by any one clock.

    Args:
        spec: what is searched.
        began: when the search did, in this process.
    """

    def __init__(self, spec: RunSpec, began: float) -> None:
        self.spec = spec
        self.work: dict[str, _Work] = {}
        """The trials that workers are at, by name."""
        self._began = began
        self._paces: dict[str, _Pace] = defaultdict(_Pace)
        self._shown: float | None = None
        self._then = began

    def begun(self, name: str, *, anew: bool, now: float) -> None:
        """A worker has taken a trial up; anew, if nothing of it was trained before."""
        self.work[name] = _Work(since=now, anew=anew)

    def prepared(self, name: str, method: str, epochs: int, of: int, now: float) -> None:
        """It has trained another of the epochs that prepare those that count."""
        work = self.work.setdefault(name, _Work(since=now, anew=False))
        if epochs == work.prepared + 1:
            self._paces[method].preparing.append(now - work.since)
        work.since, work.prepared, work.of = now, epochs, of
        self._paces[method].wanted = max(self._paces[method].wanted, of)

    def caught_up(self, name: str, epochs: int, of: int, now: float) -> None:
        """The seeds that join a race have trained another of the epochs that they catch up."""
        work = self.work.setdefault(name, _Work(since=now, anew=False))
        work.since, work.prepared, work.of = now, epochs, of

    def trained(self, name: str, method: str, epochs: int, known: int, now: float) -> None:
        """It has told of so many epochs, of which some were known."""
        work = self.work.setdefault(name, _Work(since=now, anew=False))
        if epochs > known:
            share = sum(self._share(method, epoch) for epoch in range(known + 1, epochs + 1))
            self._paces[method].epochs.append((now - work.since) / share)
            if known == 0 and work.anew:
                self._paces[method].preparations.append(work.prepared)
        work.since, work.prepared, work.of = now, 0, 0

    def ended(self, name: str) -> None:
        """No worker is at it any longer."""
        self.work.pop(name, None)

    def left(self, trials: Sequence[LedgerTrial], now: float) -> float | None:
        """Seconds, as estimated now and smoothed; None before there is anything to go by."""
        raw = self._estimate(trials, now)
        if raw is None:
            return None
        if self._shown is None:
            self._shown = raw
        else:
            passed = now - self._then
            slow = max(SMOOTH_SECONDS, SMOOTH_SHARE * (now - self._began))
            expected = max(0.0, self._shown - passed)
            self._shown = expected + (raw - expected) * (1 - math.exp(-passed / slow))
        self._then = now
        return self._shown

    def _estimate(self, trials: Sequence[LedgerTrial], now: float) -> float | None:
        by_method = {method: [t for t in trials if t.method == method] for method in self.spec.methods}
        at_work = {trial.method for trial in trials if trial.name in self.work}
        if self._shown is None and (not at_work or any(not self._paces[method].measured for method in at_work)):
            return None
        busy: list[float] = []
        waiting: list[float] = []
        for method, own in by_method.items():
            going_on = chances(own, self.spec, method)
            each, preparing, preparations = self._costs(method, own, now)
            for trial in own:
                if trial.state.ended:
                    continue
                done = len(trial.objectives)
                rest = self._rest(method, done, expected_epochs(going_on, done, luck(trial.number))) * each
                work = self.work.get(trial.name)
                if work is None:
                    waiting.append(rest + (0.0 if trial.objectives else preparations * preparing))
                    continue
                current = each * self._share(method, done + 1)
                if trial.objectives and work.of:  # it catches up
                    current = each * (1 - self._share(method, done))
                    rest -= work.prepared * current
                elif not trial.objectives and work.prepared < (work.of or preparations):
                    rest += ((work.of or preparations) - work.prepared) * preparing
                    current = preparing
                busy.append(max(rest - min(now - work.since, current), 0.0))
            for number in range(len(own), self.spec.method_samples(method)):
                rest = self._rest(method, 0, expected_epochs(going_on, 0, luck(number))) * each
                waiting.append(rest + preparations * preparing)
        return _dealt_out(busy, waiting)

    def _share(self, method: str, epoch: int) -> float:
        """Of an epoch of all seeds, what this one takes."""
        return self.spec.seeds_in(method, epoch) / len(self.spec.seeds)

    def _rest(self, method: str, done: int, more: int) -> float:
        """How many epochs of all seeds it takes to train so many more, those of seeds that join a race included."""
        race = self.spec.race(method)
        joined = range(done + 1, done + more + 1)
        own = sum(self._share(method, epoch) for epoch in joined)
        if race is None or race.join_after + 1 not in joined:
            return own
        wanted = race.join_after + self._paces[method].wanted
        return own + wanted * (1 - self._share(method, race.join_after))

    def _costs(self, method: str, own: Sequence[LedgerTrial], now: float) -> tuple[float, float, float]:
        """Seconds of an epoch, seconds of one that prepares, and how many of the latter a new trial has."""
        pace = self._paces[method]
        first = self._share(method, 1)
        if pace.measured:
            each = fmean(pace.epochs or [seconds / first for seconds in pace.preparing])
        else:  # as long as others' epochs, or as its first one takes already
            begun = [now - w.since for trial in own if (w := self.work.get(trial.name)) is not None]
            others = [seconds for other in self._paces.values() for seconds in other.epochs]
            each = max([fmean(others or [0.0]), *begun])
        preparing = fmean(pace.preparing) if pace.preparing else each * first
        return each, preparing, fmean(pace.preparations) if pace.preparations else pace.wanted


def _dealt_out(busy: Collection[float], waiting: Collection[float]) -> float:
    """When the last of these ends, if each worker takes the next as soon as it is free."""
    free = list(busy) or [0.0]
    heapq.heapify(free)
    for duration in waiting:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def chances(trials: Collection[LedgerTrial], spec: RunSpec, method: str) -> list[float]:
    """How likely a trial of a method goes on after epoch 0, 1, 2, …; after the last one not at all."""
    total = spec.method_epochs(method)
    reached, stopped = [0.0] * (total + 1), [0.0] * (total + 1)
    newest = max((trial.number for trial in trials), default=0)
    for trial in trials:
        if spec.scheduler.name == "median" and trial.number < MEDIAN_STARTUP:
            continue
        epochs = min(len(trial.objectives), total)
        weight = 0.5 ** ((newest - trial.number) / HALF_LIFE)
        reached[epochs] += weight
        stopped[epochs] += weight * (trial.state is LedgerState.PRUNED)
    for epoch in range(total, 0, -1):
        reached[epoch - 1] += reached[epoch]
    found = [
        (reached[epoch] - stopped[epoch] + PRIOR_TRIALS * _likely(spec, method, epoch))
        / (reached[epoch] + PRIOR_TRIALS)
        for epoch in range(1, total)
    ]
    return [1.0, *found, 0.0]


def expected_epochs(going_on: Sequence[float], epochs: int, luck: float) -> int:
    """How many more epochs a trial trains that goes on after so many.

    Args:
        going_on: of the method, its :func:`chances`.
        epochs: that it has trained.
        luck: from 0, of one that is never stopped, to 1.
    """
    chance, epoch = 1.0, epochs + 1
    while epoch < len(going_on) - 1 and (chance := chance * going_on[epoch]) > luck:
        epoch += 1
    return min(epoch, len(going_on) - 1) - epochs


def luck(number: int) -> float:
    """From 0 to 1, evenly spread over the trials of a method and over any that follow each other."""
    return (0.5 + number * GOLDEN) % 1


def _likely(spec: RunSpec, method: str, epoch: int) -> float:
    """The share of trials that a scheduler lets go on after an epoch, where none is better than another."""
    scheduler = spec.scheduler
    match scheduler.name:
        case "asha" | "hyperband":
            rungs = scheduler.brackets(spec.method_epochs(method))
            if epoch not in rungs:
                return 1.0
            # Of hyperband, a bracket's first rung is where others have their second.
            judged = 1.0 if scheduler.name == "asha" else (rungs.index(epoch) + 1) / len(rungs)
            return 1 - judged * (1 - 1 / scheduler.reduction_factor)
        case "median":
            return 0.5 if epoch == scheduler.grace_period + 1 else 1.0
        case "none":
            return 1.0
