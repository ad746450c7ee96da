"""Tensors on disk: one safetensors file per checkpoint, with the trial's record in its header.

Nothing is pickled. A file is complete or absent, and the one before it is removed only after it is in place, so a
trial directory always holds a usable checkpoint once its first epoch is over.
"""

from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from scale_tune.files import write_atomically
from scale_tune.records import HEADER_KEY, TrialRecord, checkpoint_path, checkpoints, read_header, weights_path


def save_checkpoint(directory: Path, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
    """Write the checkpoint of the record's epoch, then remove the older ones."""
    path = checkpoint_path(directory, record.epoch)
    _save(path, record, tensors)
    for older in checkpoints(directory):
        if older < path:
            older.unlink(missing_ok=True)


def load_checkpoint(directory: Path) -> tuple[TrialRecord, dict[str, Tensor]] | None:
    """The record and the tensors of a trial's last complete checkpoint, or None before the first."""
    while found := checkpoints(directory):
        try:
            return read_header(found[-1]), load_file(found[-1])
        except FileNotFoundError:  # a worker that was thought dead wrote the next one and removed this: look again
            continue
    return None


def save_weights(directory: Path, record: TrialRecord, seed: int, weights: dict[str, Tensor]) -> None:
    """Write the best-epoch weights of one seed of an ended trial."""
    _save(weights_path(directory, seed), record, weights)


def load_weights(directory: Path, seed: int) -> tuple[TrialRecord, dict[str, Tensor]]:
    """The record and the best-epoch weights of one seed of an ended trial.

    Raises:
        FileNotFoundError: the trial did not keep them.
    """
    path = weights_path(directory, seed)
    return read_header(path), load_file(path)


def _save(path: Path, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(on_cpu, {HEADER_KEY: record.model_dump_json()}))
