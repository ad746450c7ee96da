"""Searches of a method that prepares, without Ray: what becomes of trials that diverge before they count."""

from pathlib import Path

import pytest

from scale_tune.ledger.studies import LedgerState, read_trials
from scale_tune.search.messages import Prepared, Progressed, decode
from scale_tune.search.worker import TuneTrial
from scale_tune.spec import usercode
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables import collect as results
from scale_tune.training.replica import Replica
from scale_tune.training.trialdir import read_record
from tests.support.runs import drive, fast_spec

MADE_UP = Path(__file__).parents[1] / "methods" / "made_up.py"


@pytest.fixture(autouse=True)
def _own_data(monkeypatch):
    usercode.provide(usercode.read_sources({"made up": MADE_UP}))
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def searched(tmp_path: Path, space: dict, **options) -> RunDir:
    spec = fast_spec(
        dataset={"name": "paired", "file": "made_up.py:Paired"},
        methods={"jtt": {"space": {"first_epochs": 1} | space}},
        space={"lr": 0.01, "batch_size": 32},
        sampler="grid",
        epochs=2,
        **options,
    )
    return create_run(Location.of(tmp_path), "run", spec, {})


def test_trials_that_differ_in_the_second_stage_alone_prepare_once(tmp_path, monkeypatch):
    prepared, prepare = [], Replica.prepare_epoch
    monkeypatch.setattr(Replica, "prepare_epoch", lambda *a: (prepared.append(a), prepare(*a)))
    run = searched(tmp_path, {"upweight": {"type": "choice", "values": [1, 2, 3]}}, scheduler={"name": "none"})
    drive(run)
    trials = read_trials(run.ledger)
    assert [trial.state for trial in trials] == [LedgerState.COMPLETE] * 3
    assert len(prepared) == 2, "an epoch of each seed"
    assert len(list((run.path.local / "prepared").iterdir())) == 1
    epochs = results.load_results(run.path)["epochs"]
    assert sorted(epochs["epoch"].unique()) == [1, 2], "what prepares is in no table"


@pytest.mark.parametrize("first_epochs", [1, 2])
def test_trials_that_diverge_while_they_prepare_are_closed_and_shown(tmp_path, first_epochs):
    """Also the second one, which might have begun from what the first one left."""
    space = {"first_epochs": first_epochs, "lr": 1e30, "upweight": {"type": "choice", "values": [2, 3]}}
    run = searched(tmp_path, space, scheduler={"name": "none"})
    drive(run)
    for trial in read_trials(run.ledger):
        assert (trial.state, trial.objectives) == (LedgerState.COMPLETE, [0.0])
        assert list(run.trials.names_below()[trial.name]) == ["record.json"]
        assert [replica.diverged_epoch for replica in read_record(run.trial(trial.name)).replicas] == [0, 0]
    table = results.load_results(run.path)["trials"]
    assert table["diverged"].tolist() == [2, 2]
    assert table["objective"].tolist() == [0.0, 0.0]
    assert table["seeds"].tolist() == [0, 0]


def test_a_worker_tells_what_is_prepared_before_it_tells_objectives(tmp_path):
    run = searched(tmp_path, {"first_epochs": 2})
    asked = {
        "trial": "jtt-00000",
        "config": run.read_spec().trial_config("jtt", {}).model_dump_json(),
        "directory": str(tmp_path / "jtt-00000"),
        "prepared": str(tmp_path / "prepared"),
        "threads": 1,
        "gpus": 0,
        "sources": usercode.read_sources({"made up": MADE_UP}),
    }
    told = []
    for _ in range(4):  # a worker of its own for each step
        told.append(decode(TuneTrial(asked).train()).outcome)
        if isinstance(told[-1], Progressed):
            break
    assert told[:2] == [Prepared(epochs=1, of=2), Prepared(epochs=2, of=2)]
    assert len(told[2].objectives) == 1
    other = TuneTrial(asked | {"trial": "jtt-00001", "directory": str(tmp_path / "jtt-00001")})
    assert decode(other.train()).outcome == told[2], "it begins after what the first one prepared"
