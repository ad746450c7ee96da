"""The end of trials: killed at every step of it, a run ends with the same files, and loses nothing in between."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, LedgerTrial, read_trials
from scale_tune.search.closing import Closing
from scale_tune.spec import usercode
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.training import trial as trial_module
from scale_tune.training.agreement import agreed_record
from scale_tune.training.replica import Replica
from scale_tune.training.trialdir import close_trial, is_checkpoint, read_record
from tests.methods import made_up
from tests.support.runs import drive, fast_spec
from tests.support.searches import timeless

usercode.provide(usercode.read_sources({"dataset": Path(made_up.__file__)}))
DATASET = {"name": "tinted", "file": "made_up.py:Tinted"}
TINY = {"methods": ["erm_target"], "dataset": DATASET, "epochs": 2, "seeds": [0]}
SPEC = fast_spec(**TINY, num_samples=3, keep_top=1, search_seed=15)
"""Trains in a moment. Its first trial completes, the second too and is better, the third is pruned."""


@pytest.fixture
def run(tmp_path) -> RunDir:
    return create_run(Location.of(tmp_path), "run", SPEC, {})


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    """Processes are killed here, and no power is cut."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture(autouse=True)
def _features_are_kept_as_of_erm(monkeypatch):
    """Which trains ten times as long."""
    monkeypatch.setattr(trial_module, "is_refitted", lambda config: True)


def files(run: RunDir) -> dict[str, list[str]]:
    """The names of what is in each trial's directory."""
    return {name: list(found) for name, found in run.trials.names_below().items()}


def outcome(run: RunDir) -> dict:
    """Everything that must not depend on kills."""
    trials = read_trials(run.ledger)
    directories = {t.name: run.trial(t.name).local for t in trials}
    found = {f"{name}/{path.name}": path for name, d in directories.items() for path in sorted(d.glob("*-0.safe*"))}
    tensors = {name: load_file(path) for name, path in found.items()}
    return {
        "files": files(run),
        "ledger": [(t.name, t.state, t.params, t.objectives) for t in trials],
        "records": [timeless(read_record(run.trial(t.name))) for t in trials],
        "weights and features": {n: {k: t.numpy().tobytes() for k, t in of.items()} for n, of in tensors.items()},
    }


def copied(run: RunDir, to: Path) -> RunDir:
    shutil.copytree(run.path.local, to)
    return RunDir(to)


def ended(run: RunDir, state: LedgerState) -> LedgerTrial:
    return next(trial for trial in read_trials(run.ledger) if trial.state is state)


def test_a_search_killed_before_any_step_ends_as_if_it_was_not(run, tmp_path, monkeypatch):
    """Steps are what changes a file of a trial, and what is told to the ledger."""
    killed: list[tuple[str, RunDir]] = []

    def noted(patch, owner: type, name: str) -> None:
        original = getattr(owner, name)

        def step(self, *arguments, **options):
            what = f"{name} {self.name}" if isinstance(self, Location) else name
            killed.append((what, copied(run, tmp_path / f"killed-{len(killed)}")))
            if name == "write":  # what it was writing when it was killed
                half = Path(str(self.parent).replace(str(run.path), str(killed[-1][1].path))) / f".{self.name}.0.tmp"
                half.parent.mkdir(parents=True, exist_ok=True)
                half.write_bytes(b"half")
            return original(self, *arguments, **options)

        patch.setattr(owner, name, step)

    with monkeypatch.context() as patch:
        for owner, name in ((Location, "write"), (Location, "delete"), (Ledger, "report"), (Ledger, "complete")):
            noted(patch, owner, name)
        drive(run)
    whole = outcome(run)
    states = [LedgerState.COMPLETE, LedgerState.COMPLETE, LedgerState.PRUNED]
    assert [state for _, state, *_ in whole["ledger"]] == states
    assert list(whole["weights and features"]) == [
        "erm_target-00000/features-0.safetensors",
        "erm_target-00001/features-0.safetensors",
        "erm_target-00001/seed-0.safetensors",
    ]
    steps = {"write record.json", "write seed-0.safetensors", "delete seed-0.safetensors"}
    assert steps < {what for what, _ in killed}
    for what, half in killed:
        for trial in read_trials(half.ledger):  # what an analysis would read now
            record = read_record(half.trial(trial.name))
            if trial.state.ended:
                assert record.epoch == len(trial.objectives), what
                assert record.finished == (trial.state is LedgerState.COMPLETE), what
                assert (record.replicas[0].best.test is None) == (trial.state is LedgerState.PRUNED), what
        drive(half)
        assert outcome(half) == whole, what


