"""How a command ends, whatever it ends by; drills/test_signals.py sends signals to real ones."""

import subprocess
import sys
import tomllib

import pytest

from tests.conftest import REPOSITORY

PROGRAM = """
import os, signal, sys
from scale_tune.cli.entry import run
from scale_tune.search.stopping import Stop

def command():
    {0}

run(command)
"""
TOLD = "os.kill(os.getpid(), signal.SIGTERM)"


def ended(body: str) -> tuple[int, str]:
    program = PROGRAM.format(body.replace("\n", "\n    "))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_a_command_ends_with_its_own_code(code):
    assert ended(f"sys.exit({code})") == (code, "")


def test_a_signal_ends_it_before_it_has_begun_with_anything():
    assert ended(TOLD) == (3, "stopped, as SIGTERM was received; start it again by the same command")


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("raise", ""),
        (
            "raise RuntimeError('as a library made of it')",
            "stopped, as SIGTERM was received; on the way: RuntimeError('as a library made of it')",
        ),
        ("sys.exit(130)", ""),
    ],
)
def test_an_interruption_that_turns_into_something_else_is_one_all_the_same_and_told(end, told):
    interrupted = f"with Stop(interrupts=True):\n    try:\n        {TOLD}\n    except KeyboardInterrupt:\n        {end}"
    assert ended(interrupted) == (3, told)


@pytest.mark.parametrize("code", [0, 4])
def test_what_was_done_all_the_same_is_done(code):
    swallowed = f"with Stop(interrupts=True):\n    try:\n        {TOLD}\n    except KeyboardInterrupt:\n        pass"
    assert ended(f"{swallowed}\nsys.exit({code})") == (code, "")


def test_a_disk_that_is_full_stops_it():
    code, said = ended("raise OSError(28, 'No space left on device', '/proc/x')")
    assert code == 3
    assert said.startswith("stopped, as there is no space left on ")
    assert "No space left on device: '/proc/x'" in said
    assert said.endswith("; the same command goes on")


def test_a_mistake_of_ours_has_its_traceback():
    code, said = ended("raise ZeroDivisionError")
    assert code == 1
    assert said.startswith("Traceback")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_at_the_very_end_changes_nothing(name):
    """Once in the end's first steps, and once when Python takes itself apart."""
    late = f"import atexit\natexit.register(os.kill, os.getpid(), signal.{name})\nsys.exit(4)"
    assert ended(late) == (4, "")
    kills = f"kill=os.kill, pid=os.getpid(), number=signal.{name}"
    dies = f"class Last:\n    def __del__(self, {kills}):\n        kill(pid, number)"
    assert ended(f"{dies}\nsys.modules['last'] = Last()\nsys.exit(4)") == (4, "")


def test_the_commands_are_those_that_are_installed():
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in (("tune", scripts["scale-tune"]), ("analyze", scripts["scale-analyze"])):
        assert entry == f"scale_tune.cli.entry:{name}"
        module = [sys.executable, "-m", "scale_tune.cli.entry", name, "--help"]
        shown = subprocess.run(module, capture_output=True, text=True, timeout=30, check=True).stdout
        assert name in shown.splitlines()[0]
