"""What is remembered of a trial: every epoch of every replica, and the groups at each replica's best epoch.

While a trial trains, its record is in the header of its checkpoint, so that the two can't disagree; when it has
ended, the record is a file of its own, ``record.json``.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open

from scale_tune.config import TrialConfig
from scale_tune.files import TEMPORARY_FILES, write_atomically
from scale_tune.metrics import GroupCounts

RECORD_FILE = "record.json"
HEADER_KEY = "record"
"""Under which a safetensors file holds the record in its header."""


class Record(BaseModel):
    """Base of the records; NaN and infinity have no place in them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


Accuracy = Annotated[float, Field(ge=0, le=1)]


class SplitRecord(Record):
    """Loss and accuracies on one split; an accuracy is None where the split has no sample of that group."""

    loss: float
    worst_group: Accuracy | None
    minority: Accuracy | None
    majority: Accuracy | None
    average: Accuracy | None


class EpochRecord(Record):
    """One epoch of one replica.

    ``train`` and ``target`` are measured while training on their batches, ``val`` after the epoch in eval mode.
    """

    epoch: int
    lr: float
    seconds: float
    cosine: float | None
    """Mean over steps and groups of cos(g_tr, g_tg); only SCALE has one."""
    objective: Accuracy
    """The validation objective of this epoch alone."""
    splits: dict[str, SplitRecord]


class GroupsRecord(Record):
    """Counts per cell, ``[label][attribute]``."""

    n: list[list[int]]
    correct: list[list[int]]

    @classmethod
    def of(cls, counts: GroupCounts) -> "GroupsRecord":
        """The counts as plain lists."""
        return cls(n=counts.n.tolist(), correct=counts.correct.tolist())


class BestEpoch(Record):
    """The first epoch with the highest validation objective."""

    epoch: int
    objective: Accuracy
    groups: dict[str, GroupsRecord]
    """Of every split measured in that epoch, and of test once the trial has run to its end."""
    test: SplitRecord | None = None


class ReplicaRecord(Record):
    """One seed of a trial."""

    seed: int
    history: list[EpochRecord] = []
    best: BestEpoch | None = None
    diverged_epoch: int | None = None
    """The epoch in which a loss was no longer finite; the replica ended before it."""

    def running_best(self, epoch: int) -> float:
        """The best validation objective up to an epoch; 0 if the replica diverged before its first evaluation."""
        return max((record.objective for record in self.history[:epoch]), default=0.0)


class TrialRecord(Record):
    """A trial with all its replicas, and where and on what it ran."""

    trial: str
    config: TrialConfig
    fingerprint: str
    """Of the dataset's splits."""
    node: str
    device: str
    threads: int
    """CPU threads of the worker; results are bit-identical on one machine with one thread count."""
    started: datetime
    replicas: list[ReplicaRecord]

    @property
    def epoch(self) -> int:
        """Completed epochs of the lockstep: those of the replica that got furthest."""
        return max(max(len(r.history), r.diverged_epoch or 0) for r in self.replicas)

    @property
    def diverged(self) -> int:
        """How many of the replicas diverged."""
        return sum(r.diverged_epoch is not None for r in self.replicas)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.epoch == self.config.epochs or self.diverged == len(self.replicas)

    def objectives(self) -> list[float]:
        """After each epoch, the mean over the replicas of the best validation objective so far.

        A replica that diverged keeps the best it had, so that the mean is always finite and over all seeds.
        """
        n = len(self.replicas)
        return [sum(r.running_best(epoch) for r in self.replicas) / n for epoch in range(1, self.epoch + 1)]


def checkpoint_path(directory: Path, epoch: int) -> Path:
    """Where a trial's checkpoint after this epoch is."""
    return directory / f"checkpoint-{epoch:05d}.safetensors"


def checkpoints(directory: Path) -> list[Path]:
    """A running trial's complete checkpoints, the newest last."""
    return sorted(directory.glob("checkpoint-*.safetensors"))


def weights_path(directory: Path, seed: int) -> Path:
    """Where an ended trial's best-epoch weights of this seed are, if it kept them."""
    return directory / f"seed-{seed}.safetensors"


def has_weights(directory: Path) -> bool:
    """Whether an ended trial kept its best-epoch weights."""
    return any(directory.glob("seed-*.safetensors"))


def drop_weights(directory: Path) -> None:
    """Remove the best-epoch weights of an ended trial."""
    for path in directory.glob("seed-*.safetensors"):
        path.unlink()


def drop_checkpoints(directory: Path) -> None:
    """Remove an ended trial's checkpoints."""
    for path in checkpoints(directory):
        path.unlink(missing_ok=True)


def drop_half_written(directory: Path) -> None:
    """Remove what killed writers left half-written. Not while a live worker may be writing."""
    for path in directory.glob(TEMPORARY_FILES):
        path.unlink(missing_ok=True)


def read_header(path: Path) -> TrialRecord:
    """The record in the header of a checkpoint or weights file; its tensors are not read."""
    with safe_open(path, framework="numpy") as file:
        return TrialRecord.model_validate_json(file.metadata()[HEADER_KEY])


def read_final_record(directory: Path) -> TrialRecord | None:
    """The record of an ended trial, else None."""
    path = directory / RECORD_FILE
    return TrialRecord.model_validate_json(path.read_bytes()) if path.exists() else None


def record_stamp(directory: Path) -> str | None:
    """Differs from what it was if an ended trial's record was replaced since; None if there is none."""
    try:
        status = (directory / RECORD_FILE).stat()
    except FileNotFoundError:
        return None
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"


def read_record(directory: Path) -> TrialRecord | None:
    """What is known of a trial: its final record, else its last checkpoint's, else None."""
    while True:
        found = checkpoints(directory)
        if not found or (directory / RECORD_FILE).exists():
            return read_final_record(directory)
        try:
            return read_header(found[-1])
        except FileNotFoundError:  # replaced by the next one meanwhile: look again
            continue


def close_trial(directory: Path, record: TrialRecord) -> None:
    """Write an ended trial's record file, then remove its checkpoint, and with it the optimizer's state."""
    write_atomically(directory / RECORD_FILE, record.model_dump_json(indent=1).encode())
    drop_checkpoints(directory)
