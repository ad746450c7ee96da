"""The epochs that prepare a trial: interrupted, shared by others, and those in which it diverges."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig, ModelOptions
from scale_tune.storage.location import Location
from scale_tune.training.checkpoint import load_checkpoint
from scale_tune.training.replica import Replica
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import read_record, weights
from tests.support.searches import timeless
from tests.support.small import BALANCED, assert_same_bits, small_config, small_splits

FIRST = 3
FEW = {(0, 0): 14, (0, 1): 3, (1, 0): 4, (1, 1): 11}
OPTIONS = {
    "jtt": {"first_epochs": FIRST, "upweight": 3},
    "finetune": {"first_epochs": FIRST, "finetune_lr_factor": 0.5},
    "afr": {"first_epochs": FIRST, "last_layer_lr": 0.05, "steps_per_epoch": 3},
}


def asked(method: str = "jtt", *, options=None, **fields):
    settings = {"seeds": (0, 1), "schedule": "cosine"} | fields
    return small_config(method, options=OPTIONS[method] | (options or {}), **settings)


def opened(directory: Path, config=None, *, prepared: Path | None = None, splits=None) -> Trial:
    config = config or asked()
    data = dict.fromkeys(config.seeds, splits or small_splits(FEW, FEW))
    shared = None if prepared is None else Location.of(prepared)
    return Trial("a-00000", config, data, torch.device("cpu"), Location.of(directory), shared)


def ended(trial: Trial) -> Trial:
    while not trial.record.finished:
        trial.train_epoch()
    return trial


def outcome(trial: Trial) -> tuple:
    """All that a trial leaves behind, to the last bit."""
    kept = [load_file(path.local) for path in weights(trial.directory)]
    return timeless(trial.record), [{name: tensor.tolist() for name, tensor in each.items()} for each in kept]


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    """Processes are killed here, and no power is cut."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def trained_first(monkeypatch) -> list[int]:
    """The epochs of preparation that were trained, of all replicas."""
    epochs, prepare = [], Replica.prepare_epoch

    def counted(replica, epoch):
        epochs.append(epoch)
        prepare(replica, epoch)

    monkeypatch.setattr(Replica, "prepare_epoch", counted)
    return epochs


@pytest.mark.parametrize("method", OPTIONS)
def test_each_epoch_of_both_stages_can_be_the_last_before_an_interruption(method, tmp_path, trained_first):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    uninterrupted = opened(whole, asked(method))
    for epoch in range(1, FIRST + 2 + 1):
        uninterrupted.train_epoch()
        torch.manual_seed(epoch)  # as in a new process
        trial = opened(pieces, asked(method))
        trial.train_epoch()
        assert trial.record.prepared == min(epoch, FIRST)
        assert trial.record.epoch == max(0, epoch - FIRST) == len(trial.record.objectives())
        if not trial.record.finished:
            assert_same_bits(*(load_checkpoint(Location.of(each))[1] for each in (whole, pieces)))
        if epoch <= FIRST:
            last_two = [f"checkpoint-00000-{n:05d}.safetensors" for n in (epoch - 1, epoch) if n]
            assert names(pieces) == last_two
    assert trained_first == [each for epoch in (-2, -1, 0) for each in [epoch] * 4]
    assert uninterrupted.record.finished
    assert outcome(trial) == outcome(uninterrupted)
    assert [epoch.epoch for epoch in trial.record.replicas[0].history] == [1, 2]


def _die_in_the_first_stage(directory: str) -> None:
    torch.set_num_threads(1)
    trial = opened(Path(directory))
    trial.train_epoch()
    trial.train_epoch()
    trial.replicas[1].prepare_epoch = lambda epoch: os.kill(os.getpid(), signal.SIGKILL)
    trial.train_epoch()


@pytest.mark.drill
def test_a_kill_in_the_middle_of_the_first_stage_costs_one_epoch(tmp_path, trained_first):
    process = multiprocessing.get_context("spawn").Process(target=_die_in_the_first_stage, args=(str(tmp_path / "a"),))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert names(tmp_path / "a") == [f"checkpoint-00000-{n:05d}.safetensors" for n in (1, 2)]
    assert read_record(Location.of(tmp_path / "a")).prepared == 2
    resumed = ended(opened(tmp_path / "a"))
    assert trained_first == [0, 0]
    assert outcome(resumed) == outcome(ended(opened(tmp_path / "b")))


