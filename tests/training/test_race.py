"""Trials that race their seeds: the first ones go ahead, the others join after the last rung."""

from pathlib import Path

import pytest
import torch

from scale_tune.spec.config import Race
from scale_tune.storage.location import Location
from scale_tune.training.checkpoint import load_checkpoint
from scale_tune.training.replica import DivergenceError, Replica
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import read_record
from tests.support.small import assert_same_bits
from tests.training.test_first_stage import OPTIONS, asked, ended, names, opened, outcome

SEEDS, EPOCHS, JOINED = (3, 4, 5), 4, 2
PREPARATION = {"erm": 0, "jtt": 3}


def racing(method: str = "erm", first: int = 1, **fields):
    race = {"race": Race(first_seeds=first, join_after=JOINED)} if first else {}
    settings = {"seeds": SEEDS, "epochs": EPOCHS, "schedule": "cosine"} | race | fields
    return (
        asked("jtt", **settings)
        if method == "jtt"
        else asked("jtt", **settings).model_copy(update={"method": method, "options": {}})
    )


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def steps(trial: Trial) -> list[tuple[int, int, bool, int]]:
    """After each step: epochs, those that were caught up, whether it is at that, and the objectives."""
    found = []
    while not trial.record.finished:
        trial.train_epoch()
        record = trial.record
        assert len(record.objectives()) == record.epoch
        found.append((record.epoch, record.caught_up, record.catching_up, [len(r.history) for r in record.replicas]))
    return found


@pytest.mark.parametrize(("method", "first"), [("erm", 2), ("jtt", 1)])
def test_a_complete_trial_of_a_race_is_the_one_without(method, first, tmp_path):
    without = ended(opened(tmp_path / "without", racing(method, 0)))
    race = ended(opened(tmp_path / "race", racing(method, first)))
    (record, weights), (other, other_weights) = outcome(race), outcome(without)
    assert weights == other_weights
    assert record["replicas"] == other["replicas"]
    of_seeds = [[r.running_best(epoch) for epoch in range(1, EPOCHS + 1)] for r in race.record.replicas]
    means = [[sum(of[:n]) / n for of in zip(*of_seeds, strict=True)] for n in (first, len(SEEDS))]
    assert race.record.objectives() == means[0][:JOINED] + means[1][JOINED:]
    assert race.record.objectives()[-1] == without.record.objectives()[-1]


def test_seeds_that_join_begin_at_epoch_1_and_catch_up(tmp_path):
    assert steps(opened(tmp_path, racing())) == [
        (1, 0, False, [1, 0, 0]),
        (2, 0, False, [2, 0, 0]),
        (2, 1, True, [2, 1, 1]),
        (2, 2, True, [2, 2, 2]),
        (3, 3, False, [3, 3, 3]),
        (4, 4, False, [4, 4, 4]),
    ]


@pytest.mark.parametrize("method", PREPARATION)
def test_each_epoch_of_a_race_can_be_the_last_before_an_interruption(method, tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    uninterrupted = opened(whole, racing(method))
    written = []
    while not uninterrupted.record.finished:
        uninterrupted.train_epoch()
        torch.manual_seed(len(written))  # as in a new process
        trial = opened(pieces, racing(method))
        trial.train_epoch()
        written.append(names(pieces)[-1])
        if not trial.record.finished:
            assert_same_bits(*(load_checkpoint(Location.of(each))[1] for each in (whole, pieces)))
        assert read_record(Location.of(pieces)) == trial.record
    assert outcome(trial) == outcome(uninterrupted)
    before = PREPARATION[method]
    assert len(written) == before + JOINED + before + JOINED + EPOCHS - JOINED
    caught_up = range(1, before + JOINED + 1)
    assert written[before : -EPOCHS + JOINED] == [
        *(f"checkpoint-{n:05d}.safetensors" for n in range(1, JOINED + 1)),
        *(f"checkpoint-{JOINED:05d}_{n:05d}.safetensors" for n in caught_up),
    ]


def test_what_prepares_a_race_is_shared_by_those_that_begin_together(tmp_path, monkeypatch):
    trained, prepare = [], Replica.prepare_epoch
    monkeypatch.setattr(
        Replica, "prepare_epoch", lambda replica, epoch: (trained.append(replica.seed), prepare(replica, epoch))[1]
    )
    one, other = (racing("jtt", options={"upweight": upweight}) for upweight in (3, 5))
    alone = outcome(ended(opened(tmp_path / "alone", other)))
    trained.clear()
    ended(opened(tmp_path / "one", one, prepared=tmp_path / "prepared"))
    assert trained == [3] * 3 + [4, 5] * 3
    assert outcome(ended(opened(tmp_path / "other", other, prepared=tmp_path / "prepared"))) == alone
    assert len(trained) == 9, "the other trial begins where the first one had come to"


def diverging(monkeypatch, at: dict[int, int]) -> None:
    """Have seeds diverge in an epoch each, from which on; up to 0 in their preparation."""
    for name in ("train_epoch", "prepare_epoch"):
        method = getattr(Replica, name)

        def trained(replica, epoch, method=method):
            if at.get(replica.seed, EPOCHS + 1) <= epoch:
                raise DivergenceError
            return method(replica, epoch)

        monkeypatch.setattr(Replica, name, trained)


@pytest.mark.parametrize("epoch", [1, JOINED])
def test_where_all_that_go_ahead_have_diverged_the_others_do_not_join(epoch, tmp_path, monkeypatch):
    diverging(monkeypatch, {3: epoch})
    record = ended(opened(tmp_path, racing())).record
    assert (record.epoch, record.diverged, record.caught_up) == (epoch, 1, 0)
    assert len(record.objectives()) == epoch
    assert names(tmp_path)[-1] == f"checkpoint-{epoch:05d}.safetensors", "and no weights"


@pytest.mark.parametrize(
    ("at", "histories"),
    [
        ({3: 3}, [2, 4, 4]),
        ({4: 1, 5: 2}, [4, 0, 1]),
        ({4: 0, 5: 0}, [4, 0, 0]),
        ({4: 2}, [4, 1, 4]),
        ({3: 3, 4: 4, 5: 3}, [2, 3, 2]),
    ],
)
def test_seeds_that_diverge_later_leave_the_others_to_train_on(at, histories, tmp_path, monkeypatch):
    diverging(monkeypatch, at)
    method = "jtt" if 0 in at.values() else "erm"
    trial = opened(tmp_path, racing(method))
    while not trial.record.finished:
        trial = opened(tmp_path, racing(method))
        trial.train_epoch()
    record = trial.record
    assert [len(replica.history) for replica in record.replicas] == histories
    assert (record.epoch, record.diverged) == (EPOCHS, len(at))
    assert len(record.objectives()) == EPOCHS


def test_a_config_without_a_race_is_written_as_before_there_were_any(tmp_path: Path):
    assert "race" not in racing("erm", 0).model_dump()
    assert racing().model_validate_json(racing().model_dump_json()) == racing()
    assert OPTIONS["jtt"].items() <= racing("jtt").options.items()
