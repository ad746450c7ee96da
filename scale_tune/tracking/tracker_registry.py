"""The trackers by name, a line for each."""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from scale_tune.errors import UserError
from scale_tune.spec.config import TrackerName
from scale_tune.storage.rundir import RunDir
from scale_tune.tracking.tracker import Tracker

TRACKERS = {
    TrackerName.TENSORBOARD: "scale_tune.tracking.to_tensorboard:TensorBoard",
    TrackerName.WANDB: "scale_tune.tracking.to_wandb:Wandb",
    TrackerName.MLFLOW: "scale_tune.tracking.to_mlflow:MLflow",
    TrackerName.TRACKIO: "scale_tune.tracking.to_trackio:Trackio",
}
"""Where each one's class is; it is imported when it is asked for."""


def tracker_class(name: TrackerName) -> type[Tracker]:
    """The class of a tracker."""
    module, _, attribute = TRACKERS[name].partition(":")
    found: type[Tracker] = getattr(import_module(module), attribute)
    return found


def check_trackers(names: Iterable[TrackerName], run: RunDir) -> None:
    """See that these trackers can show a run.

    Args:
        names: of the trackers.
        run: which need not be there yet.

    Raises:
        UserError: the package of one is not installed, or it has no place to write to.
    """
    for name in names:
        tracker = tracker_class(name)
        if find_spec(tracker.package) is None:
            raise UserError(f"track: {name} is not installed; pip install 'scale-tune[{name}]'")
        tracker.check(run)
