"""Checkpoints and weights: files of tensors with the trial's record in their header.

A file is complete or absent, and the one before it stays until the next is in place, so that a file which a disk or a
network damaged costs one epoch and not the trial.
"""

import logging

from torch import Tensor

from scale_tune.storage.location import Location
from scale_tune.training.records import TrialRecord, record_as_text
from scale_tune.training.tensorfile import load_tensors, save_tensors
from scale_tune.training.trialdir import (
    HEADER_KEY,
    checkpoint_path,
    checkpoints,
    read_record,
    record_said,
    weights_path,
)

KEPT_CHECKPOINTS = 2
SEED, PREDICTING_HEAD = "seed", "predicts"
"""Under which the header of a file of weights names the seed that they are of, and the head that predicts."""

logger = logging.getLogger(__name__)


def save_checkpoint(directory: Location, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
    """Write the checkpoint of the record's epoch, then remove those before the last one."""
    caught_up = record.caught_up if record.catching_up else 0
    path = checkpoint_path(directory, record.epoch, record.prepared, caught_up)
    save_recorded(path, record, tensors)
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
                return load_recorded(path)
            except FileNotFoundError:  # a worker that was thought dead wrote the next one and removed this
                break
            except ValueError as error:
                logger.warning("%.300s: going on from what was before it", error)
        else:
            return None
    return None


def save_weights(directory: Location, record: TrialRecord, seed: int, weights: dict[str, Tensor], head: str) -> None:
    """Write the best-epoch weights of one seed of an ended trial, and the name of the head that predicts."""
    save_recorded(weights_path(directory, seed), record, weights, {SEED: str(seed), PREDICTING_HEAD: head})


def load_weights(directory: Location, seed: int) -> tuple[TrialRecord, dict[str, Tensor], dict[str, Tensor]]:
    """The best-epoch weights of one seed of an ended trial.

    Returns:
        The trial's record, the weights of the backbone by their names in it, and those of the head that predicts.

    Raises:
        FileNotFoundError: the trial has kept none.
        ValueError: the file is damaged, or is of another seed or of another training than the trial's record.
        UserError: that record is damaged.
    """
    path = weights_path(directory, seed)
    said, tensors = load_tensors(path)
    record = _record_said(path, said)
    if said.get(SEED) != str(seed) or record != read_record(directory):
        of = f"{record.trial}, seed {said.get(SEED)}, as trained from {record.started:%Y-%m-%d %H:%M:%S} on"
        raise ValueError(f"{path} is not of the training that the trial's record tells of, but of {of}")
    parts = ("backbone.", f"heads.{said.get(PREDICTING_HEAD)}_head.")
    backbone, last = ({n.removeprefix(p): t for n, t in tensors.items() if n.startswith(p)} for p in parts)
    return record, backbone, last


def save_recorded(
    path: Location, record: TrialRecord, tensors: dict[str, Tensor], said: dict[str, str] | None = None
) -> None:
    """Write tensors, with a record in the header and what else is said of them."""
    save_tensors(path, tensors, {HEADER_KEY: record_as_text(record), **(said or {})})


def load_recorded(path: Location) -> tuple[TrialRecord, dict[str, Tensor]]:
    """The record and the tensors that :func:`save_recorded` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    said, tensors = load_tensors(path)
    return _record_said(path, said), tensors


def _record_said(path: Location, said: dict[str, str]) -> TrialRecord:
    try:
        return record_said(said)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
