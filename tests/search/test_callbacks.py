"""What becomes of a worker's report, without Ray: its results are handed to what Ray would call."""

import io
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState
from scale_tune.search.callbacks import LedgerScheduler
from scale_tune.search.closing import Closing
from scale_tune.search.messages import Failed, Full, Outcome, Progressed, Report, Unfit, encode
from scale_tune.search.progress import Progress
from scale_tune.search.state import MAX_WORKER_DEATHS, Search
from scale_tune.search.stopping import Stop
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import create_run
from scale_tune.training.checkpoint import save_checkpoint
from scale_tune.training.records import checkpoints, read_final_record
from tests.support.records import made_up_record
from tests.support.runs import fast_spec

SPEC = fast_spec(methods=["erm"], num_samples=2, epochs=2, scheduler={"name": "none"})


@pytest.fixture
def search(tmp_path) -> Search:
    run = create_run(Location.of(tmp_path), "run", SPEC, {})
    stop = Stop.__new__(Stop)  # without its signals
    stop.reason = None
    progress = Progress(Console(file=io.StringIO()))
    search = Search(run=run, spec=SPEC, progress=progress, stop=stop, retry_failed=False, sources={})
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


def test_a_failed_trial_is_noted_with_its_traceback_and_the_search_goes_on(search):
    name = search.ledger.next_trial().name
    assert told(search, name, Failed(traceback="Traceback:\nValueError: so\n"), "a note") == TrialScheduler.CONTINUE
    assert search.ledger.trial(name).error == "Traceback:\nValueError: so\n"
    assert "erm-00000: a note" in said(search)
    assert "erm-00000 has failed: ValueError: so" in said(search)


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
