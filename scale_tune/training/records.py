"""What is remembered of a trial: every epoch of every replica, and the groups at each replica's best epoch.

While a trial trains, its record is in the header of its checkpoint, so that the two can't disagree; when it has
ended, the record is a file of its own, ``record.json`` (:mod:`scale_tune.training.trialdir`). Either is sealed
(:mod:`scale_tune.storage.seal`).
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from scale_tune.datasets.groups import GroupCounts, Groups
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.seal import blank, check_seal, sealed


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
    train_weighted: Accuracy | None
    worst_class: Accuracy | None


class EpochRecord(Record):
    """One epoch of one replica.

    ``train`` and ``target`` are measured while training on their batches, ``val`` after the epoch in eval mode.
    """

    epoch: int
    lr: float
    seconds: float
    diagnostics: dict[str, float]
    """What the method reports besides, as SCALE's cosine: means over the epoch's steps."""
    objective: Accuracy
    """The validation objective of this epoch alone."""
    splits: dict[str, SplitRecord]


class CellsRecord(Record):
    """How each cell of the dataset is judged, ``[label][attribute]``."""

    aligned: list[list[bool]]
    evaluation_group: list[list[str]]
    """The name of the evaluation group that it belongs to."""
    train_n: list[list[int]]
    """Samples of train."""

    @classmethod
    def of(cls, groups: Groups) -> "CellsRecord":
        """The dataset's cells as plain lists."""
        if groups.train_n is None:
            raise ValueError("the cells of data that is not loaded have no counts")
        return cls(
            aligned=groups.aligned.tolist(),
            evaluation_group=groups.evaluation_group_names.tolist(),
            train_n=[list(row) for row in groups.train_n],
        )


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
    fingerprint: str
    """Of the splits that it was trained and judged on."""
    cells: CellsRecord
    history: list[EpochRecord] = []
    best: BestEpoch | None = None
    diverged_epoch: int | None = None
    """The epoch in which a loss was no longer finite, 0 if that was in the preparation; the replica ended before it."""

    def running_best(self, epoch: int) -> float:
        """The best validation objective up to an epoch; 0 if the replica diverged before its first evaluation."""
        return max((record.objective for record in self.history[:epoch]), default=0.0)


class KnowledgeRecord(Record):
    """What training was told of the data."""

    labels_of: list[str]
    """The splits that it learned from."""
    attributes_of: list[str]
    """Those of them whose attributes it knew."""
    samples: dict[str, int]
    """How many each split has; of seeds with splits of their own, the first one's."""


class TrialRecord(Record):
    """A trial with all its replicas, and where and on what it ran."""

    trial: str
    config: TrialConfig
    node: str
    device: str
    threads: int
    """CPU threads of the worker; results are bit-identical on one machine with one thread count."""
    started: datetime
    preparation: int = 0
    """How many epochs prepare the method, before those that count."""
    prepared: int = 0
    """How many of them are trained; in a race, those of the seeds that join on top of those of the first ones."""
    knowledge: KnowledgeRecord
    replicas: list[ReplicaRecord] = Field(min_length=1)

    @property
    def fingerprint(self) -> str:
        """Of the splits of all seeds: the one that they share, or else one over theirs."""
        of_seeds = [replica.fingerprint for replica in self.replicas]
        return of_seeds[0] if len(set(of_seeds)) == 1 else hashlib.sha256(" ".join(of_seeds).encode()).hexdigest()

    @property
    def epoch(self) -> int:
        """Completed epochs of the lockstep: those of the replica that got furthest.

        If no replica has outlived the preparation, the trial has ended in the first one, with an objective of 0.
        """
        return max(_furthest(self.replicas), int(self._all_diverged))

    @property
    def caught_up(self) -> int:
        """Epochs of the seeds that join a race, those of preparation included."""
        joined = self.replicas[self.config.seeds_in(1) :]
        return max(0, self.prepared - self.preparation) + _furthest(joined)

    @property
    def catching_up(self) -> bool:
        """Whether the last epoch was of seeds that join a race, and nothing to judge the trial by."""
        race = self.config.race
        return race is not None and self.epoch == race.join_after and self.caught_up > 0

    @property
    def begun(self) -> list[ReplicaRecord]:
        """The replicas that have been trained, or are to be next: in a race, the first ones until others join."""
        return self.replicas if self.caught_up else self.replicas[: self.config.seeds_in(1)]

    @property
    def diverged(self) -> int:
        """How many of the replicas diverged."""
        return sum(r.diverged_epoch is not None for r in self.replicas)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.epoch == self.config.epochs or self._all_diverged

    @property
    def _all_diverged(self) -> bool:
        """Whether no replica of the lockstep goes on; in a race, others then don't join."""
        n = self.config.seeds_in(_furthest(self.replicas))
        return all(r.diverged_epoch is not None for r in self.replicas[:n])

    def objectives(self) -> list[float]:
        """After each epoch, the mean over the replicas of the best validation objective so far.

        A replica that diverged keeps the best it had, so that the mean is always finite and over all seeds. In a race
        it is over the first seeds up to the last rung, also after others have joined, and over all seeds afterwards,
        when it may be lower than before.
        """
        return [self._objective(epoch) for epoch in range(1, self.epoch + 1)]

    def _objective(self, epoch: int) -> float:
        n = self.config.seeds_in(epoch)
        return sum(r.running_best(epoch) for r in self.replicas[:n]) / n

    def digest(self) -> str:
        """Differs wherever anything differs: what was left beside the record names the training that it is of by it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _furthest(replicas: Iterable[ReplicaRecord]) -> int:
    return max((max(len(r.history), r.diverged_epoch or 0) for r in replicas), default=0)


KIND = "record"


class _SealedRecord(Record):
    """How a record is written."""

    record: TrialRecord
    seal: str = blank(KIND)


def record_as_text(record: TrialRecord, indent: int | None = None) -> str:
    """JSON with a digest of itself."""
    text = _SealedRecord(record=record).model_dump_json(indent=indent)
    return b"".join(sealed(text.encode(), KIND)).decode()


def record_from_text(text: bytes) -> TrialRecord:
    """What :func:`record_as_text` wrote.

    Raises:
        ValueError: it is not as it was written.
    """
    check_seal(text, KIND)
    return _SealedRecord.model_validate_json(text).record
