"""What a worker tells the driver after each step of a trial."""

from dataclasses import dataclass
from typing import Any

_KEY = "report"


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """An epoch is trained and kept, or what an earlier worker had trained is told again."""

    objectives: list[float]
    """After each epoch so far, so that a report that was lost is made good by the next one."""
    finished: bool
    """Whether there is nothing left to train."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An epoch before those that count is trained and kept; there is nothing to judge the trial by."""

    epochs: int
    """How many so far."""
    of: int
    """How many there will be."""


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """An epoch of the seeds that join a race is trained and kept; likewise."""

    epochs: int
    """How many so far, those of preparation included."""
    of: int
    """How many there will be."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The config's fault: the trial would fail everywhere."""

    traceback: str


@dataclass(frozen=True, kw_only=True)
class Unfit:
    """The machine's fault, its files' or data's: the trial is to be tried elsewhere."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Full:
    """A disk has no space left: nothing can go on."""

    where: str


Outcome = Prepared | Progressed | CaughtUp | Failed | Unfit | Full


@dataclass(frozen=True, kw_only=True)
class Report:
    """One step's outcome, and the log's warnings on the way to it."""

    outcome: Outcome
    notes: list[str]


def encode(report: Report) -> dict[str, Any]:
    """As a result of Ray Tune, which is a dict, gets keys of Ray's own, and may hold anything that can be pickled."""
    return {_KEY: report}


def decode(result: dict[str, Any]) -> Report:
    """The report in a result of Ray Tune."""
    report: Report = result[_KEY]
    return report
