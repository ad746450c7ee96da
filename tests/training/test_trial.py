"""Training, and that nothing of it is lost by an interruption."""

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scale_tune import datasets
from scale_tune.datasets.splits import DatasetSplits
from scale_tune.errors import UserError
from scale_tune.spec.config import Hyperparameters, Schedule, TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.checkpoint import load_checkpoint
from scale_tune.training.replica import Replica
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import checkpoints, close_trial, drop_half_written, read_record
from tests.conftest import DEVICE

METHODS = ("erm", "erm_target", "scale")
EVERY = {"train": 10, "target": 4, "val": 5, "test": 10}
"""Which part of the digits is enough: 400 samples of train, 100 of target, 200 of val and of test."""


@pytest.fixture(scope="module")
def digits(digits) -> DatasetSplits:
    return few(digits)


def few(splits: DatasetSplits) -> DatasetSplits:
    parts = {}
    for name, step in EVERY.items():
        split = getattr(splits, name)
        arrays = {each.name: getattr(split, each.name)[::step] for each in dataclasses.fields(split)}
        parts[name] = dataclasses.replace(split, **arrays)
    return dataclasses.replace(splits, **parts)


def config(method="erm_target", **options) -> TrialConfig:
    settings = {
        "hyperparameters": Hyperparameters(lr=0.02, batch_size=32),
        "epochs": 3,
        "seeds": (0, 1),
        "schedule": Schedule.COSINE,
        "options": {"group_size": 16} if method == "scale" else {},
    }
    return TrialConfig(method=method, **(settings | options))


def open_trial(directory: Path, digits, trial_config: TrialConfig) -> Trial:
    return Trial("erm-00000", trial_config, dict.fromkeys(trial_config.seeds, digits), DEVICE, Location.of(directory))


def train_to_the_end(trial: Trial) -> Trial:
    while not trial.record.finished:
        trial.train_epoch()
    return trial


def outcome(directory: Path) -> dict:
    """Everything that must not depend on interruptions: all but the times."""
    record = read_record(Location.of(directory)).model_dump(exclude={"started": True})
    for replica in record["replicas"]:
        for epoch in replica["history"]:
            del epoch["seconds"]
    return record


def weights(directory: Path) -> list[dict[str, torch.Tensor]]:
    return [load_file(directory / f"seed-{seed}.safetensors") for seed in (0, 1)]


def assert_same_tensors(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_an_interruption_after_any_epoch_changes_no_bit(method, digits, tmp_path):
    trial_config = config(method)
    uninterrupted = open_trial(tmp_path / "whole", digits, trial_config)
    interrupted = tmp_path / "interrupted"
    while not uninterrupted.record.finished:
        uninterrupted.train_epoch()
        # A new process has a new state of torch's global generator.
        torch.manual_seed(torch.seed() % 2**31)
        open_trial(interrupted, digits, trial_config).train_epoch()
        if not uninterrupted.record.finished:
            assert_same_tensors(*(load_checkpoint(Location.of(d))[1] for d in (tmp_path / "whole", interrupted)))
    assert outcome(tmp_path / "whole") == outcome(interrupted)
    for first, second in zip(weights(tmp_path / "whole"), weights(interrupted), strict=True):
        assert_same_tensors(first, second)


def test_seeds_differ_and_do_not_depend_on_each_other(digits, tmp_path):
    train_to_the_end(open_trial(tmp_path / "both", digits, config()))
    train_to_the_end(open_trial(tmp_path / "one", digits, config(seeds=(1,))))
    both, one = outcome(tmp_path / "both")["replicas"], outcome(tmp_path / "one")["replicas"]
    assert both[1] == one[0]
    assert both[0]["history"] != both[1]["history"]


def test_the_record_has_every_epoch_and_the_first_best_one(digits, tmp_path):
    trial = train_to_the_end(open_trial(tmp_path, digits, config()))
    for replica in trial.record.replicas:
        assert [epoch.epoch for epoch in replica.history] == [1, 2, 3]
        objectives = [epoch.objective for epoch in replica.history]
        assert objectives == [epoch.splits["val"].worst_group for epoch in replica.history]
        assert replica.best.epoch == objectives.index(max(objectives)) + 1
        assert replica.best.objective == max(objectives)
    first, second = ([e.objective for e in r.history] for r in trial.record.replicas)
    assert trial.record.objectives() == [(max(first[:n]) + max(second[:n])) / 2 for n in (1, 2, 3)]


def test_of_equal_epochs_the_first_is_the_best(digits, tmp_path, monkeypatch):
    measure = Replica.train_epoch

    def always_half(replica, epoch):
        record, counts = measure(replica, epoch)
        return record.model_copy(update={"objective": 0.5}), counts

    monkeypatch.setattr(Replica, "train_epoch", always_half)
    trial = train_to_the_end(open_trial(tmp_path, digits, config()))
    assert [replica.best.epoch for replica in trial.record.replicas] == [1, 1]
    assert trial.record.objectives() == [0.5, 0.5, 0.5]


def test_the_kept_weights_are_those_of_the_best_epoch(digits, tmp_path):
    trial = train_to_the_end(open_trial(tmp_path, digits, config()))
    for replica, record in zip(trial.replicas, trial.record.replicas, strict=True):
        replica.method.network.load_state_dict(load_file(tmp_path / f"seed-{replica.seed}.safetensors"))
        assert replica.evaluate("val").counts().summary()["worst_group"] == record.best.objective
        assert replica.evaluate("test").counts().summary()["average"] == record.best.test.average
        assert record.best.groups["test"].n == replica.evaluate("test").counts().n.tolist()


def test_the_end_leaves_the_weights_the_record_and_the_checkpoint_before(digits, tmp_path):
    trial = train_to_the_end(open_trial(tmp_path, digits, config()))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-00002.safetensors",
        "checkpoint-00003.safetensors",
        "seed-0.safetensors",
        "seed-1.safetensors",
    ]
    assert not any("momentum" in name for name in load_file(tmp_path / "seed-0.safetensors"))
    assert load_checkpoint(Location.of(tmp_path)) == (trial.record, {}), "there is nothing to go on with"


