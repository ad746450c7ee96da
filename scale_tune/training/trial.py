"""A trial: all its seeds trained in lockstep, epoch by epoch, with a checkpoint after each."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime

import torch
from torch import Tensor

from scale_tune.datasets.groups import GroupCounts
from scale_tune.datasets.splits import DatasetSplits
from scale_tune.errors import UserError
from scale_tune.methods import is_refitted
from scale_tune.ranking import best_of
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.checkpoint import load_checkpoint, save_checkpoint, save_weights
from scale_tune.training.first_stage import Prepared
from scale_tune.training.kept_features import features_of, save_features
from scale_tune.training.records import (
    BestEpoch,
    CellsRecord,
    EpochRecord,
    GroupsRecord,
    ReplicaRecord,
    SplitRecord,
    TrialRecord,
)
from scale_tune.training.replica import DivergenceError, Replica
from scale_tune.training.trialdir import read_final_record


class Trial:
    """Trains a config once per seed and keeps its directory's checkpoint up to date.

    Created on a directory that holds a checkpoint, it goes on from there, and ends with the weights and history
    that it would have had without an interruption. When it has finished, its directory holds the best-epoch weights of
    each seed and, of a method that DFR refits, the features, unless a replica diverged; and a last checkpoint of the
    record alone. Closing it is the driver's business (:mod:`scale_tune.search.closing`).

    Args:
        name: as ``scale-00017``.
        config: what to train.
        splits: the data of each seed; must be what an existing checkpoint was trained on.
        device: where to train.
        directory: the trial's own directory.
        prepared: where trials that differ in their second stage alone keep what the first one gave; None: nothing is
            shared.

    Raises:
        UserError: the directory's checkpoint was trained with another config or on other data.
    """

    def __init__(
        self,
        name: str,
        config: TrialConfig,
        splits: Mapping[int, DatasetSplits],
        device: torch.device,
        directory: Location,
        prepared: Location | None = None,
    ) -> None:
        self.directory = directory
        self.replicas = [Replica(config, seed, splits[seed], device) for seed in config.seeds]
        self.best_weights: dict[int, dict[str, Tensor]] = {}
        self.record = TrialRecord(
            trial=name,
            config=config,
            node=platform.node(),
            device=str(device),
            threads=torch.get_num_threads(),
            started=datetime.now(UTC),
            preparation=self.replicas[0].method.preparation,
            knowledge=self.replicas[0].knowledge(),
            replicas=[
                ReplicaRecord(
                    seed=seed, fingerprint=splits[seed].fingerprint, cells=CellsRecord.of(splits[seed].info.groups)
                )
                for seed in config.seeds
            ],
        )
        self._shared = None
        if prepared is not None and self.record.preparation:
            fingerprints = [splits[seed].fingerprint for seed in config.seeds]
            second_stage = type(self.replicas[0].method).second_stage
            self._shared = Prepared(prepared, config, second_stage, fingerprints, device)
        if (final := read_final_record(directory)) is not None and final.finished:
            self._check_same_trial(final)
            self.record = final
        elif (checkpoint := load_checkpoint(directory)) is not None:
            self._check_same_trial(checkpoint[0])
            self._restore(*checkpoint)
        elif self._shared is not None and (found := self._shared.load()) is not None:
            self._take_up(*found)
        # Otherwise it begins anew, also where a pruned trial's record is: without weights there is no going on.

    def train_epoch(self) -> None:
        """One epoch of every replica that has not diverged, then the checkpoint; at the end also the weights."""
        if self.preparing:
            self._prepare_epoch()
            return
        epoch = self.record.epoch + 1
        for replica, record in zip(self.replicas, self.record.replicas, strict=True):
            if record.diverged_epoch is None:
                self._train_replica(replica, record, epoch)
        if self.record.finished:
            self._finish()
        # The last one, which nothing goes on from, says that the weights are all there: it comes after them.
        save_checkpoint(self.directory, self.record, {} if self.record.finished else self._tensors())

    @property
    def preparing(self) -> bool:
        """Whether the next epoch prepares those that count."""
        return self.record.prepared < self.record.preparation and not self.record.finished

    def _prepare_epoch(self) -> None:
        """One epoch of preparation of every replica, the checkpoint and, after the last one, what others may share."""
        self.record.prepared += 1
        for replica, record in zip(self.replicas, self.record.replicas, strict=True):
            if record.diverged_epoch is None:
                try:
                    replica.prepare_epoch(self.record.prepared - self.record.preparation)
                except DivergenceError:
                    record.diverged_epoch = 0
        tensors = self._tensors()
        # If all diverged, the trial has ended; one that took this up would end without a checkpoint to be closed by.
        whole = self.record.prepared == self.record.preparation and not self.record.finished
        if self._shared is not None and whole:
            self._shared.save(self.record, self._changed_tensors())
        save_checkpoint(self.directory, self.record, tensors)

    def _changed_tensors(self) -> dict[str, Tensor]:
        """What the preparation has changed; all else is as the method's set-up made it, by the trial's own options."""
        tensors: dict[str, Tensor] = {}
        for replica, record in zip(self.replicas, self.record.replicas, strict=True):
            if record.diverged_epoch is None:
                changed = replica.changed_tensors()
                tensors |= {f"seed-{replica.seed}/{name}": tensor for name, tensor in changed.items()}
        return tensors

    def _take_up(self, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
        """Begin after the preparation of another trial."""
        self.record.prepared = record.prepared
        for replica, own, other in zip(self.replicas, self.record.replicas, record.replicas, strict=True):
            own.diverged_epoch = other.diverged_epoch
            if own.diverged_epoch is None:
                replica.load_tensors(replica.tensors() | _below(f"seed-{replica.seed}/", tensors))

    def _train_replica(self, replica: Replica, record: ReplicaRecord, epoch: int) -> None:
        try:
            measured, counts = replica.train_epoch(epoch)
        except DivergenceError:
            record.diverged_epoch = epoch
            return
        record.history.append(measured)
        if best_of(epoch.objective for epoch in record.history) == len(record.history) - 1:
            record.best = _best_epoch(measured, counts)
            self.best_weights[replica.seed] = _copied(replica.method.network.state_dict())

    def _finish(self) -> None:
        for replica, record in zip(self.replicas, self.record.replicas, strict=True):
            if record.best is not None:
                self._evaluate_test(replica, record.best)
        # A trial with a diverged replica lacks a seed: it is never selected, so nothing is refitted on it.
        if not self.record.diverged:
            for replica in self.replicas:
                head = replica.method.network.evaluation_head
                save_weights(self.directory, self.record, replica.seed, self.best_weights[replica.seed], head)
                if is_refitted(self.record.config):
                    self._keep_features(replica)

    def _keep_features(self, replica: Replica) -> None:
        """Of the best epoch, whose weights the network has been given."""
        network, seed = replica.method.network, replica.seed
        save_features(
            self.directory, features_of(network, replica.splits, replica.device, record=self.record, seed=seed)
        )

    def _evaluate_test(self, replica: Replica, best: BestEpoch) -> None:
        """Judge the selected epoch on test, after everything is trained and selected."""
        replica.method.network.load_state_dict(self.best_weights[replica.seed])
        tally = replica.evaluate("test")
        counts = tally.counts()
        best.test = SplitRecord(loss=tally.mean_loss(), **counts.summary())
        best.groups["test"] = GroupsRecord.of(counts)

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that the next epochs and the final weights depend on."""
        tensors: dict[str, Tensor] = {}
        for replica, record in zip(self.replicas, self.record.replicas, strict=True):
            best = {f"best/{name}": tensor for name, tensor in self.best_weights.get(replica.seed, {}).items()}
            state = {} if record.diverged_epoch is not None else replica.tensors()
            tensors |= {f"seed-{replica.seed}/{name}": tensor for name, tensor in (best | state).items()}
        return tensors

    def _check_same_trial(self, known: TrialRecord) -> None:
        for what in ("trial", "config", "fingerprint"):
            then, now = getattr(known, what), getattr(self.record, what)
            if then != now:
                raise UserError(
                    f"the trial in {self.directory} was trained with the {what} {then!r}, but now it is {now!r}; "
                    "restore what it was trained with, or start a new run"
                )

    def _restore(self, record: TrialRecord, tensors: dict[str, Tensor]) -> None:
        self.record = record
        if record.finished:
            return
        for replica, replica_record in zip(self.replicas, record.replicas, strict=True):
            own = _below(f"seed-{replica.seed}/", tensors)
            self.best_weights[replica.seed] = _below("best/", own)
            if replica_record.diverged_epoch is None:
                replica.load_tensors({name: t for name, t in own.items() if not name.startswith("best/")})


def _best_epoch(record: EpochRecord, counts: dict[str, GroupCounts]) -> BestEpoch:
    groups = {split: GroupsRecord.of(c) for split, c in counts.items()}
    return BestEpoch(epoch=record.epoch, objective=record.objective, groups=groups)


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
