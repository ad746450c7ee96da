"""How far a run is, seen from outside: read from its ledger, whoever drives it. Nothing is written or held."""

import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType

from scale_tune.ledger.studies import LedgerState, LedgerTrial, read_trials
from scale_tune.search.hopeless import cause, in_short, in_vain, named, whole_traceback
from scale_tune.search.overview import (
    best_line,
    best_trial,
    counts,
    duration,
    methods_overview,
    running_trials,
)
from scale_tune.spec.space import RunSpec
from scale_tune.steps import Steps
from scale_tune.storage.lock import driver_of
from scale_tune.storage.rundir import RunDir

KINDS_OF_FAILURE = 5
"""As many are told of."""


def show_status(where: str, steps: Steps) -> None:
    """Print how far a run is and how to go on with it.

    Args:
        where: its directory.
        steps: where.

    Raises:
        UserError: this is not the directory of a run, or its ledger can't be read.
    """
    run = RunDir(where)
    spec = run.read_spec()
    driven, driver = _driver(run)
    trials = read_trials(run.ledger)
    steps.pause()
    for part in _parts(run, spec, trials, driven=driven, driver=driver, width=steps.console.width):
        steps.console.print(part, soft_wrap=isinstance(part, str))


def _driver(run: RunDir) -> tuple[bool | None, str]:
    """Whether somebody drives it, None if that can't be seen, and what to say of it."""
    try:
        driver = driver_of(run)
    except OSError as error:
        return None, f"whether somebody drives it can't be seen from here ({error})"
    return driver is not None, "nobody drives it" if driver is None else f"driven by {driver}"


def _parts(
    run: RunDir, spec: RunSpec, trials: Sequence[LedgerTrial], *, driven: bool | None, driver: str, width: int
) -> Iterator[RenderableType]:
    running = [trial for trial in trials if trial.state is LedgerState.RUNNING]
    unended = "interrupted" if driven is False else "running"
    over = driven is False and len(trials) >= spec.total_samples and all(trial.state.ended for trial in trials)
    yield f"run {run.path}: {'its search has ended' if over else driver}"
    yield counts(trials, spec, unended)
    yield methods_overview(trials, spec, width, unended)
    if running:
        yield f"{unended} (epochs trained)"
        yield running_trials(running, spec, {}, width)
    if (best := best_trial(trials, spec)) is not None:
        yield best_line(best)
    if (last := _last_heard(run, trials)) is not None:
        yield f"last report {duration(max(0.0, time.time() - last))} ago"
    yield from _failures(run, trials)
    yield _how_to_go_on(run, spec, trials, driven=driven)


def _last_heard(run: RunDir, trials: Sequence[LedgerTrial]) -> float | None:
    """When a trial was last issued, reported or ended, in seconds since 1970.

    A file's last change tells; of a database the checkpoints do, each of which is written just before it is reported.
    """
    if isinstance(run.ledger, Path):
        return run.ledger.stat().st_mtime if trials else None
    stamps = [stamp for files in run.trials.names_below().values() for stamp in files.values()]
    return max((int(stamp.partition("-")[0]) / 1e9 for stamp in stamps), default=None)


def _failures(run: RunDir, trials: Sequence[LedgerTrial]) -> Iterator[str]:
    """Of each kind of failure which trials, why, and where its traceback is."""
    kinds: dict[tuple[str, str], list[LedgerTrial]] = {}
    for trial in trials:
        if trial.error is not None and trial.state is LedgerState.FAILED:
            kinds.setdefault(cause(trial.error), []).append(trial)
    for alike in list(kinds.values())[:KINDS_OF_FAILURE]:
        yield f"failed: {named(alike)}: {in_short(alike[0].error or ''):.300}"
        yield f"  {whole_traceback(alike[0], run)}"
    if len(kinds) > KINDS_OF_FAILURE:
        yield f"failed in other ways: {sum(map(len, list(kinds.values())[KINDS_OF_FAILURE:]))} trials"


def _how_to_go_on(run: RunDir, spec: RunSpec, trials: Sequence[LedgerTrial], *, driven: bool | None) -> str:
    path = shlex.quote(str(run.path))
    resume, analyze = f"python tune.py --resume {path}", f"python analyze.py {path}"
    failed = sum(trial.state is LedgerState.FAILED for trial in trials)
    retry = f"; the {failed} that failed, once that is mended, by\n  {resume} --retry-failed" * bool(failed)
    if driven:
        return f"a comparison of what there is so far:\n  {analyze}"
    if not all(trial.state.ended for trial in trials) or len(trials) < spec.total_samples:
        return f"go on by\n  {resume}{retry}"
    if (why := in_vain(trials, run)) is not None:
        return why
    return f"compare the methods by\n  {analyze}{retry}"
