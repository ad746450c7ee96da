"""What a command is doing, on a terminal and elsewhere."""

import io
import time

import pytest
from rich.console import Console

from scale_tune import steps as module
from scale_tune.steps import Steps


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, markup=False, highlight=False)


def said(steps: Steps) -> str:
    return steps.console.file.getvalue()


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.05)


def wait_for(steps: Steps, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in said(steps):
        assert time.monotonic() < deadline, said(steps)
        time.sleep(0.01)


@pytest.mark.usefixtures("_impatient")
def test_elsewhere_a_step_is_a_line_when_it_begins_and_again_while_it_lasts():
    with Steps(console(terminal=False)) as steps:
        steps("a line")
        steps.doing("starting Ray")
        assert said(steps).startswith("a line\nstarting Ray …\n")
        wait_for(steps, "  still starting Ray (0s)\n")
        steps("preparing …")
        for done in (10, 1200):
            steps.doing("preparing", done, 5000)
        wait_for(steps, "  still preparing, 1,200 of 5,000 (0s)\n")
        assert said(steps).count("preparing …\n") == 1, "what goes on does not begin anew"
        steps.pause()
        after = said(steps)
        time.sleep(0.2)  # in which it would have been said four times
        assert said(steps) == after


def test_a_terminal_gets_a_spinner_that_is_gone_in_the_end():
    with Steps(console(terminal=True)) as steps:
        steps.doing("starting Ray")
        steps.doing("preparing", 1200, 5000)
        steps("a line")
        text = said(steps)
        assert "starting Ray" in text
        assert "preparing, 1,200 of 5,000" in text
        assert "━" in text
        assert "a line\n" in text
        assert "…" not in text
    assert said(steps).endswith("\x1b[2K"), "the last line is erased"


def test_it_ends_whatever_happens():
    steps = Steps(console(terminal=True))

    def interrupted() -> None:
        with steps:
            steps.doing("starting Ray")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "\x1b[?25h" in said(steps), "the cursor is back"
