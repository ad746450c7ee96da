"""What must hold of every method: those of the package, the example's, and made-up ones that are hard to resume."""

import copy
import math
from functools import cached_property
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scale_tune.datasets import load_splits, splits_by_seed
from scale_tune.errors import UserError
from scale_tune.methods import Method, Step, method_class, registered_methods
from scale_tune.methods.saving import load_state, state_of
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig, Hyperparameters, ModelOptions, TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.replica import Replica
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import weights, weights_path
from tests.conftest import REPOSITORY
from tests.support.searches import timeless

MADE_UP = Path(__file__).with_name("made_up.py")
GROUP_DRO = REPOSITORY / "examples" / "own_method" / "group_dro.py"
METHODS = {
    **{name: None for name, _ in registered_methods()},
    "my_group_dro": "group_dro.py",
    "adam_with_buffer": "made_up.py:AdamWithBuffer",
    "two_stages": "made_up.py:TwoStages",
}
SETTINGS = {
    "cells, dropout": (
        DatasetConfig(name="tinted", file="made_up.py:Tinted"),
        ModelOptions(name="made_up.py:with_dropout"),
    ),
    "aligned or not": (DatasetConfig(name="paired", file="made_up.py:Paired"), ModelOptions()),
    "digits": (DatasetConfig(name="digits", spurious_strength=0.9), ModelOptions()),
}
EPOCHS = 4
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(autouse=True, scope="module")
def _own_files():
    usercode.provide(usercode.read_sources({"made up": MADE_UP, "example": GROUP_DRO}))


def config(method: str, setting: str, epochs: int = EPOCHS) -> TrialConfig:
    dataset, model = SETTINGS[setting]
    return TrialConfig(
        method=method,
        file=METHODS[method],
        hyperparameters=Hyperparameters(lr=0.05, batch_size=32),
        dataset=dataset,
        model=model,
        epochs=epochs,
        seeds=(0, 1) if setting == "cells, dropout" else (0,),
        schedule="cosine",
    )


def opened(asked: TrialConfig, directory: Path, device: torch.device) -> Trial:
    return Trial(f"{asked.method}-00000", asked, splits_by_seed(asked), device, Location.of(directory))


def outcome(trial: Trial) -> tuple:
    """All that a trial leaves behind, to the last bit."""
    kept = [load_file(weights_path(trial.directory, replica.seed).local) for replica in trial.replicas]
    return timeless(trial.record), [{name: tensor.tolist() for name, tensor in each.items()} for each in kept]


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        *((method, setting) for setting in ("cells, dropout", "aligned or not") for method in METHODS),
        ("scale", "digits"),
    ],
)
def test_interrupted_after_every_epoch_is_uninterrupted(method, setting, tmp_path, device):
    asked = config(method, setting, epochs=EPOCHS if setting == "cells, dropout" else 2)
    whole = opened(asked, tmp_path / "whole", device)
    while not whole.record.finished:
        whole.train_epoch()
    while not (pieces := opened(asked, tmp_path / "pieces", device)).record.finished:
        pieces.train_epoch()
    assert len(weights(pieces.directory)) == len(asked.seeds)
    assert outcome(pieces) == outcome(whole)


def kinds(method: Method) -> dict[str, type]:
    """Of each attribute that is assigned, and not only remembered."""
    return {
        name: type(value)
        for name, value in vars(method).items()
        if not isinstance(getattr(type(method), name, None), cached_property)
    }


@every_method
def test_the_state_survives_a_round_trip(method, device):
    asked = config(method, "cells, dropout")
    splits = load_splits(asked.dataset)
    trained = Replica(asked, 0, splits, device)
    for epoch in (1, 2, 3):
        trained.train_epoch(epoch)
    state = copy.deepcopy(trained.tensors())
    assert state
    fresh = Replica(asked, 0, splits, device)
    fresh.load_tensors(state)
    again = fresh.tensors()
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    assert kinds(fresh.method) == kinds(trained.method)


@every_method
def test_an_empty_group_makes_no_nan(method, tmp_path, device):
    """Two of the six groups of train have no sample, and a batch lacks more."""
    asked = config(method, "cells, dropout", epochs=2)
    trial = opened(asked, tmp_path, device)
    train = trial.replicas[0].splits.train
    assert len(set(zip(train.labels.tolist(), train.attributes.tolist(), strict=True))) == 4
    while not trial.record.finished:
        trial.train_epoch()
    assert not trial.record.diverged
    for replica in trial.record.replicas:
        for epoch in replica.history:
            assert all(map(math.isfinite, epoch.diagnostics.values()))
            assert all(math.isfinite(split.loss) for split in epoch.splits.values())


