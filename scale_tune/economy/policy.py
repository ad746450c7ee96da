"""A policy: how a search spends its epochs, as a scheduler, a part of the trials and a number of seeds."""

from dataclasses import dataclass

from scale_tune.ledger.pruners import Pruner, pruner_of
from scale_tune.spec.space import SchedulerSpec

WHOLE = SchedulerSpec(name="none")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Up to where a config is trained before it is compared with others, or ends."""

    epoch: int
    seeds: int
    """How many of its seeds are trained up to there; those that join begin at epoch 1."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a search spends its epochs.

    A race of seeds, which only replays know, is one of successive halving in which a config has fewer seeds at first.
    Those that join train up to where the others are before it is compared. What ends complete has all seeds.
    """

    scheduler: SchedulerSpec = WHOLE
    part: float = 1
    """Of the trials of the whole search, so many are drawn."""
    seeds: int
    joins: tuple[int, ...] = ()
    """Of a race: how many seeds are compared at each rung, at all later ones as at the last that is given."""
    at_end: tuple[int, ...] = ()
    """Of a race: how many seeds are compared at full length, before others join."""

    def trials(self, whole: int) -> int:
        """How many it draws where the whole search has so many."""
        return max(1, round(self.part * whole))

    def stages(self, epochs: int, trials: int) -> tuple[Stage, ...]:
        """All stages of a config that is never stopped; the last is its end.

        Args:
            epochs: of a replica that is trained to its end.
            trials: that it draws.
        """
        rule = self.rule(epochs)
        rungs = [e for e in range(1, epochs) if any(rule.compares(number, e) for number in range(trials))]
        seeds = [*self.joins, *[self.joins[-1] if self.joins else self.seeds] * len(rungs)]
        return (
            *(Stage(epoch=epoch, seeds=n) for epoch, n in zip(rungs, seeds, strict=False)),
            *(Stage(epoch=epochs, seeds=n) for n in (*self.at_end, self.seeds)),
        )

    def rule(self, epochs: int) -> Pruner:
        """What decides, the same as in a search."""
        return pruner_of(self.scheduler, epochs)

    @property
    def is_race(self) -> bool:
        """Whether the driver can't run it."""
        return bool(self.joins or self.at_end)

    @property
    def is_to_the_end(self) -> bool:
        """Whether every trial is trained to its end."""
        return self.scheduler.name == "none" and not self.is_race

    @property
    def name(self) -> str:
        """As ``asha 1/3``: grace period and reduction factor; of a race, how many seeds there are at each stage."""
        scheduler = self.scheduler
        match scheduler.name:
            case "none":
                text = "to the end"
            case "median":
                text = f"median {scheduler.grace_period}"
            case _:
                text = f"{scheduler.name} {scheduler.grace_period}/{scheduler.reduction_factor}"
        if self.is_race:
            text += f", seeds {'-'.join(map(str, self.joins or (self.seeds,)))}"
            text += "".join(f", {n} at the end" for n in self.at_end)
        return text
