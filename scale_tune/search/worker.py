"""What runs on a worker: one trial after another, each epoch a step that Ray asks for."""

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from scale_tune.config import TrialConfig

if TYPE_CHECKING:
    from scale_tune.trial import Trial


class TuneTrial(tune.Trainable):
    """One trial on a worker: one step is one epoch of all its seeds."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a worker's first trial."""
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process, which saves starting one."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._error: str | None = None
        self._error_reported = False
        self._trial: Trial | None = None  # the last trial's networks go before this one's come
        try:
            self._trial = _open_trial(config)
            # What an earlier worker has completed is reported before anything is trained.
            self._unreported = self._trial.record.epoch > 0
        except Exception:
            self._error = traceback.format_exc()

    def step(self) -> dict[str, Any]:
        """Train an epoch and report all objectives so far, or the traceback of what went wrong.

        Raises:
            RuntimeError: after an error was reported. An error may leave the process in a state (a broken CUDA
                context, say) that would fail the next trial too; this makes Ray end the process.
        """
        if self._error_reported:
            raise RuntimeError("ends this process after an error")
        if self._trial is not None and self._error is None:
            try:
                if not self._unreported:
                    self._trial.train_epoch()
                self._unreported = False
            except Exception:
                self._error = traceback.format_exc()
        if self._trial is None or self._error is not None:
            self._error_reported = True
            return {"error": self._error}
        record = self._trial.record
        return {"objectives": record.objectives(), "finished": record.finished}


def _open_trial(config: dict[str, Any]) -> "Trial":
    # Imported here, so that the driver does without torch.
    import torch

    from scale_tune.datasets import load_splits
    from scale_tune.trial import Trial

    torch.set_num_threads(config["threads"])
    trial_config = TrialConfig.model_validate_json(config["config"])
    device = torch.device("cuda" if config["gpus"] and torch.cuda.is_available() else "cpu")
    splits = load_splits(trial_config.dataset)
    return Trial(config["trial"], trial_config, splits, device, Path(config["directory"]))
