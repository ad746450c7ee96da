"""What prepares a trial, kept for others: those that differ in the second stage alone have one first stage.

A file in the run's directory ``prepared`` holds what the preparation has changed of the state of all seeds that begin
together, under a key of all that it depends on. The rest of a state is of a trial's own, as the learning rate that an
optimizer of the second stage was given. So a trial that begins from the file becomes, bit for bit, what it would have
become by itself, on one kind of machine. Two that prepare at the same time write the same file, one after the other.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from scale_tune.spec.config import TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.checkpoint import load_recorded, save_recorded
from scale_tune.training.records import TrialRecord

logger = logging.getLogger(__name__)


class Prepared:
    """Where the state after a trial's preparation is kept.

    Args:
        directory: of all such files of the run.
        config: the trial's.
        second_stage: the options that the preparation does not depend on.
        fingerprints: of each seed's splits.
        device: what trains: another one adds in another order.
    """

    def __init__(
        self,
        directory: Location,
        config: TrialConfig,
        second_stage: Collection[str],
        fingerprints: Sequence[str],
        device: torch.device,
    ) -> None:
        plain = config.model_dump(mode="json", exclude={"method", "variant_of", "epochs", "objective"})
        plain["method"] = config.variant_of or config.method
        plain["options"] = {name: value for name, value in config.options.items() if name not in second_stage}
        depends_on = [plain, list(fingerprints), device.type, torch.__version__]
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:32]
        self._path = directory / f"{key}.safetensors"

    def load(self) -> tuple[TrialRecord, dict[str, Tensor]] | None:
        """What another trial has prepared: its record at that time, and what it changed of the state of all seeds."""
        try:
            return load_recorded(self._path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            logger.warning("%.300s: preparing anew", error)
            return None

    def save(self, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
        """Keep what has been prepared; a file that is there is the same, or damaged."""
        save_recorded(self._path, record, tensors)
