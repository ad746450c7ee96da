"""What the driver of a search knows besides its ledger; nothing that a resumed run needs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from scale_tune.ledger.ledger import Ledger
from scale_tune.search.closing import Closing
from scale_tune.search.hopeless import failed_alike, in_short, told_of
from scale_tune.search.progress import Progress
from scale_tune.search.stopping import Stop
from scale_tune.spec import usercode
from scale_tune.spec.space import RunSpec
from scale_tune.storage.rundir import RunDir

MAX_WORKER_DEATHS = 5
"""A trial whose worker died more often than this, in one start of the driver, has failed.

A Python error fails it at once: it would come again.
"""


@dataclass(kw_only=True)
class Search:
    """The search that this process drives, over all its legs, and for the three objects that Ray calls."""

    run: RunDir
    spec: RunSpec
    progress: Progress
    stop: Stop
    retry_failed: bool
    sources: usercode.Sources
    """The users' Python files that trials need."""
    ledger: Ledger = field(init=False)
    closing: Closing = field(init=False)
    issued: dict[str, None] = field(default_factory=dict)
    """Ray's ids of the trials that it works on, in the order in which they were issued."""
    deaths: Counter[str] = field(default_factory=Counter)
    """How often each trial has lost its worker."""
    cap: int | None = None
    """Trials at once, once memory was found to be short."""
    failed: list[str] = field(default_factory=list)
    """The trials that have failed in this start of the driver, in that order."""
    hopeless: str | None = None
    """Why there is no use in going on, for whoever reads it; None while there is."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray pickles what it calls, for a restoring of its own that is never used."""
        return {}

    def close(self, name: str) -> None:
        """Close a trial that has ended; where its storage fails, the sweep after the search does."""
        try:
            self.closing.close(name)
        except OSError as error:
            self.progress.say(f"{name} is closed later, as its files can't be reached now: {error}")

    def fail(self, name: str, error: str) -> None:
        """Note that a trial has failed, and keep its error where it can be read; see whether others can fare better."""
        self.ledger.fail(name, error)
        self.progress.say(f"{name} has failed: {in_short(error):.300}")
        try:
            self.run.error(name).write(error.encode())
        except OSError as why:  # the ledger has it
            self.progress.say(f"its error can't be written to {self.run.error(name)}: {why}")
        self.failed.append(name)
        method = self.ledger.trial(name).method
        trials = [trial for trial in self.ledger.trials() if trial.method == method]
        alike = failed_alike(trials, self.failed, self.spec.method_samples(method))
        if alike and self.hopeless is None:
            self.hopeless = told_of(alike, self.run)
            self.stop.wish(f"the first trials of {method} have failed alike")

    def lost_worker(self, name: str, how: str) -> None:
        """Have a trial issued again, unless it has lost too many workers."""
        self.deaths[name] += 1
        if self.deaths[name] <= MAX_WORKER_DEATHS:
            self.ledger.put_back(name)
        else:
            self.fail(name, f"its worker died {self.deaths[name]} times; the last time:\n{how}")

    def unfit(self, name: str, why: str) -> None:
        """A worker could not train at all; its trial is issued again when it has ended."""
        self.progress.say(f"{name} goes on elsewhere, as a worker can't train {why}")
        if self.deaths[name] >= MAX_WORKER_DEATHS:
            self.stop.wish(f"workers can't train {why}")
