"""What a tracker is to this package."""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from scale_tune.errors import UserError
from scale_tune.storage.rundir import RunDir
from scale_tune.tracking.curves import Curve


class Tracker(ABC):
    """One tracker, as what shows one run.

    What it has of a run is found in its own store, by ids that follow from the run, the trial and the seed. Whatever
    happened to those who wrote there before, what is written again is there once.

    Args:
        run: the run that it shows.

    Attributes:
        project: what it calls the run: the name of the directory; of a run within another's, both names.
        run_id: the run's own, whatever becomes of its directory.
    """

    package: ClassVar[str]
    """The Python package without which there is none."""
    place: ClassVar[str | None] = None
    """The variable of the environment that names a place for its files, if it needs one on a disk."""
    of_running: ClassVar[bool] = True
    """Whether it is told of trials that are still trained."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        parent = run.path.parent
        within = RunDir(parent).spec.is_file()
        self.project = f"{parent.name}-{run.path.name}" if within else run.path.name
        made = {key: value for key, value in run.provenance().items() if key != "resumed"}
        self.run_id = hashlib.sha256(json.dumps(made, sort_keys=True, default=str).encode()).hexdigest()[:8]

    @classmethod
    def check(cls, run: RunDir) -> None:
        """See that it has a place for a run, which need not be there yet.

        Raises:
            UserError: it needs one on a disk, and the run is in an object store.
        """
        if cls.place and cls.named_place() is None and run.path.local is None:
            raise UserError(
                f"track: {cls.package} needs a place on a disk, and {run.path} is in an object store; name one in "
                f"the environment, as {cls.place}"
            )

    @classmethod
    def named_place(cls) -> str | None:
        """The place that the user has named for it, if one was."""
        return os.environ.get(cls.place) or None if cls.place else None

    @property
    def directory(self) -> Path:
        """Its own in the run's, where that is on a disk."""
        return Path(str(self.run.path)) / self.package

    @abstractmethod
    def write(self, curves: Sequence[Curve]) -> None:
        """Bring it up to a trial; if killed in the middle, the next time makes it whole.

        Args:
            curves: of all seeds, as they are now.

        Raises:
            Exception: of any kind, as trackers have them.
        """

    def send(self) -> None:  # noqa: B027  # most have nothing left to do
        """Called after a round of :meth:`write`."""

    @abstractmethod
    def how_to_look(self) -> str:
        """The command or address that shows the run."""

    def id_of(self, curve: Curve) -> str:
        """By which a curve is found again."""
        return f"{self.run_id}-{curve.name}"
