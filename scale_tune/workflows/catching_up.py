"""Trackers of runs that are not searched now, brought up once."""

import time
from collections.abc import Callable, Iterable, Sequence

from scale_tune.errors import UserError
from scale_tune.spec.config import TrackerName
from scale_tune.spec.frozen import nearest
from scale_tune.storage.rundir import RunDir
from scale_tune.tracking.bringing_up import BringingUp
from scale_tune.tracking.tracker_registry import check_trackers
from scale_tune.workflows.confirm import confirmation_of

SAY_SECONDS = 3.0


def parse_trackers(text: str | None, runs: Iterable[RunDir]) -> tuple[TrackerName, ...]:
    """The trackers that a text as ``tensorboard,wandb`` names, each once; none without a text.

    Raises:
        UserError: there is no such tracker, its package is not installed, or it can't show one of the runs.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list(TrackerName):
            raise UserError(f"--track: there is no tracker {name!r}; {nearest(name, TrackerName)}")
    found = tuple(dict.fromkeys(map(TrackerName, names)))
    for run in runs:
        check_trackers(found, run)
    return found


def track(runs: Sequence[RunDir], names: Sequence[TrackerName], say: Callable[[str], None]) -> bool:
    """Bring trackers up to runs, and to their confirmations.

    Args:
        runs: which may be searched meanwhile.
        names: of the trackers.
        say: called with a line at least every few seconds.

    Returns:
        Whether they have it all. What is missing was said, and is made good by another call.
    """
    whole = True
    for run in (*runs, *filter(lambda run: run.spec.is_file(), map(confirmation_of, runs))):
        say(f"bringing {', '.join(names)} up to {run.path} …")
        with BringingUp(run, names) as trackers:
            trackers.bring_up(_now_and_then(say))
            for name, how in trackers.how_to_look().items():
                if name not in trackers.failures:
                    say(f"{name} has it all: {how}")
        for name, error in trackers.failures.items():
            whole = False
            say(f"warning: {name} lags behind: {error}; the same command makes up for it")
    return whole


def _now_and_then(say: Callable[[str], None]) -> Callable[[str], None]:
    said = time.monotonic()

    def perhaps(text: str) -> None:
        nonlocal said
        if time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            say(text)

    return perhaps