@pytest.mark.parametrize("closed", [False, True])
def test_an_ended_trial_is_ended_also_for_the_next_worker(digits, tmp_path, closed):
    trial = train_to_the_end(open_trial(tmp_path, digits, config()))
    if closed:  # and an older copy of the ledger was restored
        close_trial(Location.of(tmp_path), trial.record)
    again = open_trial(tmp_path, digits, config())
    assert again.record.finished
    assert again.record == trial.record == read_record(Location.of(tmp_path))


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_an_end_that_was_cut_off_is_trained_again(digits, tmp_path, monkeypatch, writes):
    """After so many of its three files, which are the weights of two seeds and the last checkpoint."""
    trial = open_trial(tmp_path / "cut", digits, config())
    while trial.record.epoch < 2:
        trial.train_epoch()
    left, write = iter(range(writes)), Location.write

    def write_or_die(location, *parts):
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(location, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(Location, "write", write_or_die)
        with pytest.raises(KeyboardInterrupt):
            trial.train_epoch()
    resumed = open_trial(tmp_path / "cut", digits, config())
    assert resumed.record.epoch == 2
    train_to_the_end(resumed)
    train_to_the_end(open_trial(tmp_path / "whole", digits, config()))
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    for first, second in zip(weights(tmp_path / "cut"), weights(tmp_path / "whole"), strict=True):
        assert_same_tensors(first, second)


def test_test_is_judged_only_at_the_end(digits, tmp_path):
    trial = open_trial(tmp_path, digits, config())
    while not trial.record.finished:
        assert all(
            r.best is None or (r.best.test is None and "test" not in r.best.groups) for r in trial.record.replicas
        )
        trial.train_epoch()
    assert all(r.best.test is not None for r in trial.record.replicas)


def test_a_record_without_weights_is_not_gone_on_from(digits, tmp_path):
    """As after an older copy of the ledger was restored, in which a pruned trial was still running."""
    pruned = open_trial(tmp_path / "pruned", digits, config())
    pruned.train_epoch()
    close_trial(Location.of(tmp_path / "pruned"), pruned.record)
    assert not checkpoints(Location.of(tmp_path / "pruned"))
    again = train_to_the_end(open_trial(tmp_path / "pruned", digits, config()))
    close_trial(Location.of(tmp_path / "pruned"), again.record)
    train_to_the_end(open_trial(tmp_path / "whole", digits, config()))
    assert outcome(tmp_path / "pruned") == outcome(tmp_path / "whole")


def test_a_learning_rate_of_a_million_diverges_with_a_finite_objective(digits, tmp_path):
    wild = config("erm", hyperparameters=Hyperparameters(lr=1e6, batch_size=32))
    trial = train_to_the_end(open_trial(tmp_path, digits, wild))
    assert trial.record.diverged == 2
    assert all(0 <= objective <= 1 for objective in trial.record.objectives())
    assert len(trial.record.objectives()) == trial.record.epoch
    assert not list(tmp_path.glob("seed-*"))
    assert open_trial(tmp_path, digits, wild).record.finished


def test_a_diverged_replica_keeps_its_best_and_the_other_trains_on(digits, tmp_path):
    trial = open_trial(tmp_path, digits, config(epochs=4))
    trial.train_epoch()
    with torch.no_grad():
        next(trial.replicas[0].method.network.parameters()).fill_(float("nan"))
    trial.train_epoch()
    resumed = train_to_the_end(open_trial(tmp_path, digits, config(epochs=4)))
    diverged, healthy = resumed.record.replicas
    assert (diverged.diverged_epoch, len(diverged.history), len(healthy.history)) == (2, 1, 4)
    assert diverged.best.epoch == 1
    assert resumed.record.diverged == 1
    assert resumed.record.objectives()[-1] == (diverged.best.objective + healthy.best.objective) / 2


def test_a_failed_write_leaves_the_previous_checkpoint_usable(digits, tmp_path, monkeypatch):
    trial = open_trial(tmp_path, digits, config())
    trial.train_epoch()
    (before,) = checkpoints(Location.of(tmp_path))
    content = before.read()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            trial.train_epoch()
    assert [path.name for path in tmp_path.iterdir()] == [before.name]
    assert before.read() == content
    assert train_to_the_end(open_trial(tmp_path, digits, config())).record.epoch == 3


@pytest.mark.parametrize("damage", ["truncated", "header", "empty", "garbage"])
def test_of_damaged_checkpoints_the_last_good_one_is_used_and_said(digits, tmp_path, damage, caplog):
    trial = open_trial(tmp_path, digits, config(epochs=4))
    for _ in range(3):
        trial.train_epoch()
    first, second = sorted(tmp_path.iterdir())
    assert [first.name, second.name] == ["checkpoint-00002.safetensors", "checkpoint-00003.safetensors"]
    content = second.read_bytes()
    second.write_bytes(
        {"truncated": content[:-1], "header": content[:1000], "empty": b"", "garbage": b"\xff" * 1000}[damage]
    )
    assert read_record(Location.of(tmp_path)).epoch == (3 if damage == "truncated" else 2)
    resumed = open_trial(tmp_path, digits, config(epochs=4))
    assert resumed.record.epoch == 2
    assert "checkpoint-00003.safetensors is damaged" in caplog.text
    train_to_the_end(resumed)
    train_to_the_end(open_trial(tmp_path / "whole", digits, config(epochs=4)))
    assert outcome(tmp_path) == outcome(tmp_path / "whole")


def test_with_all_checkpoints_damaged_a_trial_begins_anew(digits, tmp_path, caplog):
    trial = open_trial(tmp_path, digits, config())
    for _ in range(2):
        trial.train_epoch()
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:500])
    assert open_trial(tmp_path, digits, config()).record.epoch == 0
    assert caplog.text.count("is damaged") == 2


