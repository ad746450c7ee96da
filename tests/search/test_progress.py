import io

import pytest
from rich.console import Console

from scale_tune.ledger.ledger import Ledger
from scale_tune.search import progress as module
from scale_tune.search.progress import Progress, duration
from tests.support.runs import fast_spec


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "ledger.log").touch()
    return Ledger(tmp_path / "ledger.log", fast_spec())


def shown(ledger, *, terminal: bool, monkeypatch) -> str:
    monkeypatch.setattr(module, "TERMINAL_SECONDS", 0)
    output = io.StringIO()
    with Progress(Console(file=output, force_terminal=terminal, width=80, markup=False, highlight=False)) as progress:
        progress.show(ledger)
        failed, complete = ledger.next_trial(), ledger.next_trial()
        ledger.fail(failed.name, "Traceback")
        ledger.report(complete.name, [0.25, 0.5, 0.5], finished=True)
        progress.show(ledger)
        ledger.complete(complete.name)
    return output.getvalue()


def test_a_log_file_gets_plain_lines(ledger, monkeypatch):
    lines = shown(ledger, terminal=False, monkeypatch=monkeypatch).splitlines()
    assert len(lines) == 3
    assert "1/6 trials ended, 0 complete, 0 pruned, 1 failed, 1 running, best erm_target-00000 0.500" in lines[1]
    assert "2/6 trials ended, 1 complete, 0 pruned, 1 failed, 0 running" in lines[2], "the last state is shown"
    assert "trials/min, about" in lines[2]


def test_a_terminal_gets_a_table_that_fits_it(ledger, monkeypatch):
    text = shown(ledger, terminal=True, monkeypatch=monkeypatch)
    assert "…" not in text
    last = text[text.rindex("method") :]
    assert "erm_target" in last
    assert "best erm_target-00000 lr=" in last


@pytest.mark.parametrize(("seconds", "text"), [(8.6, "9s"), (130, "2m10s"), (3900, "1h05m"), (100_000, "27h46m")])
def test_durations(seconds, text):
    assert duration(seconds) == text
