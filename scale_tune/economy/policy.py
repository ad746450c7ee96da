"""A policy: how a search spends its epochs, as a scheduler, a number of trials and a number of seeds."""

from dataclasses import dataclass, field

from scale_tune.ledger.pruners import Pruner, pruner_of
from scale_tune.spec.space import SchedulerSpec


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Up to where a config is trained before it is compared with others, or ends."""

    epoch: int
    seeds: int
    """How many of its seeds are trained up to there; those that join begin at epoch 1."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a search spends its epochs."""

    scheduler: SchedulerSpec = field(default_factory=lambda: SchedulerSpec(name="none"))
    trials: int
    seeds: int
    race: tuple[Stage, ...] = ()
    """Of a race of seeds, which the driver does not run: where configs are compared, with fewer than all seeds. At each
    stage the best 1/reduction_factor go on; those that are through them all are trained to the end with all seeds."""

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """All stages of a config that is never stopped; the last is its end.

        Args:
            epochs: of a replica that is trained to its end.
        """
        end = Stage(epoch=epochs, seeds=self.seeds)
        if self.race:
            return (*self.race, end)
        rule = self.rule(epochs)
        compared = (e for e in range(1, epochs) if any(rule.compares(number, e) for number in range(self.trials)))
        return (*(Stage(epoch=epoch, seeds=self.seeds) for epoch in compared), end)

    def rule(self, epochs: int) -> Pruner:
        """What decides, the same as in a search."""
        return pruner_of(self.scheduler, epochs)

    @property
    def name(self) -> str:
        """As ``asha 1/3, 15 trials``: grace period and reduction factor, and what it has less of than the search."""
        scheduler = self.scheduler
        match scheduler.name:
            case "none":
                text = "none"
            case "median":
                text = f"median {scheduler.grace_period}"
            case _:
                text = f"{scheduler.name} {scheduler.grace_period}/{scheduler.reduction_factor}"
        if self.race:
            text = (
                f"race {' '.join(f'{stage.seeds}×{stage.epoch}' for stage in self.race)} /{scheduler.reduction_factor}"
            )
        return f"{text}, {self.trials} trials, {self.seeds} seed{'s' * (self.seeds != 1)}"