def test_a_damaged_record_is_an_error_that_names_it(digits, tmp_path):
    trial = train_to_the_end(open_trial(tmp_path, digits, config(epochs=1)))
    close_trial(Location.of(tmp_path), trial.record)
    record = tmp_path / "record.json"
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(UserError, match="record.json is damaged"):
        read_record(Location.of(tmp_path))


def _die_while_renaming(directory: str) -> None:
    torch.set_num_threads(1)
    trial = open_trial(Path(directory), few(datasets.load_dataset("digits")), config())
    trial.train_epoch()
    Path.replace = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
    trial.train_epoch()


@pytest.mark.drill
def test_a_kill_in_the_middle_of_a_write_leaves_the_previous_checkpoint_usable(digits, tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_while_renaming, args=(str(tmp_path),))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (checkpoint,) = checkpoints(Location.of(tmp_path))
    assert checkpoint.name == "checkpoint-00001.safetensors"
    assert len(list(tmp_path.iterdir())) == 2, "the half-written file lies beside it"
    train_to_the_end(open_trial(tmp_path, digits, config()))
    drop_half_written(Location.of(tmp_path))
    assert not list(tmp_path.glob(".*"))
    train_to_the_end(open_trial(tmp_path / "whole", digits, config()))
    assert outcome(tmp_path) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("method", METHODS)
def test_methods_train_the_heads_and_backbone_they_should(method, digits, tmp_path):
    trial = open_trial(tmp_path, digits, config(method, seeds=(0,), epochs=1))
    model = trial.replicas[0].method.network
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trial.train_epoch()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == set(before)
    heads = {name.split(".")[1] for name in before if name.startswith("heads")}
    assert (
        heads
        == {
            "erm": {"train_head"},
            "erm_target": {"target_head"},
            "scale": {"train_head", "target_head"},
        }[method]
    )


def test_only_scale_has_a_cosine(digits, tmp_path):
    for method in METHODS:
        trial = open_trial(tmp_path / method, digits, config(method, seeds=(0,), epochs=1))
        trial.train_epoch()
        (record,) = trial.record.replicas[0].history
        assert set(record.diagnostics) == ({"cosine"} if method == "scale" else set())
        assert all(-1 <= value <= 1 for value in record.diagnostics.values())


def test_the_cosine_schedule_starts_at_lr_and_falls(digits, tmp_path):
    trial = train_to_the_end(open_trial(tmp_path, digits, config(seeds=(0,))))
    rates = [epoch.lr for epoch in trial.record.replicas[0].history]
    assert rates == pytest.approx([0.02, 0.015, 0.005])


def test_another_config_or_other_data_is_refused(digits, tmp_path):
    open_trial(tmp_path, digits, config()).train_epoch()
    with pytest.raises(UserError, match="was trained with the config"):
        open_trial(tmp_path, digits, config(epochs=9))
    with pytest.raises(UserError, match="was trained with the fingerprint"):
        open_trial(tmp_path, datasets.load_dataset("digits", seed=1), config())