def test_a_damaged_checkpoint_of_the_first_stage_costs_one_epoch(tmp_path, caplog):
    trial = opened(tmp_path / "a")
    trial.train_epoch()
    trial.train_epoch()
    last = tmp_path / "a" / "checkpoint-00000-00002.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    resumed = opened(tmp_path / "a")
    assert resumed.record.prepared == 1
    assert "checkpoint-00000-00002.safetensors is damaged" in caplog.text
    assert outcome(ended(resumed)) == outcome(ended(opened(tmp_path / "b")))


@pytest.mark.parametrize("interrupted", [False, True], ids=["at once", "interrupted"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("jtt", {"upweight": 20}),
        ("finetune", {"finetune_lr_factor": 0.1}),
        ("afr", {"last_layer_lr": 0.5, "afr_gamma": 1.0, "afr_lambda": 0.1, "steps_per_epoch": 2}),
    ],
)
def test_trials_that_differ_in_the_second_stage_share_the_first(method, options, interrupted, tmp_path, trained_first):
    shared = tmp_path / "prepared"
    if interrupted:
        opened(tmp_path / "first", asked(method), prepared=shared).train_epoch()
    ended(opened(tmp_path / "first", asked(method), prepared=shared))
    assert len(trained_first) == 2 * FIRST
    other = asked(method, options=options, epochs=4, objective="average")
    taken = opened(tmp_path / "second", other, prepared=shared)
    assert (taken.record.prepared, taken.record.epoch, taken.preparing) == (FIRST, 0, False)
    ended(taken)
    assert len(trained_first) == 2 * FIRST, "nothing was prepared anew"
    assert len(names(shared)) == 1
    alone = ended(opened(tmp_path / "alone", other))
    assert len(trained_first) == 4 * FIRST
    assert outcome(taken) == outcome(alone)


OWN = """
import torch
from scale_tune import MethodOptions, Method, Step, descend
from torch.nn.functional import cross_entropy

class Rates(MethodOptions):
    second_lr: float = 0.1
    weight: float = 1.0

class Own(Method):
    learns_from = ("train",)
    Options = Rates
    second_stage = ("second_lr", "weight")

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())
        self.of_second_stage = self.sgd(self.network.parameters(), lr=self.options.second_lr)
        self.weight = torch.tensor(self.options.weight)
        self.stage = "first"

    @classmethod
    def prepares(cls, options):
        return 2

    def begin_epoch(self, epoch):
        self.stage = "first" if epoch < 1 else "second"

    def step(self, batches):
        loss = cross_entropy(self.network(batches["train"].images), batches["train"].labels)
        if self.stage == "first":
            descend(loss, self.optimizer)
        else:
            descend(loss * self.weight, self.of_second_stage)
        return Step()
"""


def test_what_an_own_method_has_made_of_its_second_stages_options_is_not_taken_from_another(tmp_path):
    usercode.provide({"own_stages.py": OWN})
    first, other = (
        small_config("own", options=options, schedule="cosine").model_copy(update={"file": "own_stages.py"})
        for options in ({"second_lr": 0.01, "weight": 1.0}, {"second_lr": 0.3, "weight": 0.5})
    )
    ended(opened(tmp_path / "first", first, prepared=tmp_path / "prepared"))
    taken = opened(tmp_path / "second", other, prepared=tmp_path / "prepared")
    assert not taken.preparing
    assert outcome(ended(taken)) == outcome(ended(opened(tmp_path / "alone", other)))


def test_a_variant_shares_the_first_stage_of_its_method(tmp_path, trained_first):
    ended(opened(tmp_path / "first", prepared=tmp_path / "prepared"))
    variant = asked().model_copy(update={"method": "jtt_again", "variant_of": "jtt"})
    ended(opened(tmp_path / "second", variant, prepared=tmp_path / "prepared"))
    assert len(trained_first) == 2 * FIRST