def test_a_reader_sees_the_same_record_before_while_and_after_a_trial_is_closed(run, monkeypatch):
    seen = []

    def read(location, *arguments):
        for trial in read_trials(run.ledger):
            if trial.state.ended:
                seen.append((trial.name, timeless(read_record(run.trial(trial.name)))))

    for name in ("write", "delete"):
        original = getattr(Location, name)
        monkeypatch.setattr(Location, name, lambda *a, original=original: (read(*a), original(*a), read(*a)))
    drive(run)
    final = {trial.name: timeless(read_record(run.trial(trial.name))) for trial in read_trials(run.ledger)}
    assert {name for name, _ in seen} == set(final)
    assert all(record == final[name] for name, record in seen)


def test_a_trial_that_failed_after_its_end_is_tried_again_without_training(run, monkeypatch):
    drive(run, fail_at_the_end="erm_target-00000")
    assert any(map(is_checkpoint, files(run)["erm_target-00000"]))
    Closing(run, Ledger(run.ledger, SPEC)).sweep()
    assert any(map(is_checkpoint, files(run)["erm_target-00000"])), "a failed trial keeps its checkpoints"
    monkeypatch.setattr(Replica, "train_epoch", None)
    drive(run, retry_failed=True)
    assert read_trials(run.ledger)[0].state is LedgerState.COMPLETE
    assert "record.json" in files(run)["erm_target-00000"]
    assert not any(map(is_checkpoint, files(run)["erm_target-00000"]))


def test_without_the_last_checkpoint_nothing_is_dropped(run, tmp_path, monkeypatch, caplog):
    """A disk has damaged it after the ledger was told of the end."""
    with monkeypatch.context() as patch:
        patch.setattr(Closing, "close", lambda *arguments: None)
        drive(run)
    trial = ended(run, LedgerState.COMPLETE)
    before_last, last = (run.trial(trial.name) / f"checkpoint-0000{epoch}.safetensors" for epoch in (1, 2))
    config = SPEC.trial_config(trial.method, trial.params)
    for damage in (b"", before_last.read(), None):
        last.delete() if damage is None else last.write(damage)
        before = files(run)[trial.name]
        Closing(run, Ledger(run.ledger, SPEC.model_copy(update={"keep_top": 9}))).sweep()
        assert files(run)[trial.name] == before
        assert f"{trial.name} can't be closed, as its last checkpoint can't be read" in caplog.text
        caplog.clear()
    assert agreed_record(run.trial(trial.name), config, trial.objectives, run.ledger) is None, (
        "not that of an epoch less"
    )


def test_a_record_from_before_a_ledger_was_restored_gives_way_to_the_trials_new_one(tmp_path):
    """The trial had been pruned and closed; in the copy of the ledger it runs, and so it is trained from its start."""
    spec = fast_spec(**TINY, num_samples=1, scheduler={"name": "none"})
    again, whole = (create_run(Location.of(tmp_path), name, spec, {}) for name in ("again", "whole"))
    drive(again, leave_running="erm_target-00000")
    close_trial(again.trial("erm_target-00000"), read_record(again.trial("erm_target-00000")))
    drive(again)
    drive(whole)
    assert outcome(again) == outcome(whole)
