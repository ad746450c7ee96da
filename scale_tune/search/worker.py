"""What runs on a worker: one trial after another, each epoch a step that Ray asks for."""

import gc
import logging
import platform
import traceback
from typing import TYPE_CHECKING, Any

from ray import tune

from scale_tune.errors import UserError
from scale_tune.search.messages import CaughtUp, Failed, Full, Outcome, Prepared, Progressed, Report, Unfit, encode
from scale_tune.spec import usercode
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.full import what_is_full
from scale_tune.storage.location import Location
from scale_tune.storage.umask import keep_from_all

if TYPE_CHECKING:
    from scale_tune.training.trial import Trial


class TuneTrial(tune.Trainable):
    """One trial on a worker: one step is one epoch of all its seeds, and is told by a :class:`Report`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a worker's first trial."""
        keep_from_all()  # on a cluster, this is no child of the driver
        self._notes = _Notes()
        logging.getLogger("scale_tune").addHandler(self._notes)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process, which saves starting one."""
        # Its networks and the maps of its data, which are parts of cycles, go before the next ones come. What
        # is left are modules, which need not be looked through each time: that takes a quarter of a second.
        del self._trial
        gc.collect()
        gc.freeze()
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._in_trouble = False
        # What is told before anything is trained: what an earlier worker has completed, or that nothing can be.
        self._untold: Outcome | None = None
        try:
            self._trial = _open_trial(config)
            if self._trial.record.epoch > 0:
                self._untold = _progress(self._trial)
        except Exception as error:
            self._untold = _trouble(error)

    def step(self) -> dict[str, Any]:
        """Train an epoch and report all objectives so far, or what went wrong.

        Raises:
            RuntimeError: after trouble was reported. It may leave the process in a state (a broken CUDA context,
                say) that would fail the next trial too; this makes Ray end the process.
        """
        if self._in_trouble:
            raise RuntimeError("ends this process after an error")
        outcome, self._untold = self._untold or self._train_epoch(), None
        self._in_trouble = not isinstance(outcome, Progressed | Prepared | CaughtUp)
        return encode(Report(outcome=outcome, notes=self._notes.taken()))

    def _train_epoch(self) -> Outcome:
        try:
            self._trial.train_epoch()
        except Exception as error:
            return _trouble(error)
        return _progress(self._trial)


class _Notes(logging.Handler):
    """Keeps this package's warnings until the next report takes them along."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())

    def taken(self) -> list[str]:
        taken, self._texts = self._texts, []
        return taken


def _progress(trial: "Trial") -> Progressed | Prepared | CaughtUp:
    record = trial.record
    if record.epoch == 0:
        return Prepared(epochs=record.prepared, of=record.preparation)
    if record.catching_up:
        # The ledger has let the trial go on from the last rung, and is not asked again, when others may have passed it.
        return CaughtUp(epochs=record.caught_up, of=record.preparation + record.epoch)
    return Progressed(objectives=record.objectives(), finished=record.finished)


def _trouble(error: Exception) -> Failed | Unfit | Full:
    """Whose fault an error is: the config's, unless files or data are the matter."""
    if (where := what_is_full(error)) is not None:
        return Full(where=where)
    if isinstance(error, OSError | UserError):
        return Unfit(why=f"on {platform.node()}: {error}")
    return Failed(traceback=traceback.format_exc())


def _open_trial(config: dict[str, Any]) -> "Trial":
    # Imported here, so that the driver does without torch.
    import torch

    from scale_tune.datasets import splits_by_seed
    from scale_tune.training.allocator import keep_freed_memory
    from scale_tune.training.trial import Trial

    keep_freed_memory()
    torch.set_num_threads(config["threads"])
    usercode.provide(config["sources"])
    trial_config = TrialConfig.model_validate_json(config["config"])
    device = torch.device("cuda" if config["gpus"] and torch.cuda.is_available() else "cpu")
    directory = Location(config["directory"])
    prepared = None if config["prepared"] is None else Location(config["prepared"])
    return Trial(config["trial"], trial_config, splits_by_seed(trial_config), device, directory, prepared)
