import io
import re
from itertools import pairwise
from types import SimpleNamespace

import pytest
from rich.console import Console

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, LedgerTrial, trial_name
from scale_tune.search import progress as module
from scale_tune.search.overview import duration
from scale_tune.search.progress import Progress
from tests.support.ledgers import spec
from tests.support.runs import fast_spec

EIGHTEEN = ["erm", "erm_target", "erm_all", "finetune", "scale", "scale_constant", "projection", "rwg", "subg", "rwy"]
EIGHTEEN += ["suby", "group_dro", "group_dro_target", "lisa", "mixup", "jtt", "afr", "afr_target"]
LONG = "a_name_that_is_longer_than_anybody_needs"


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "ledger.log").touch()
    return Ledger(tmp_path / "ledger.log", fast_spec())


def shown(ledger, *, terminal: bool, monkeypatch) -> str:
    """Of a search of which a trial fails, and another is at its second epoch and then complete."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    monkeypatch.setattr(module, "LOOK_SHARE", float("inf"))
    monkeypatch.setattr(module, "LINE_SECONDS", 0)
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=80, height=24, markup=False, highlight=False)
    with Progress(console, ledger.spec) as progress:
        progress.show(ledger)
        failed, complete = ledger.next_trial(), ledger.next_trial()
        ledger.fail(failed.name, "Traceback")
        progress.time.begun(complete.name, anew=True, now=progress.started)
        progress.time.trained(complete.name, complete.method, 2, 0, progress.started + 60)
        ledger.report(complete.name, [0.25, 0.5], finished=True)
        progress.show(ledger)
        ledger.complete(complete.name)
        progress.time.ended(complete.name)
        progress.show(ledger)
    return output.getvalue()


def test_a_log_file_gets_plain_lines(ledger, monkeypatch):
    lines = shown(ledger, terminal=False, monkeypatch=monkeypatch).splitlines()
    assert lines[0] == "0%, 0/6 trials ended, 0s; waiting for a worker"
    assert re.fullmatch(r"27%, 1/6 trials ended, 0s, about \d+m\d\ds left; running erm_target-00000 2/3", lines[1])
    assert lines[2] == "erm_target-00000 complete, 2 epochs, 0.500"
    assert re.fullmatch(r"best erm_target-00000 0.500: lr=\S+ batch_size=\d+", lines[3])
    assert lines[4:] == ["2 of 6 trials ended: 1 complete, 0 pruned, 1 failed; 0 running", lines[3]]


def test_between_two_lines_of_a_log_file_are_five_seconds_and_later_more(ledger, monkeypatch):
    output, clock = io.StringIO(), SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    said = []
    progress = Progress(Console(file=output), ledger.spec)
    for second in range(24 * 3600):
        clock.now = float(second)
        if second < 4000 or second > 23 * 3600:
            progress.show(ledger)
        if output.getvalue():
            said.append(second)
            output.seek(output.truncate(0))
    pauses = {second: second - before for before, second in pairwise(said)}
    assert max(pause for second, pause in pauses.items() if second < 3600) == 5
    assert next(pause for second, pause in pauses.items() if second > 23 * 3600 + 120) == 60


def test_a_terminal_gets_a_bar_a_table_what_runs_and_the_best_config(ledger, monkeypatch):
    text = shown(ledger, terminal=True, monkeypatch=monkeypatch)
    assert "1/6 trials ended" in text
    assert "about " in text
    assert "erm_target-00000 2/3" in text
    assert "best erm_target-00000 0.500: lr=" in text
    assert text.endswith(text[text.rindex("2 of 6 trials ended") :]), "the display makes room for what came of it"


def test_while_the_last_trials_are_closed_no_number_stands_still(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    monkeypatch.setattr(module, "LOOK_SHARE", float("inf"))
    run = spec(methods=["erm"], epochs=3, num_samples=1)
    trials, output = [made_up("erm", 0, LedgerState.RUNNING, 3)], io.StringIO()
    with Progress(Console(file=output, width=80), run) as progress:
        progress.time.begun("erm-00000", anew=True, now=progress.started)
        progress.time.trained("erm-00000", "erm", 3, 0, progress.started)
        progress.show(SimpleNamespace(spec=run, trials=lambda: trials, done=False))
    assert output.getvalue().startswith("100%, 0/1 trials ended, 0s, nearly done; running erm-00000 3/3\n")


def made_up(method: str, number: int, state: LedgerState, epochs: int) -> LedgerTrial:
    return LedgerTrial(
        name=trial_name(method, number),
        method=method,
        number=number,
        state=state,
        params={"lr": 0.0123, "momentum": 0.9, "batch_size": 32, "weight_decay": 0.001, "group_size": 16},
        objectives=[0.5] * epochs,
        error=None,
        started=None,
        ended=None,
    )


@pytest.mark.parametrize("height", [50, 24, 12, 6, 3])
@pytest.mark.parametrize("width", [120, 80, 40])
@pytest.mark.parametrize("methods", [EIGHTEEN, [*EIGHTEEN[:-1], LONG]], ids=["names", "a long name"])
def test_eighteen_methods_and_twelve_running_trials_fit_any_terminal_uncut(methods, width, height):
    run = spec(methods=methods, epochs=100, num_samples=100)
    trials = [made_up(method, number, LedgerState.COMPLETE, 100) for method in methods for number in range(12)]
    trials += [made_up(method, 12, LedgerState.RUNNING, 37) for method in methods[-12:]]
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, height=height, markup=False, highlight=False)
    with Progress(console, run) as progress:
        for trial in trials[-12:]:
            progress.time.begun(trial.name, anew=True, now=progress.started)
            progress.time.trained(trial.name, trial.method, 37, 0, progress.started + 37)
        progress.show(SimpleNamespace(spec=run, trials=lambda: trials))
        text = output.getvalue()
        lines = re.sub(r"\x1b\[[^m]*[A-Za-z]", "", text.rpartition("\x1b[2K")[2]).strip("\n").splitlines()
        progress._ledger = None
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert "…" not in text
    shown = "".join(lines)
    assert "216/1800 trials ended" in re.sub(r"\s+", " ", " ".join(lines))
    if height >= 24 and width >= 80:
        for method in methods:
            assert f"{method} 12/100 0.500" in shown or height > 24
        for trial in trials[-12:]:
            assert f"{trial.name} 37/100" in shown
        assert "group_size=16" in shown


@pytest.mark.parametrize(("seconds", "text"), [(8.6, "9s"), (130, "2m10s"), (3900, "1h05m"), (100_000, "27h46m")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_looks_that_take_long_are_further_apart(monkeypatch, ledger):
    monkeypatch.setattr(module, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(module, "LOOK_SHARE", 0.02)
    now, looks = [1000.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress(Console(file=io.StringIO()), ledger.spec)

    def look(ledger, at):
        looks.append(at)
        now[0] += 0.5  # a fiftieth of 25 seconds

    monkeypatch.setattr(progress, "_look", look)
    for seconds in (0, 10, 14, 1, 0.5):
        now[0] += seconds
        progress.show(ledger)
    assert looks == [1000.0, 1025.5]
