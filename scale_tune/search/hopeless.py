"""A search that will have nothing to select from: the first trials of a method fail alike, or no trial completes."""

import re
import shlex
from collections.abc import Collection, Sequence

from scale_tune.errors import UserError
from scale_tune.ledger.studies import LedgerState, LedgerTrial
from scale_tune.storage.rundir import RunDir
from scale_tune.training.trialdir import read_final_record

FIRST = 3
"""So many trials of a method that fail alike before any fares better are enough; of fewer, all."""
SHOWN_LINES = 6
"""Of an error."""
LISTED = 3
"""Trials that a message names."""


def failed_alike(trials: Collection[LedgerTrial], failed: Sequence[str], samples: int) -> list[LedgerTrial]:
    """The trials that show that a method can't be trained as it is; none if that is not so, or not yet.

    Args:
        trials: of the method, all that there are.
        failed: the names of those that have failed since this driver started, of other methods too: a search that is
            resumed after it failed is given another chance.
        samples: how many trials the method will have.
    """
    by_name = {trial.name: trial for trial in trials}
    found = [
        by_name[name] for name in dict.fromkeys(failed) if name in by_name and by_name[name].state is LedgerState.FAILED
    ]
    failed_before = sum(trial.state is LedgerState.FAILED for trial in trials) - len(found)
    if not found or len(found) < min(FIRST, samples - failed_before):
        return []
    others = [trial for trial in trials if trial.state is not LedgerState.FAILED]
    furthest = max(len(trial.objectives) for trial in found)
    if any(trial.state.ended or len(trial.objectives) > furthest for trial in others):
        return []
    return found if len({cause(trial.error or "") for trial in found}) == 1 else []


def cause(error: str) -> tuple[str, str]:
    """What tells an error from others: the kind of exception, and the line of code that raised it.

    Messages differ where the same mistake is made with other numbers.
    """
    lines = error.strip().splitlines() or [""]
    frames = [number for number, line in enumerate(lines) if re.match(r'\s+File "', line)]
    if not frames:
        return re.split(r"[:;]", lines[0], maxsplit=1)[0], ""
    said = next((line for line in lines[frames[-1] :] if not line.startswith(" ")), "")
    return said.partition(":")[0], lines[frames[-1]].strip()


def in_short(error: str) -> str:
    """An error's one line that says most: of a traceback the first that is said after it."""
    lines = error.strip().splitlines() or [""]
    frames = [number for number, line in enumerate(lines) if re.match(r'\s+File "', line)]
    if not frames:
        return lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return next((line for line in lines[frames[-1] :] if not line.startswith(" ")), lines[-1])


def told_of(alike: Sequence[LedgerTrial], run: RunDir) -> str:
    """That the first trials of a method have failed alike, why, and how to go on."""
    method = alike[0].method
    of = f"the first {len(alike)} trials of {method} have" if len(alike) > 1 else f"the only trial of {method} has"
    return (
        f"{of} failed{' alike' * (len(alike) > 1)}, so the search was stopped: {named(alike)}\n"
        f"{_last_lines(alike[0], run)}\n{how_to_retry(run)}"
    )


def in_vain(trials: Sequence[LedgerTrial], run: RunDir) -> str | None:
    """Why a search that has ended has no trial that can be selected, and how to go on; None if it has one."""
    complete = [trial for trial in trials if trial.state is LedgerState.COMPLETE]
    for trial in complete:
        try:
            record = read_final_record(run.trial(trial.name))
        except (UserError, OSError):
            return None  # what is damaged or gone is for the analysis to say
        if record is None or not record.diverged:
            return None
    if complete:
        return (
            f"no trial has trained to its end with all its seeds: the loss of {named(complete)} became infinite or "
            "NaN; start a new run with lower learning rates, as space.lr"
        )
    failed = [trial for trial in trials if trial.state is LedgerState.FAILED]
    if not failed:
        return "no trial has completed: all were pruned; start a new run with another scheduler, as scheduler.name=none"
    return (
        f"no trial has completed: {len(failed)} of {len(trials)} have failed, {named(failed)}\n"
        f"{_last_lines(failed[0], run)}\n{how_to_retry(run)}"
    )


def named(trials: Sequence[LedgerTrial]) -> str:
    """The first few of them."""
    names = ", ".join(trial.name for trial in trials[:LISTED])
    return names + f" and {len(trials) - LISTED} more" * (len(trials) > LISTED)


def how_to_retry(run: RunDir) -> str:
    """After trials have failed."""
    return (
        "mend what is the matter, and go on by\n"
        f"  python tune.py --resume {shlex.quote(str(run.path))} --retry-failed\n"
        "or start a new run, if the search space or a file of your own is"
    )


def whole_traceback(trial: LedgerTrial, run: RunDir) -> str:
    """Where it is."""
    file = run.error(trial.name)
    return f"the whole traceback is in {file}" if file.is_file() else "the whole traceback is in the table trials"


def _last_lines(trial: LedgerTrial, run: RunDir) -> str:
    lines = (trial.error or "").strip().splitlines()
    shown = "\n".join(f"  {line:.200}" for line in lines[-SHOWN_LINES:])
    return f"{shown}\n{whole_traceback(trial, run)}"
