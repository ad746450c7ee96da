"""What becomes of a worker's report, without Ray: its results are handed to what Ray would call."""

import io
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState
from scale_tune.search import run as driven
from scale_tune.search.callbacks import DriverCallback, LedgerScheduler
from scale_tune.search.closing import Closing
from scale_tune.search.hopeless import in_vain
from scale_tune.search.messages import Failed, Full, Outcome, Progressed, Report, Unfit, encode
from scale_tune.search.progress import Progress
from scale_tune.search.state import MAX_WORKER_DEATHS, Search
from scale_tune.search.stopping import SearchStopped, Stop
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import create_run
from scale_tune.training.checkpoint import save_checkpoint
from scale_tune.training.trialdir import checkpoints, close_trial, read_final_record
from tests.support.records import made_up_record
from tests.support.runs import fast_spec

SPEC = fast_spec(methods=["erm"], num_samples=2, epochs=2, scheduler={"name": "none"})


@pytest.fixture
def search(tmp_path) -> Search:
    run = create_run(Location.of(tmp_path), "run", SPEC, {})
    progress = Progress(Console(file=io.StringIO()), SPEC)
    search = Search(run=run, spec=SPEC, progress=progress, stop=Stop(), retry_failed=False, sources={})
    search.ledger = Ledger(run.ledger, SPEC)
    search.closing = Closing(run, search.ledger)
    return search


def said(search: Search) -> str:
    return search.progress.console.file.getvalue()


def told(search: Search, name: str, outcome: Outcome, *notes: str) -> str:
    """What Ray is to do after this report."""
    trial = SimpleNamespace(config={"trial": name})
    return LedgerScheduler(search).on_trial_result(None, trial, encode(Report(outcome=outcome, notes=list(notes))))


def trained(search: Search) -> tuple[str, Progressed]:
    """A trial that a worker has trained to its end, and what it reports."""
    issued = search.ledger.next_trial()
    record = made_up_record(issued.name, SPEC.trial_config(issued.method, issued.params))
    save_checkpoint(search.run.trial(issued.name), record, {})
    return issued.name, Progressed(objectives=record.objectives(), finished=True)


def test_of_waiting_trials_the_one_that_was_issued_first_is_begun_first(search):
    def ray_trial(trial_id: str, status: str) -> SimpleNamespace:
        return SimpleNamespace(trial_id=trial_id, status=status, PENDING="PENDING")

    search.issued.update(dict.fromkeys(["z", "b", "a", "c"]))
    live = [ray_trial("a", "PENDING"), ray_trial("b", "PENDING"), ray_trial("c", "PENDING"), ray_trial("z", "RUNNING")]
    scheduler = LedgerScheduler(search)
    for wanted in ("b", "a", "c"):
        chosen = scheduler.choose_trial_to_run(SimpleNamespace(get_live_trials=lambda: live))
        assert chosen.trial_id == wanted
        chosen.status = "RUNNING"
    assert scheduler.choose_trial_to_run(SimpleNamespace(get_live_trials=lambda: live)) is None
    failing = ray_trial("x", "PENDING")  # its worker died before it had begun
    assert scheduler.choose_trial_to_run(SimpleNamespace(get_live_trials=lambda: [*live, failing])) is failing


def test_a_trial_goes_on_until_it_has_finished_and_is_closed_then(search):
    name, outcome = trained(search)
    assert told(search, name, Progressed(objectives=outcome.objectives[:1], finished=False)) == TrialScheduler.CONTINUE
    assert read_final_record(search.run.trial(name)) is None
    assert told(search, name, outcome) == TrialScheduler.STOP
    assert search.ledger.trial(name).state is LedgerState.COMPLETE
    assert read_final_record(search.run.trial(name)) is not None
    assert not checkpoints(search.run.trial(name))


def test_an_ended_trial_whose_storage_fails_is_closed_by_the_next_sweep(search, monkeypatch):
    name, outcome = trained(search)

    def unreachable(*arguments):
        raise OSError("no route to host")

    with monkeypatch.context() as patch:
        patch.setattr(Location, "write", unreachable)
        assert told(search, name, outcome) == TrialScheduler.STOP
    assert "erm-00000 is closed later, as its files can't be reached now: no route to host" in said(search)
    assert search.ledger.trial(name).state is LedgerState.COMPLETE
    assert checkpoints(search.run.trial(name))
    search.closing.sweep()
    assert read_final_record(search.run.trial(name)).objectives() == outcome.objectives
    assert not checkpoints(search.run.trial(name))


def test_a_search_that_is_to_stop_has_not_ended(search, monkeypatch):
    callback = DriverCallback(search)
    search.ledger.next_trial()
    callback.on_step_end(0, [])
    search.stop.wish("a test")
    with pytest.raises(SearchStopped):
        callback.on_step_end(0, [])
    monkeypatch.setattr(driven, "_drive_leg", lambda search: callback.on_step_end(0, []))
    assert not driven.run_search(search, lambda: None)


def test_a_failed_trial_is_noted_with_its_traceback_and_the_search_goes_on(search):
    name = search.ledger.next_trial().name
    assert told(search, name, Failed(traceback="Traceback:\nValueError: so\n"), "a note") == TrialScheduler.CONTINUE
    assert search.ledger.trial(name).error == "Traceback:\nValueError: so\n"
    assert "erm-00000: a note" in said(search)
    assert "erm-00000 has failed: ValueError: so" in said(search)


