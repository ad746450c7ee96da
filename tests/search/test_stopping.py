import os
import pty
import subprocess
import sys

import pytest

from scale_tune.errors import UserError
from scale_tune.search.stopping import parse_budget


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5d", 129600), (" 0.5s ", 0.5)]
)
def test_a_time_budget_is_a_number_with_units(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "-1h", "0s", "1h30", "nan", "1e3s"])
def test_anything_else_is_refused(text):
    with pytest.raises(UserError, match="must be a time, as 90s, 30m"):
        parse_budget(text)


PROGRAM = """
import os, signal, time
from contextlib import nullcontext
from scale_tune.search.stopping import Stop

stop = Stop({budget})
try:
    with {phase}:
        {action}
        while stop.reason is None:
            time.sleep(0.01)
    print("noted:", stop.reason, flush=True)
    {action}
except KeyboardInterrupt:
    print("interrupted:", stop.reason)
"""


def behaviour(budget: float | None, phase: str, action: str) -> tuple[int, str]:
    program = PROGRAM.format(budget=budget, phase=phase, action=action)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    return result.returncode, result.stdout


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_is_noted_while_trials_train_and_a_second_one_ends_at_once(name):
    outcome = behaviour(None, "stop.noted()", f"os.kill(os.getpid(), signal.{name})")
    assert outcome == (3, f"noted: {name} was received\n")


def test_on_a_terminal_the_word_that_it_stops_moves_no_line_of_the_table():
    program = """
import os, signal
from scale_tune.search.stopping import Stop

with Stop().noted():
    print("a table", end="", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
"""
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, timeout=30)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, shown) == (0, "a table\r\x1b[2KSIGINT: stopping; once more to end at once")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_interrupts_everything_else(name):
    outcome = behaviour(None, "nullcontext()", f"os.kill(os.getpid(), signal.{name})")
    assert outcome == (0, f"interrupted: {name} was received\n")


def test_time_that_is_up_is_noted_while_trials_train_and_interrupts_everything_else():
    assert behaviour(0.3, "stop.noted()", "pass") == (0, "noted: its time is up\n")
    assert behaviour(0.3, "nullcontext()", "pass") == (0, "interrupted: its time is up\n")
