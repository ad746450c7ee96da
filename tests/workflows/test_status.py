"""A run seen from outside: who drives it, how far it is, what failed, how to go on."""

import fcntl
import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import read_trials
from scale_tune.steps import Steps
from scale_tune.storage.lock import driver_of, only_driver
from scale_tune.storage.rundir import RunDir
from scale_tune.workflows.status import show_status
from tests.support.commands import call
from tests.support.runs import REASON, fast_spec, make_run


def status(run: RunDir, width: int = 80) -> list[str]:
    output = io.StringIO()
    show_status(str(run.path), Steps(Console(file=output, width=width, markup=False, highlight=False)))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def contents(directory: Path) -> dict[Path, tuple[int, bytes]]:
    """What files there are, when they were written, and what they hold."""
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in directory.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> RunDir:
    spec = fast_spec(scheduler={"name": "none"})
    where = tmp_path_factory.mktemp("runs")
    return make_run(where, spec, made_up=True, fail="erm-00001", leave_running="erm_target-00002")


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("runs"), fast_spec(), made_up=True)


def test_a_stopped_run_shows_counts_what_was_interrupted_the_best_the_failure_and_how_to_go_on(stopped):
    lines = status(stopped)
    best = {trial.method: trial for trial in sorted(read_trials(stopped.ledger), key=lambda t: t.objective or 0)}
    assert lines[0] == f"run {stopped.path}: nobody drives it"
    assert lines[1] == "5 of 6 trials ended: 4 complete, 0 pruned, 1 failed; 1 interrupted"
    assert [line.split() for line in lines[2:5]] == [
        ["method", "complete", "pruned", "failed", "interrupted", "of", "best"],
        ["erm", "2", "0", "1", "0", "3", f"{best['erm'].objective:.3f}"],
        ["erm_target", "2", "0", "0", "1", "3", f"{best['erm_target'].objective:.3f}"],
    ]
    text = "\n".join(lines)
    assert "interrupted (epochs trained)\nerm_target-00002 1/3\n" in text
    winner = max(best.values(), key=lambda trial: trial.objective)
    assert f"best {winner.name} {winner.objective:.3f}: lr=" in text
    assert "\nlast report " in text
    assert f"failed: erm-00001: {REASON}" in text
    assert text.endswith(
        f"go on by\n  python tune.py --resume {stopped.path}; the 1 that failed, once that is mended, by\n"
        f"  python tune.py --resume {stopped.path} --retry-failed"
    )


def test_an_ended_run_is_to_be_analysed(ended):
    lines = status(ended)
    assert lines[0] == f"run {ended.path}: its search has ended"
    assert lines[1].startswith("6 of 6 trials ended: ")
    assert lines[-2:] == ["compare the methods by", f"  python analyze.py {ended.path}"]


def test_a_run_that_somebody_drives_names_the_process_and_its_host(stopped):
    with only_driver(stopped):
        noted = json.loads((stopped.path / "driver.json").read())
        lines = status(stopped)
        assert lines[0].startswith(
            f"run {stopped.path}: driven by process {os.getpid()} on {noted['host']}, since {noted['since'][:10]} "
        )
        assert "1 running" in lines[1]
        assert lines[-1] == f"  python analyze.py {stopped.path}"
        (stopped.path / "driver.json").delete()
        assert status(stopped)[0].endswith("driven by another process")
    assert driver_of(stopped) is None, "nor does it say so of one that has ended"


def test_nothing_is_written_and_no_driver_is_kept_out(stopped):
    with only_driver(stopped):
        pass
    before = contents(stopped.path.local)
    assert call("tune", "--status", stopped.path).returncode == 0
    assert contents(stopped.path.local) == before
    with (stopped.path.local / ".lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(UserError, match="already being driven"), only_driver(stopped):
            pass
    with only_driver(stopped):
        pass


def test_a_run_that_may_only_be_read_is_shown(stopped, monkeypatch):
    """As another user's is."""
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode="r", *a, **k: opened(path, _read_only(path, mode), *a, **k))
    assert status(stopped)[0].endswith(": nobody drives it")


def _read_only(path: Path, mode: str) -> str:
    if set(mode) & set("wax+"):
        raise PermissionError(f"{path} may not be written")
    return mode


def test_where_locks_cannot_be_looked_at_it_says_so_and_shows_the_rest(stopped, monkeypatch):
    def no_locks(*arguments):
        raise OSError("no locks available")

    with only_driver(stopped):
        pass
    monkeypatch.setattr("fcntl.flock", no_locks)
    lines = status(stopped)
    assert lines[0] == f"run {stopped.path}: whether somebody drives it can't be seen from here (no locks available)"
    assert "1 running" in lines[1]


def test_failures_alike_are_told_once_with_the_place_of_the_traceback(tmp_path):
    run = make_run(tmp_path, fast_spec(num_samples=8), made_up=True, leave_running="erm-00000")
    ledger = Ledger(run.ledger, fast_spec(num_samples=14))
    for line in (3, 3, 3, 3, 3, 9):
        name = next(name for name in iter(lambda: ledger.next_trial().name, None) if name > "erm-00007")
        text = f'Traceback (most recent call last):\n  File "own.py", line {line}, in step\nValueError: {name}\n'
        ledger.fail(name, text)
        if line == 3:
            run.error(name).write(text.encode())
    text = "\n".join(status(run))
    assert text.count("failed: ") == 2
    assert "and 2 more: ValueError: erm" in text
    assert f"  the whole traceback is in {run.path}/trials/erm" in text
    assert "the whole traceback is in the table trials" in text, "of the one whose file could not be written"


def test_a_run_that_has_not_begun_is_shown(tmp_path):
    from scale_tune.storage.location import Location
    from scale_tune.storage.rundir import create_run

    run = create_run(Location.of(tmp_path), "new", fast_spec(), {})
    lines = status(run)
    assert lines[1].startswith("0 of 6 trials ended")
    assert lines[-2:] == ["go on by", f"  python tune.py --resume {run.path}"]


@pytest.mark.parametrize("width", [40, 80])
def test_it_is_as_wide_as_the_terminal(stopped, width):
    own = [line for line in status(stopped, width) if str(stopped.path) not in line and "best" not in line]
    assert max(map(len, own)) <= max(width, len("5 of 6 trials ended: 4 complete, 0 pruned, 1 failed; 1 interrupted"))


@pytest.mark.parametrize("arguments", [["absent"], ["."], [".", "--epochs", "3"], [".", "--resume", "x"]])
def test_what_is_no_run_and_what_changes_one_is_refused(tmp_path, arguments):
    result = call("tune", "--status", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "is not the directory of a run" in result.stderr or "can't be given with --status" in result.stderr
    assert not list(tmp_path.iterdir())
