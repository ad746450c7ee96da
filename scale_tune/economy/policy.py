"""A policy: how a search spends its epochs, as a scheduler, a part of the trials and a number of seeds."""

from dataclasses import dataclass

from scale_tune.ledger.pruners import Pruner, pruner_of
from scale_tune.spec.scheduler import SchedulerSpec

WHOLE = SchedulerSpec(name="none")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Up to where a config is trained before it is compared with others, or ends."""

    epoch: int
    seeds: int
    """How many of its seeds are trained up to there; those that join begin at epoch 1."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a search spends its epochs."""

    scheduler: SchedulerSpec = WHOLE
    part: float = 1
    """Of the trials of the whole search, so many are drawn."""
    seeds: int

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
        first = self.scheduler.first_seeds or self.seeds
        return (*(Stage(epoch=epoch, seeds=first) for epoch in rungs), Stage(epoch=epochs, seeds=self.seeds))

    def rule(self, epochs: int) -> Pruner:
        """What decides, the same as in a search."""
        return pruner_of(self.scheduler, epochs)

    @property
    def is_race(self) -> bool:
        """Whether the first seeds go ahead, and others join what passes the last rung."""
        return self.scheduler.first_seeds is not None

    @property
    def is_to_the_end(self) -> bool:
        """Whether every trial is trained to its end."""
        return self.scheduler.name == "none"

    @property
    def name(self) -> str:
        """As ``asha 1/3``: grace period and reduction factor; of a race, how many seeds begin."""
        scheduler = self.scheduler
        match scheduler.name:
            case "none":
                text = "to the end"
            case "median":
                text = f"median {scheduler.grace_period}"
            case _:
                text = f"{scheduler.name} {scheduler.grace_period}/{scheduler.reduction_factor}"
        first = scheduler.first_seeds
        return text if first is None else f"{text}, {first} seed{'s' * (first != 1)} first"
