"""A search that fails is no success: its exit code, what is said, and how it goes on. A function takes Ray's part."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, read_trials
from scale_tune.search.closing import Closing
from scale_tune.storage.rundir import RunDir
from scale_tune.workflows import driver
from tests.support.commands import call

TRACEBACK = 'Traceback (most recent call last):\n  File "own.py", line 3, in step\nValueError: no {name}\n'
SPACE = "methods: [erm, erm_target]\nnum_samples: 4\nepochs: 1\nseeds: [0]\nscheduler: {name: none}\n"


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """The command, of a search in which the trials of some methods fail."""
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.setattr(driver, "cluster", lambda address, stop: nullcontext(lambda: None))
    monkeypatch.setattr(driver, "check_cluster", lambda *arguments: {"dataset": "same"})
    monkeypatch.setattr(driver, "nodes_with_room", lambda resources: None)
    monkeypatch.setattr(driver, "_data_here", lambda *arguments: {"dataset": "same"})

    def command(*arguments: object, failing: tuple[str, ...]):
        def run_search(search, reconnect) -> bool:
            search.ledger = Ledger(search.run.ledger, search.spec)
            search.closing = Closing(search.run, search.ledger)
            if search.retry_failed:
                search.ledger.retry_failed()
            while search.stop.reason is None and (trial := search.ledger.next_trial()) is not None:
                if trial.method in failing:
                    search.fail(trial.name, TRACEBACK.format(name=trial.name))
                else:
                    search.ledger.report(trial.name, [0.5], finished=True)
                    search.ledger.complete(trial.name)
            return search.ledger.done

        monkeypatch.setattr(driver, "run_search", run_search)
        return call("tune", *arguments, cwd=tmp_path)

    return command


def states(run: Path) -> list[LedgerState]:
    return [trial.state for trial in read_trials(RunDir(run).ledger)]


def test_trials_that_fail_alike_stop_the_search_which_ends_with_4_and_goes_on_when_they_are_tried_again(
    searched, tmp_path
):
    run = tmp_path / "runs" / "x"
    result = searched("space.yaml", "--name", "x", failing=("erm",))
    assert result.returncode == 4
    assert result.stderr.startswith("error: the first 3 trials of erm have failed alike, so the search was stopped: ")
    assert "ValueError: no erm-00000" in result.stderr
    assert f"python tune.py --resume {run} --retry-failed" in result.stderr
    assert f"the whole traceback is in {run}/trials/erm-00000/error.log" in result.stderr
    assert (run / "trials" / "erm-00000" / "error.log").read_text() == TRACEBACK.format(name="erm-00000")
    assert len(result.stderr.splitlines()) <= 20
    assert "done in" not in result.stdout
    assert states(run).count(LedgerState.FAILED) == 3
    assert states(run).count(LedgerState.COMPLETE) < 4, "it was stopped early"

    result = searched("--resume", run, "--retry-failed", failing=())
    assert result.returncode == 0, result.stderr
    assert states(run) == [LedgerState.COMPLETE] * 8


def test_a_search_of_which_nothing_completes_ends_with_4_and_so_it_does_when_resumed(searched, tmp_path):
    run = tmp_path / "runs" / "x"
    options = ("--methods", "erm", "--num-samples", 1)
    assert searched("space.yaml", "--name", "x", *options, failing=("erm",)).returncode == 4
    result = searched("--resume", run, failing=())
    assert result.returncode == 4
    assert result.stderr.startswith("error: no trial has completed: 1 of 1 have failed, erm-00000\n")
    assert "--retry-failed" in result.stderr


def test_a_search_that_is_resumed_without_trying_again_gets_on_with_what_is_left(searched, tmp_path):
    run = tmp_path / "runs" / "x"
    assert searched("space.yaml", "--name", "x", failing=("erm",)).returncode == 4
    result = searched("--resume", run, failing=())
    assert result.returncode == 0, "one trial of erm and all of erm_target completed"
    assert states(run).count(LedgerState.FAILED) == 3
    assert states(run).count(LedgerState.COMPLETE) == 5
