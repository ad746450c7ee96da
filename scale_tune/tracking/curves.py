"""What trackers are told of a trial: a curve for each seed, made from the ledger and the record alone.

Made again from the same record, it is the same to the last digit, times included. So a tracker can be asked how much of
a curve it has, and be given the rest.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from scale_tune.ledger.studies import LedgerTrial
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.frozen import Scalar
from scale_tune.training.records import ReplicaRecord, SplitRecord, TrialRecord


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was measured at one time."""

    epoch: int
    time: float
    """Seconds since 1970: of the first worker's start, and what all seeds have trained since."""
    values: dict[str, float]
    """By names as ``val/worst_group``."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One seed of a trial."""

    trial: str
    method: str
    seed: int
    state: str
    """Of the trial; or ``diverged``, of this seed."""
    error: str | None
    config: dict[str, Scalar]
    """Every value of the trial's config, and its seed."""
    started: float
    points: list[Point]
    """One per epoch."""
    end: Point | None
    """Of an ended trial: the best epoch, and the test accuracies there if it ran to its end."""

    @property
    def name(self) -> str:
        """Within the run."""
        return f"{self.trial}-seed-{self.seed}"

    @property
    def everything(self) -> list[Point]:
        """The points and the end."""
        return [*self.points, *filter(None, [self.end])]

    @property
    def ended(self) -> float:
        """When the last thing known of it was measured."""
        return self.everything[-1].time if self.everything else self.started

    @property
    def digest(self) -> str:
        """Differs wherever anything differs."""
        return sha256(repr(self).encode()).hexdigest()[:16]


def curves_of(trial: LedgerTrial, record: TrialRecord | None, config: TrialConfig) -> list[Curve]:
    """The curves of a trial, one per seed that has begun.

    Args:
        trial: as the ledger has it.
        record: what is known of its training; None if nothing is, as of a trial that failed in its first epoch.
        config: of the trial.
    """
    if record is None:
        began = trial.started.astimezone(UTC) if trial.started else datetime.fromtimestamp(0, UTC)
        return [_curve(trial, config, seed, began, [], None) for seed in config.seeds[: config.seeds_in(1)]]
    times = _times(record)
    objectives = record.objectives()
    curves = []
    for replica in record.begun:
        points = [
            Point(
                epoch=epoch.epoch,
                time=times[replica.seed, epoch.epoch],
                values={
                    "objective": objectives[epoch.epoch - 1],
                    "lr": epoch.lr,
                    "seconds": epoch.seconds,
                    **{k: v for split, measured in epoch.splits.items() for k, v in _measured(split, measured).items()},
                    **{f"diagnostics/{name}": value for name, value in epoch.diagnostics.items()},
                },
            )
            for epoch in replica.history
        ]
        last = max(times.values(), default=record.started.timestamp())
        end = _end(replica, last) if trial.state.ended else None
        diverged = replica.diverged_epoch is not None
        curves.append(_curve(trial, config, replica.seed, record.started, points, end, diverged=diverged))
    return curves


def _curve(
    trial: LedgerTrial,
    config: TrialConfig,
    seed: int,
    started: datetime,
    points: list[Point],
    end: Point | None,
    *,
    diverged: bool = False,
) -> Curve:
    values = config.values() | {"seed": seed, "seeds": len(config.seeds)}
    return Curve(
        trial=trial.name,
        method=trial.method,
        seed=seed,
        state="diverged" if diverged else trial.state.value,
        error=trial.error,
        config={
            name: value if isinstance(value, Scalar) else str(value)
            for name, value in values.items()
            if value is not None
        },
        started=started.timestamp(),
        points=points,
        end=end,
    )


def _times(record: TrialRecord) -> dict[tuple[int, int], float]:
    """When each seed's epochs were over, as if no worker had ever been interrupted."""
    race, replicas, first = record.config.race, record.replicas, record.config.seeds_in(1)
    joined_at = 0 if race is None else race.join_after
    ahead, whole = range(1, joined_at + 1), range(joined_at + 1, record.config.epochs + 1)
    times: dict[tuple[int, int], float] = {}
    now = record.started.timestamp()
    for together, epochs in ((replicas[:first], ahead), (replicas[first:], ahead), (replicas, whole)):
        for epoch in epochs:
            trained = [replica for replica in together if epoch <= len(replica.history)]
            now += sum(replica.history[epoch - 1].seconds for replica in trained)
            times |= {(replica.seed, epoch): now for replica in trained}
    return times


def _measured(split: str, measured: SplitRecord) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in measured.model_dump().items() if value is not None}


def _end(replica: ReplicaRecord, time: float) -> Point | None:
    if replica.best is None:
        return None
    test = _measured("test", replica.best.test) if replica.best.test else {}
    values = {"best/epoch": float(replica.best.epoch), "best/objective": replica.best.objective, **test}
    return Point(epoch=replica.best.epoch, time=time, values=values)
