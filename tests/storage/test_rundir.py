import sys

import pytest

from scale_tune.errors import UserError
from scale_tune.ledger.studies import read_trials
from scale_tune.shown import shown
from scale_tune.storage.database import Database, check_database
from scale_tune.storage.location import Location
from scale_tune.storage.lock import only_driver
from scale_tune.storage.provenance import COMMAND_VARIABLE, changes, provenance
from scale_tune.storage.rundir import RunDir, check_new_run, create_run
from tests.support.runs import fast_spec


@pytest.fixture
def run(tmp_path) -> RunDir:
    return create_run(Location.of(tmp_path), "demo", fast_spec(), {"dataset": "abc"})


def test_a_run_remembers_what_it_searches_on_which_data_and_how_it_was_made(run):
    again = RunDir(run.path)
    assert again.read_spec() == fast_spec()
    assert again.data() == {"dataset": "abc"}
    assert again.provenance()["versions"]["torch"]
    assert again.ledger == run.path.local / "ledger.log"
    assert again.ledger.read_bytes() == b""


def test_resuming_is_noted_and_how_it_was_made_is_kept(run):
    made = run.provenance()
    run.note_resumed(fast_spec(num_samples=9), provenance())
    run.note_resumed(fast_spec(num_samples=12), provenance())
    resumed = run.provenance().pop("resumed")
    assert len(resumed) == 2
    assert run.provenance() == {**made, "resumed": resumed}
    assert run.read_spec().num_samples == 12
    assert run.data() == {"dataset": "abc"}


def test_a_name_that_is_taken_is_refused_with_the_way_to_go_on(run):
    with pytest.raises(UserError, match=f"exists; go on with it by\n  python tune.py --resume {run.path}"):
        create_run(run.path.parent, "demo", fast_spec(), {})
    for name in ("", ".hidden", "a/b", "x" * 101):
        with pytest.raises(UserError, match="must be up to 100 letters"):
            check_new_run(run.path.parent, name)


def test_a_ledger_in_a_database_is_named_after_the_run(tmp_path):
    database = Database("postgresql://me@host/lab", "demo-12ab")
    run = create_run(Location.of(tmp_path), "demo", fast_spec(), {}, database)
    assert RunDir(run.path).ledger == database
    assert "ledger.log" not in run.path.names()


def test_a_database_without_a_driver_to_reach_it_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    database = Database("postgresql://me@host/lab", "demo-12ab")
    run = create_run(Location.of(tmp_path), "demo", fast_spec(), {}, database)
    with pytest.raises(UserError, match=r"pip install 'scale-tune\[postgresql\]'"), only_driver(RunDir(run.path)):
        pass
    with pytest.raises(UserError, match=r"pip install 'scale-tune\[postgresql\]'"):
        read_trials(database)


def test_two_drivers_are_kept_apart(run):
    with only_driver(run), pytest.raises(UserError, match=r"already being driven by process \d+ on "), only_driver(run):
        pass
    with only_driver(run):  # the first has let go of it
        pass


def test_changes_name_what_is_not_what_it_was():
    now = provenance()
    assert changes(now, now) == []
    then = {**now, "git_commit": "abc", "versions": {**now["versions"], "torch": "1.0", "gone": "3"}}
    torch = now["versions"]["torch"]
    assert f"torch 1.0, now {torch}" in changes(then, now)
    assert "gone 3, now unknown" in changes(then, now)
    assert any(change.startswith("git_commit abc, now") for change in changes(then, now))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hush@host/lab", r"me:\*\*\*@host/lab holds a password, .* put it into ~/.pgpass"),
        ("postgresql://me@host/lab?password=hush", r"holds a secret \(password\), .* put it into ~/.pgpass"),
        ("postgresql://me@host/lab?sslmode=require&sslpassword=hush", r"holds a secret \(sslpassword\)"),
        ("postgresql://me@host/lab?pass%77ord=hush", r"holds a secret \(password\)"),
        ("postgresql://me@host/lab?oauth_client_secret=hush", r"holds a secret \(oauth_client_secret\)"),
        ("mysql://me:hush@host/lab", "must be a PostgreSQL database"),
        ("postgresql//me:hush@host?password=hush", "must be a URL"),
        ("sqlite:///x.db", "must be a PostgreSQL database"),
        ("nonsense", "must be a URL"),
    ],
)
def test_a_database_that_cannot_hold_a_ledger_is_refused_and_no_password_shown(url, message):
    with pytest.raises(UserError, match=message) as refused:
        check_database(url)
    assert "hush" not in shown(str(refused.value)), "which is how it is printed"


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_a_secret_in_the_command_that_made_a_run_is_not_kept(monkeypatch, where):
    command = "tune.py space.yaml --address http://me:hush@head:8265"
    if where == "argument":
        monkeypatch.setattr(sys, "argv", command.split())
    else:
        monkeypatch.setenv(COMMAND_VARIABLE, command)
    assert provenance()["command"] == "tune.py space.yaml --address http://me:***@head:8265"


def test_a_run_whose_url_holds_a_secret_does_not_show_it():
    """As those of earlier versions may."""
    assert str(Database("postgresql://me@host/lab?password=hush", "demo")).endswith("lab?password=***")
