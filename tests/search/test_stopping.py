import fcntl
import os
import pty
import subprocess
import sys
import termios

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

with Stop({budget}, interrupts={interrupts}) as stop:
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
NAMES = ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"]


def behaviour(
    action: str, *, budget: float | None = None, phase: str = "nullcontext()", interrupts: bool = False
) -> tuple[int, str, str]:
    program = PROGRAM.format(budget=budget, phase=phase, action=action, interrupts=interrupts)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    return result.returncode, result.stdout, result.stderr.strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_is_noted_while_trials_train_and_a_second_one_ends_at_once(name):
    code, out, err = behaviour(f"os.kill(os.getpid(), signal.{name})", phase="stop.noted()")
    assert (code, out) == (3, f"noted: {name} was received\n")
    assert err == (
        f"{name}: stopping; once more to end at once\n\n"
        f"stopped, as {name} was received; start it again by the same command"
    )


def test_on_a_terminal_the_word_that_it_stops_moves_no_line_of_the_table():
    program = """
import os, signal
from scale_tune.search.stopping import Stop

with Stop() as stop, stop.noted():
    print("a table", end="", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
"""
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, timeout=30)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, shown) == (0, "a table\r\x1b[2KSIGINT: stopping; once more to end at once")


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_ends_everything_else_at_once(name):
    code, out, err = behaviour(f"os.kill(os.getpid(), signal.{name})")
    assert (code, out) == (3, "")
    assert err == f"stopped, as {name} was received; start it again by the same command"


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_interrupts_what_has_something_to_write(name):
    outcome = behaviour(f"os.kill(os.getpid(), signal.{name})", interrupts=True)
    assert outcome == (0, f"interrupted: {name} was received\n", "")
    assert behaviour(f"os.kill(os.getpid(), signal.{name})", phase="stop.interrupting()") == outcome


def test_time_that_is_up_is_noted_while_trials_train_and_ends_everything_else():
    assert behaviour("pass", budget=0.3, phase="stop.noted()") == (0, "noted: its time is up\n", "")
    code, _, err = behaviour("pass", budget=0.3)
    assert (code, err) == (3, "stopped, as its time is up; start it again by the same command")


def test_time_that_is_up_afterwards_is_nobodys_concern():
    program = """
import time
from scale_tune.search.stopping import Stop

with Stop(0.05):
    pass
time.sleep(0.1)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 0


def test_what_is_within_has_the_signals_and_tells_what_is_around_it():
    program = """
import os, signal
from scale_tune.search.stopping import Stop

with Stop() as outer:
    try:
        with Stop(interrupts=True):
            os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        print(outer.reason, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("not reached")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (3, "SIGTERM was received\n")


def test_who_is_started_to_outlive_its_terminal_does():
    program = """
import os, signal
from scale_tune.search.stopping import Stop

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
with Stop():
    os.kill(os.getpid(), signal.SIGHUP)
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_without_its_terminal_a_search_stops_in_order():
    """What it prints goes nowhere, and is no error."""
    program = """
import os, signal, time
from scale_tune.search.stopping import Stop

with Stop() as stop, stop.noted():
    print("begun", flush=True)
    while stop.reason is None:
        time.sleep(0.01)
    print("stopped", flush=True)
os._exit(3)
"""
    ours, theirs = pty.openpty()
    leads = {"start_new_session": True, "preexec_fn": lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)}
    process = subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs, **leads)
    os.close(theirs)
    assert b"begun" in os.read(ours, 1000)
    os.close(ours)  # the terminal is gone
    assert process.wait(30) == 3


def test_a_signal_ends_what_python_can_not_interrupt():
    """It waits in C, which no signal ends, as where Ray waits for a cluster: here for a lock that it holds itself."""
    program = """
import ctypes, os, signal, threading
from scale_tune.search import stopping

stopping.DEAF_SECONDS = 0.2
with stopping.Stop():
    stopping.never_deaf()
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 3
    assert done.stderr.strip() == "stopped, as SIGINT was received; start it again by the same command"
