"""A trial: all its seeds trained in lockstep, epoch by epoch, with a checkpoint after each.

In a race (:class:`scale_tune.spec.config.Race`) the first seeds go ahead up to the last rung. Then the others begin,
and catch up by themselves, before all go on.
"""

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
        self._first, self._joining = slice(config.seeds_in(1)), slice(config.seeds_in(1), None)
        self._prepared = prepared if self.record.preparation else None
        if (final := read_final_record(directory)) is not None and final.finished:
            self._check_same_trial(final)
            self.record = final
        elif (checkpoint := load_checkpoint(directory)) is not None:
            self._check_same_trial(checkpoint[0])
            self._restore(*checkpoint)
        else:
            self._take_up(self._first)
        # Otherwise it begins anew, also where a pruned trial's record is: without weights there is no going on.

    def train_epoch(self) -> None:
        """One epoch of every replica that has not diverged, then the checkpoint; at the end also the weights.

        Where seeds join a race, it is one of theirs.
        """
        if self.preparing:
            self._prepare_epoch(self._first)
            return
        if self.joining:
            self._catch_up()
            return
        epoch = self.record.epoch + 1
        for replica, record in self._going_on(slice(self.record.config.seeds_in(epoch))):
            self._train_replica(replica, record, epoch)
        if self.record.finished:
            self._finish()
        # The last one, which nothing goes on from, says that the weights are all there: it comes after them.
        save_checkpoint(self.directory, self.record, {} if self.record.finished else self._tensors())

    @property
    def preparing(self) -> bool:
        """Whether the next epoch prepares those that count."""
        return self.record.prepared < self.record.preparation and not self.record.finished

    @property
    def joining(self) -> bool:
        """Whether the next epoch is of seeds that join a race."""
        race, record = self.record.config.race, self.record
        if race is None or record.epoch != race.join_after or record.finished:
            return False
        return record.caught_up < record.preparation + race.join_after and bool(self._going_on(self._joining))

    def _going_on(self, part: slice) -> list[tuple[Replica, ReplicaRecord]]:
        """Those of these replicas that have not diverged."""
        pairs = zip(self.replicas[part], self.record.replicas[part], strict=True)
        return [(replica, record) for replica, record in pairs if record.diverged_epoch is None]

    def _catch_up(self) -> None:
        """One epoch of every replica that joins, and the checkpoint."""
        if not self.record.caught_up:
            self._take_up(self._joining)
        epoch = self.record.caught_up - self.record.preparation + 1
        if epoch < 1:
            self._prepare_epoch(self._joining)
            return
        for replica, record in self._going_on(self._joining):
            self._train_replica(replica, record, epoch)
        save_checkpoint(self.directory, self.record, self._tensors())

    def _prepare_epoch(self, part: slice) -> None:
        """One epoch of preparation of replicas, the checkpoint and, after the last one, what others may share."""
        done = self.record.prepared % self.record.preparation + 1
        self.record.prepared += 1
        for replica, record in self._going_on(part):
            try:
                replica.prepare_epoch(done - self.record.preparation)
            except DivergenceError:
                record.diverged_epoch = 0
        tensors = self._tensors()
        # If all diverged, the trial has ended; one that took this up would end without a checkpoint to be closed by.
        whole = done == self.record.preparation and bool(self._going_on(part))
        if whole and (shared := self._shared(part)) is not None:
            shared.save(self.record, self._changed_tensors(part))
        save_checkpoint(self.directory, self.record, tensors)

    def _shared(self, part: slice) -> Prepared | None:
        """Where what the preparation of these replicas gives is kept for other trials, if it is."""
        if self._prepared is None:
            return None
        replicas = self.replicas[part]
        alone = {"seeds": tuple(replica.seed for replica in replicas), "race": None}
        return Prepared(
            self._prepared,
            self.record.config.model_copy(update=alone),
            type(replicas[0].method).second_stage,
            [replica.splits.fingerprint for replica in replicas],
            replicas[0].device,
        )

    def _changed_tensors(self, part: slice) -> dict[str, Tensor]:
        """What the preparation has changed; all else is as the method's set-up made it, by the trial's own options."""
        tensors: dict[str, Tensor] = {}
        for replica, _ in self._going_on(part):
            changed = replica.changed_tensors()
            tensors |= {f"seed-{replica.seed}/{name}": tensor for name, tensor in changed.items()}
        return tensors

    def _take_up(self, part: slice) -> None:
        """Have replicas begin after the preparation of another trial, if one has left it."""
        if (shared := self._shared(part)) is None or (found := shared.load()) is None:
            return
        others, tensors = {replica.seed: replica for replica in found[0].replicas}, found[1]
        self.record.prepared += self.record.preparation
        for replica, own in self._going_on(part):
            own.diverged_epoch = others[replica.seed].diverged_epoch
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
        for replica, record in zip(self.replicas, self.record.begun, strict=False):
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
        for replica, replica_record in zip(self.replicas, record.begun, strict=False):
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
