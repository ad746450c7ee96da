"""What runs on a worker: one trial after another, each epoch a step that Ray asks for."""

import errno
import logging
import platform
import shutil
import traceback
from typing import TYPE_CHECKING, Any

from ray import tune

from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.location import Location

if TYPE_CHECKING:
    from scale_tune.training.trial import Trial

FULL = (errno.ENOSPC, errno.EDQUOT)


class TuneTrial(tune.Trainable):
    """One trial on a worker: one step is one epoch of all its seeds.

    A step reports a dict with either ``objectives`` (of all epochs so far) and ``finished``, or one of ``error``
    (the config's fault: the trial has failed), ``unfit`` (the machine's fault: the trial is to be tried elsewhere)
    and ``full`` (no disk space: nothing can go on); besides, ``notes`` for the log.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a worker's first trial."""
        self._notes = _Notes()
        logging.getLogger("scale_tune").addHandler(self._notes)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process, which saves starting one."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._trouble: dict[str, str] | None = None
        self._trouble_reported = False
        self._trial: Trial | None = None  # the last trial's networks go before this one's come
        try:
            self._trial = _open_trial(config)
            # What an earlier worker has completed is reported before anything is trained.
            self._unreported = self._trial.record.epoch > 0
        except Exception as error:
            self._trouble = _trouble(error)

    def step(self) -> dict[str, Any]:
        """Train an epoch and report all objectives so far, or what went wrong.

        Raises:
            RuntimeError: after trouble was reported. It may leave the process in a state (a broken CUDA context,
                say) that would fail the next trial too; this makes Ray end the process.
        """
        if self._trouble_reported:
            raise RuntimeError("ends this process after an error")
        if self._trial is not None and self._trouble is None:
            try:
                if not self._unreported:
                    self._trial.train_epoch()
                self._unreported = False
            except Exception as error:
                self._trouble = _trouble(error)
        notes = self._notes.taken()
        if self._trial is None or self._trouble is not None:
            self._trouble_reported = True
            return {**(self._trouble or {}), "notes": notes}
        record = self._trial.record
        return {"objectives": record.objectives(), "finished": record.finished, "notes": notes}


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


def _trouble(error: Exception) -> dict[str, str]:
    """Whose fault an error is: the config's, unless files or data are the matter."""
    host = platform.node()
    if isinstance(error, OSError) and error.errno in FULL:
        return {"full": f"on {host}: {error}{_free_space(error.filename)}"}
    if isinstance(error, OSError | UserError):
        return {"unfit": f"on {host}: {error}"}
    return {"error": traceback.format_exc()}


def _free_space(path: str | None) -> str:
    if path is None:
        return ""
    try:
        disk = shutil.disk_usage(Location.of(path).parent.address)
    except OSError:
        return ""
    return f" ({disk.free / 1e6:.0f} MB of {disk.total / 1e6:.0f} MB are free)"


def _open_trial(config: dict[str, Any]) -> "Trial":
    # Imported here, so that the driver does without torch.
    import torch

    from scale_tune.datasets import load_splits
    from scale_tune.training.trial import Trial

    torch.set_num_threads(config["threads"])
    usercode.provide(config["sources"])
    trial_config = TrialConfig.model_validate_json(config["config"])
    device = torch.device("cuda" if config["gpus"] and torch.cuda.is_available() else "cpu")
    splits = load_splits(trial_config.dataset)
    return Trial(config["trial"], trial_config, splits, device, Location(config["directory"]))