@every_method
def test_a_method_is_given_nothing_of_val_and_test(method):
    asked = config(method, "cells, dropout")
    replica = Replica(asked, 0, load_splits(asked.dataset), torch.device("cpu"))
    assert set(replica.method.samples) == set(replica.method.learns_from) <= {"train", "target"}


@every_method
def test_attributes_that_a_method_does_not_declare_are_kept_from_it(method):
    asked = config(method, "cells, dropout")
    replica = Replica(asked, 0, load_splits(asked.dataset), torch.device("cpu"))
    replica.method.begin_epoch(1 - replica.method.preparation)
    batches, _ = next(replica._batches(torch.Generator()))
    for split, known in [*replica.method.samples.items(), *batches.items()]:
        if split in replica.method.attributes_of:
            assert torch.equal(known.groups, known.labels * 3 + known.attributes)
        else:
            for what in ("attributes", "groups"):
                with pytest.raises(ValueError, match=rf"add attributes_of = \('{split}',\) to its class"):
                    getattr(known, what)
    told = replica.knowledge()
    assert set(told.attributes_of) <= set(told.labels_of) <= {"train", "target"}


@every_method
def test_every_option_has_a_default_and_a_word_on_it(method):
    cls = Replica(config(method, "cells, dropout"), 0, load_splits(SETTINGS["cells, dropout"][0]), torch.device("cpu"))
    for name, field in cls.method.Options.model_fields.items():
        assert not field.is_required(), name


class Careless(Method):
    learns_from = ("train",)

    def setup(self):
        self.network = self.new_network()
        self.seen = set()

    def step(self, batches):
        return Step()


def replica_of(cls: type[Method], monkeypatch) -> Replica:
    monkeypatch.setattr("scale_tune.training.replica.class_of", lambda config: cls)
    return Replica(config("erm", "digits"), 0, load_splits(DatasetConfig(name="digits")), torch.device("cpu"))


def test_what_cannot_be_saved_is_named(monkeypatch):
    with pytest.raises(TypeError, match="attribute seen can't be saved, a set"):
        state_of(replica_of(Careless, monkeypatch).method)


def test_the_state_of_another_version_is_refused(monkeypatch):
    class Newer(Careless):
        def setup(self):
            self.network = self.new_network()
            self.rounds = 0

    newer = replica_of(Newer, monkeypatch)
    state = state_of(newer.method)
    state.pop("plain/rounds")
    with pytest.raises(ValueError, match="another version of this method; they differ in .*plain/rounds"):
        load_state(newer.method, state)


LATE = """
from scale_tune import Method, Step, descend
from torch.nn.functional import cross_entropy

class Late(Method):
    learns_from = ("train",)

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())

    def begin_epoch(self, epoch):
        if epoch == 2:
            self.optimizer = self.sgd(self.network.parameters())

    def step(self, batches):
        logits = self.network(batches["train"].images)
        descend(cross_entropy(logits, batches["train"].labels), self.optimizer)
        return Step()
"""


def test_an_optimizer_that_is_made_anew_follows_the_schedule():
    usercode.provide({"late.py": LATE})
    asked = config("erm", "cells, dropout").model_copy(update={"method": "late", "file": "late.py"})
    replica = Replica(asked, 0, load_splits(asked.dataset), torch.device("cpu"))
    for epoch in (1, 2):
        record, _ = replica.train_epoch(epoch)
        assert replica.method.optimizer.param_groups[0]["lr"] == pytest.approx(record.lr)
    assert set(record.splits) == {"val"}, "what a step does not tell is not in the record"


def test_an_option_of_another_type_than_a_method_of_the_package_has_is_refused():
    text = "from scale_tune import MethodOptions\n" + LATE.replace(
        "class Late", "class O(MethodOptions):\n    group_size: str = 'x'\n\nclass Late"
    )
    usercode.provide({"clash.py": text.replace('("train",)', '("train",)\n    Options = O')})
    with pytest.raises(
        UserError, match="clash.py: scale has an option group_size of another type; rename that of Late"
    ):
        method_class("mine", "clash.py")
