"""Tensors in files: one safetensors file per checkpoint, with the trial's record in its header.

Nothing is pickled. A file is complete or absent, and the one before it stays until the next is in place, so that a
file which a disk or a network damaged costs one epoch and not the trial.
"""

import logging

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from scale_tune.storage.location import Location
from scale_tune.training.records import (
    HEADER_KEY,
    TrialRecord,
    checkpoint_path,
    checkpoints,
    read_header,
    read_metadata,
    weights_path,
)

KEPT_CHECKPOINTS = 2
PREDICTING_HEAD = "predicts"
"""Under which the header of a file of weights names the head that predicts."""

logger = logging.getLogger(__name__)


def save_checkpoint(directory: Location, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
    """Write the checkpoint of the record's epoch, then remove those before the last one."""
    path = checkpoint_path(directory, record.epoch, record.prepared)
    save_tensors(path, record, tensors)
    older = [found for found in checkpoints(directory) if found.name < path.name]
    for superfluous in older[: 1 - KEPT_CHECKPOINTS]:
        superfluous.delete()


def load_checkpoint(directory: Location) -> tuple[TrialRecord, dict[str, Tensor]] | None:
    """The record and the tensors of a trial's last whole checkpoint, or None if there is none.

    A damaged one is passed over with a warning in the log.
    """
    while found := checkpoints(directory):
        for path in reversed(found):
            try:
                return load_tensors(path)
            except FileNotFoundError:  # a worker that was thought dead wrote the next one and removed this
                break
            except ValueError as error:
                logger.warning("%s is damaged (%.200s): going on from what was before it", path, error)
        else:
            return None
    return None


def save_weights(directory: Location, record: TrialRecord, seed: int, weights: dict[str, Tensor], head: str) -> None:
    """Write the best-epoch weights of one seed of an ended trial, and the name of the head that predicts."""
    save_tensors(weights_path(directory, seed), record, weights, {PREDICTING_HEAD: head})


def load_weights(directory: Location, seed: int) -> tuple[TrialRecord, dict[str, Tensor], dict[str, Tensor]]:
    """The best-epoch weights of one seed of an ended trial.

    Returns:
        The trial's record, the weights of the backbone by their names in it, and those of the head that predicts.

    Raises:
        FileNotFoundError: the trial has kept none.
        ValueError: the file is damaged, or is of another trial.
    """
    path = weights_path(directory, seed)
    record, tensors = load_tensors(path)
    head = read_metadata(path).get(PREDICTING_HEAD)
    if head is None or record.trial != directory.name:
        raise ValueError(f"{path} is not of {directory.name}, or says of no head that it predicts")
    parts = ("backbone.", f"heads.{head}_head.")
    backbone, last = ({n.removeprefix(p): t for n, t in tensors.items() if n.startswith(p)} for p in parts)
    return record, backbone, last


def save_tensors(
    path: Location, record: TrialRecord, tensors: dict[str, Tensor], said: dict[str, str] | None = None
) -> None:
    """Write tensors, with a record in the header and what else is said of them."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.write(save(on_cpu, {HEADER_KEY: record.model_dump_json(), **(said or {})}))


def load_tensors(path: Location) -> tuple[TrialRecord, dict[str, Tensor]]:
    """What :func:`save_tensors` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    try:
        return read_header(path), load(path.read())
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