TRACEBACK = """Traceback (most recent call last):
  File "trial.py", line 7, in train_epoch
    step(batch)
  File "own.py", line {line}, in step
    raise ValueError("no")
ValueError: no {number}
of two lines
"""


def failing(search: Search, line: int = 3) -> str:
    name = search.ledger.next_trial().name
    told(search, name, Failed(traceback=TRACEBACK.format(line=line, number=name)))
    return name


def many(search: Search, **options) -> Search:
    """A search of six trials of each method."""
    search.spec = fast_spec(
        **{"methods": ["erm"], "num_samples": 6, "epochs": 2, "scheduler": {"name": "none"}} | options
    )
    search.ledger = Ledger(search.run.ledger, search.spec)
    return search


def test_a_search_whose_first_trials_fail_alike_stops_and_says_where_the_traceback_is(search):
    many(search)
    names = [failing(search), failing(search)]
    assert (search.stop.reason, search.hopeless) == (None, None)
    names.append(failing(search))
    assert search.stop.reason == "the first trials of erm have failed alike"
    assert search.hopeless.startswith(
        f"the first 3 trials of erm have failed alike, so the search was stopped: {', '.join(names)}\n"
    )
    assert "  ValueError: no erm-00000\n  of two lines\n" in search.hopeless
    file = search.run.error("erm-00000")
    assert file.read().decode() == TRACEBACK.format(line=3, number="erm-00000")
    assert f"the whole traceback is in {file}\n" in search.hopeless
    assert f"python tune.py --resume {search.run.path} --retry-failed" in search.hopeless
    assert len(search.hopeless.splitlines()) <= 20


def test_of_a_method_with_fewer_trials_all_are_enough(search):
    many(search, num_samples=2)
    failing(search)
    assert search.stop.reason is None
    failing(search)
    assert search.stop.reason is not None


@pytest.mark.parametrize("fares", ["complete", "further"])
def test_it_goes_on_where_another_trial_of_the_method_fares_better(search, fares):
    """One has ended well, or is further than those that fail, whose configs are then the matter."""
    many(search)
    name, outcome = trained(search)
    if fares == "complete":
        told(search, name, outcome)
    else:
        told(search, name, Progressed(objectives=outcome.objectives[:1], finished=False))
    for _ in range(4):
        failing(search)
    assert search.stop.reason is None


def test_it_goes_on_where_errors_differ_or_are_of_different_methods(search):
    many(search, methods=["erm", "scale"])
    for line in (3, 3, 4, 3, 5):  # of erm and scale in turn
        failing(search, line)
    assert search.stop.reason is None


def test_a_resumed_search_whose_failures_are_old_is_given_another_chance(search):
    many(search)
    for _ in range(3):
        failing(search)
    later = Search(run=search.run, spec=search.spec, progress=search.progress, stop=Stop(), sources={},
                   retry_failed=False)  # fmt: skip
    later.ledger, later.closing = Ledger(search.run.ledger, search.spec), search.closing
    failing(later)
    failing(later)
    assert later.stop.reason is None
    failing(later)
    assert later.stop.reason is not None


def test_workers_that_die_of_the_same_are_failures_alike(search):
    many(search, num_samples=2)
    for name in [search.ledger.next_trial().name for _ in range(2)]:
        for number in range(MAX_WORKER_DEATHS + 1):
            search.lost_worker(name, f"killed, {number}")
    assert search.hopeless.startswith("the first 2 trials of erm have failed alike")


def test_a_search_that_has_ended_without_a_result_says_why(search):
    many(search, num_samples=2)
    assert in_vain([], search.run).startswith("no trial has completed")
    failing(search, 3)
    failing(search, 4)
    why = in_vain(search.ledger.trials(), search.run)
    assert why.startswith("no trial has completed: 2 of 2 have failed, erm-00000, erm-00001\n")
    assert "--retry-failed" in why


@pytest.mark.parametrize("diverged", [False, True])
def test_a_complete_trial_is_a_result_unless_a_seed_diverged(search, diverged):
    many(search, num_samples=1)
    name, outcome = trained(search)
    told(search, name, outcome)
    if diverged:
        record = read_final_record(search.run.trial(name))
        record.replicas[0].diverged_epoch = 1
        close_trial(search.run.trial(name), record)
    why = in_vain(search.ledger.trials(), search.run)
    assert (why is None) is not diverged
    assert not diverged or "the loss of erm-00000 became infinite or NaN; start a new run with lower" in why


def test_a_full_disk_stops_the_search_and_fails_no_trial(search):
    name = search.ledger.next_trial().name
    assert told(search, name, Full(where="on host: /disk")) == TrialScheduler.CONTINUE
    assert search.stop.reason == "there is no space left on host: /disk"
    assert search.ledger.trial(name).state is LedgerState.RUNNING


def test_a_trial_that_no_worker_is_fit_for_stops_the_search_and_has_not_failed(search):
    name = search.ledger.next_trial().name
    for _ in range(MAX_WORKER_DEATHS):
        assert told(search, name, Unfit(why="on host: no data")) == TrialScheduler.CONTINUE
        assert search.stop.reason is None
        search.lost_worker(name, "ended after trouble")
    told(search, name, Unfit(why="on host: no data"))
    assert search.stop.reason == "workers can't train on host: no data"
    assert search.ledger.trial(name).state is LedgerState.RUNNING
