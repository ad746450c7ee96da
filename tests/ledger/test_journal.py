"""The ledger's file tells what was done to it, and remains one of Optuna's."""

import shutil

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage

from scale_tune.errors import UserError
from scale_tune.ledger.asked_for import check_asked_for
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, check_covers, read_trials
from scale_tune.storage.location import Location
from tests.support.ledgers import search, spec

SPEC = spec(num_samples=3, epochs=2)


@pytest.fixture
def lines(path) -> list[bytes]:
    search(path, SPEC)
    return path.read_bytes().splitlines(keepends=True)


def test_no_line_but_the_last_can_be_left_out_doubled_or_moved(path, lines):
    for at in range(len(lines) - 1):
        for changed in (
            lines[:at] + lines[at + 1 :],
            lines[: at + 1] + lines[at:],
            [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
        ):
            path.write_bytes(b"".join(changed))
            with pytest.raises(UserError, match=rf"can't be read \(line {at + 1}|can't be read \(line {at + 2}"):
                read_trials(path)
            with pytest.raises(UserError, match="can't be read"):
                Ledger(path, SPEC)


def test_an_edited_last_line_is_refused_and_only_a_torn_one_is_dropped(path, lines):
    path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"state":1', b'"state":2')]))
    with pytest.raises(UserError, match=f"line {len(lines)} was edited or damaged"):
        read_trials(path)
    path.write_bytes(b"".join([*lines[:-1], b"garbage\n"]))
    with pytest.raises(UserError, match=f"line {len(lines)} is none of a ledger's"):
        read_trials(path)
    path.write_bytes(b"".join([*lines[:-1], lines[-1][:-1]]))
    assert read_trials(path)[-1].state is LedgerState.RUNNING


def test_several_drivers_in_turn_make_one_chain(path):
    wanted = search(path, SPEC, kill=lambda ledger: True).trials()
    assert [trial.name for trial in read_trials(path)] == [trial.name for trial in wanted]


def test_a_reader_follows_a_ledger_that_grows(path):
    ledger = Ledger(path, SPEC)
    for number in range(3):
        ledger.next_trial()
        assert len(read_trials(path)) == number + 1
        assert len(ledger.trials()) == number + 1


def test_optunas_own_tools_read_a_copy_and_what_they_write_into_the_ledger_is_refused(path, lines, tmp_path):
    shutil.copy(path, tmp_path / "copy.log")
    study = optuna.load_study(storage=JournalStorage(JournalFileBackend(str(tmp_path / "copy.log"))), study_name="erm")
    assert [trial.params for trial in study.trials] == [trial.params for trial in read_trials(path)]
    study.set_user_attr("note", "looks good")
    shutil.copy(tmp_path / "copy.log", path)
    with pytest.raises(UserError, match=rf"line {len(lines) + 1} is none of a ledger's: KeyError\('chain'\)"):
        read_trials(path)


def test_a_cut_at_the_end_shows_by_what_trials_have_left_behind(path):
    ledger = Ledger(path, SPEC)
    ended, failed, running = (ledger.next_trial() for _ in range(3))
    for epochs in (1, 2):
        ledger.report(ended.name, [0.5] * epochs, finished=epochs == 2)
    ledger.complete(ended.name)
    ledger.fail(failed.name, "Traceback: a reason")
    files = {
        ended.name: ["record.json"],
        failed.name: ["error.log", "checkpoint-00001.safetensors"],
        running.name: ["checkpoint-00001.safetensors"],
    }
    check_covers(path, read_trials(path), files)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(UserError, match=rf"older copy: it has {failed.name} as running, whose .* holds error.log"):
        check_covers(path, read_trials(path), files)
    path.write_bytes(b"".join(lines[:-2]))
    del files[failed.name]
    with pytest.raises(UserError, match=rf"older copy: it has {ended.name} as running, whose .* holds record.json"):
        check_covers(path, read_trials(path), files)


def test_an_epoch_that_was_trained_again_and_came_out_differently_is_told_anew(path):
    ledger = Ledger(path, SPEC)
    trial = ledger.next_trial()
    ledger.report(trial.name, [0.4, 0.5])
    ledger.report(trial.name, [0.4])  # the checkpoint of the second epoch was damaged
    assert ledger.trial(trial.name).objectives == [0.4, 0.5]
    ledger.report(trial.name, [0.4, 0.6], finished=True)
    ledger.complete(trial.name)
    assert read_trials(path)[0].objectives == [0.4, 0.6]


def test_a_trial_whose_driver_was_killed_while_it_drew_is_no_sign_of_an_edited_spec(path):
    Ledger(path, SPEC).next_trial()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    (drawn,) = read_trials(path)
    assert 0 < len(drawn.params) < len(SPEC.space)
    check_asked_for(Location.of(path.parent / "spec.yaml"), SPEC, [drawn])