@pytest.mark.parametrize(
    "fields",
    [
        {"lr": 0.01},
        {"weight_decay": 0.1},
        {"seeds": (1, 2)},
        {"schedule": "none"},
        {"options": {"with_target": True}},
        {"model": ModelOptions(name="resnet18")},
        {"dataset": DatasetConfig(name="digits", noise=0.3)},
    ],
    ids=str,
)
def test_whatever_the_first_stage_depends_on_parts_it(fields, tmp_path):
    ended(opened(tmp_path / "first", prepared=tmp_path / "prepared"))
    other = opened(tmp_path / "other", asked(**fields), prepared=tmp_path / "prepared")
    assert other.preparing
    assert other.record.prepared == 0


def test_another_number_of_epochs_and_other_data_part_it(tmp_path):
    ended(opened(tmp_path / "first", prepared=tmp_path / "prepared"))
    longer = asked(options={"first_epochs": FIRST + 1})
    assert opened(tmp_path / "longer", longer, prepared=tmp_path / "prepared").preparing
    data = small_splits(train=BALANCED)
    assert opened(tmp_path / "data", splits=data, prepared=tmp_path / "prepared").preparing


def test_of_an_own_checkpoint_and_a_shared_stage_the_own_one_counts(tmp_path, trained_first):
    trial = opened(tmp_path / "own", prepared=tmp_path / "prepared")
    while trial.record.epoch < 1:
        trial.train_epoch()
    again = opened(tmp_path / "own", prepared=tmp_path / "prepared")
    assert again.record.epoch == 1


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_first_stage_is_prepared_anew_said_and_replaced(damage, tmp_path, caplog, trained_first):
    shared = tmp_path / "prepared"
    ended(opened(tmp_path / "first", prepared=shared))
    (path,) = shared.iterdir()
    path.write_bytes({"truncated": path.read_bytes()[:-1], "garbage": b"\xff" * 99}[damage])
    second = ended(opened(tmp_path / "second", prepared=shared))
    assert f"{path.name} is damaged" in caplog.text
    assert "preparing anew" in caplog.text
    assert len(trained_first) == 4 * FIRST
    ended(opened(tmp_path / "third", prepared=shared))
    assert len(trained_first) == 4 * FIRST, "the whole file is there again"
    assert outcome(second) == outcome(ended(opened(tmp_path / "alone")))


def test_without_a_place_for_them_nothing_is_shared(tmp_path, trained_first):
    ended(opened(tmp_path / "first"))
    ended(opened(tmp_path / "second", asked(options={"upweight": 9})))
    assert len(trained_first) == 4 * FIRST
    assert names(tmp_path) == ["first", "second"]


def test_a_trial_whose_seeds_all_diverge_while_they_prepare_ends_there(tmp_path):
    """And shares nothing: one that took that up would end without a file of its own to be closed by."""
    for options in ({"first_epochs": 1}, {"first_epochs": FIRST}):
        wild = asked(lr=1e30, options=options)
        directory = tmp_path / str(options["first_epochs"])
        trial = ended(opened(directory, wild, prepared=tmp_path / "prepared"))
        assert [replica.diverged_epoch for replica in trial.record.replicas] == [0, 0]
        assert (trial.record.prepared, trial.record.epoch) == (1, 1)
        assert trial.record.objectives() == [0.0]
        assert names(directory) == ["checkpoint-00001.safetensors"]
        assert not (tmp_path / "prepared").exists()
        again = opened(directory, wild)
        assert again.record.finished
        assert timeless(again.record) == timeless(trial.record)


def test_one_seed_that_diverges_while_it_prepares_leaves_the_other_to_train(tmp_path):
    whole = ended(opened(tmp_path / "whole"))
    trial = opened(tmp_path / "a", prepared=tmp_path / "prepared")
    trial.train_epoch()
    with torch.no_grad():
        next(trial.replicas[0].method.network.parameters()).fill_(float("nan"))
    trial.train_epoch()
    resumed = ended(opened(tmp_path / "a", prepared=tmp_path / "prepared"))
    taken = ended(opened(tmp_path / "b", prepared=tmp_path / "prepared"))
    for each in (resumed, taken):
        wild, healthy = each.record.replicas
        assert (wild.diverged_epoch, wild.history, wild.best) == (0, [], None)
        assert (
            healthy == whole.record.replicas[1]
            or timeless(each.record)["replicas"][1] == (timeless(whole.record)["replicas"][1])
        )
        assert each.record.objectives() == [healthy.running_best(epoch) / 2 for epoch in (1, 2)]
        assert not weights(each.directory)
