"""Whatever is written into a search space or onto a command line: it is done, or refused by one message in good time.

``SCALE_TUNE_FUZZ=20000 pytest tests/end_to_end/test_fuzz.py -m drill`` tries any number of each.
"""

import os
import shutil
import time
from pathlib import Path

import pytest

from scale_tune.storage.rundir import RunDir
from scale_tune.workflows import driver, rehearsal
from tests.support import fuzz
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

MOST_LINES, MOST_SECONDS = 20, 5.0
SPACES, COMMANDS = (int(os.environ.get("SCALE_TUNE_FUZZ", number)) for number in (2000, 200))
FEW = 20
"""One in so many is among the tests that always run."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunDir:
    spec = fast_spec(num_samples=2, epochs=2, scheduler={"name": "none"})
    return make_run(tmp_path_factory.mktemp("runs"), spec, made_up=True)


@pytest.fixture(autouse=True)
def _nothing_is_trained(monkeypatch):
    monkeypatch.setattr(rehearsal, "rehearse", lambda spec, say: None)
    for name in ("launch", "resume"):
        monkeypatch.setattr(driver, name, lambda *given, **options: True)


def problem_of(script: str, words: list[str], here: Path) -> tuple[int, str]:
    """The exit code of a command, and what is wrong with it, if anything is."""
    started = time.process_time()
    try:
        result = call(script, *words, cwd=here)
    except Exception as error:
        return 1, f"a traceback: {error!r:.500}"
    seconds = time.process_time() - started
    code, said = int(result.returncode or 0), result.stderr
    shown = result.stdout + said
    problems = {
        f"{seconds:.1f} s": seconds > MOST_SECONDS,
        f"exit code {code}": code not in (0, 2),
        "not one message": (code == 2) != (said.startswith("error: ") and said.count("error: ") == 1),
        f"{len(said.splitlines())} lines": len(said.splitlines()) > MOST_LINES,
        "what a terminal obeys": "\x1b" in shown,
        "a secret": "hush" in shown,
    }
    return code, "".join(f"{problem}: {said:.500}" for problem, is_one in problems.items() if is_one)


def check_spaces(numbers: range, directory: Path) -> None:
    wrong, codes = [], set()
    here = directory / "here"
    here.mkdir()
    for number in numbers:
        name, text = fuzz.space(number)
        path = directory / "space.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        code, problem = problem_of("tune", [str(path), "--dry-run"], here)
        codes.add(code)
        wrong += [f"{number} ({name}): {problem}"] * bool(problem)
    assert not wrong, "\n".join(wrong)
    assert not list(here.iterdir()), "a dry run writes nothing"
    assert codes == {0, 2}, "some mutations are search spaces, and most are not"


def check_commands(numbers: range, made: RunDir, directory: Path) -> None:
    wrong, codes = [], set()
    for number in numbers:
        here = directory / str(number) / "here"
        here.mkdir(parents=True)
        run = shutil.copytree(made.path.local, here.parent / "run")
        script, words = fuzz.command(number, run)
        code, problem = problem_of(script, words, here)
        codes.add(code)
        wrong += [f"{number}: {script} {words}: {problem}"] * bool(problem)
        shutil.rmtree(directory / str(number))
    assert not wrong, "\n".join(wrong)
    assert codes == {0, 2}


def test_some_mutated_spaces(tmp_path):
    check_spaces(range(0, SPACES, FEW), tmp_path)


def test_some_command_lines(tmp_path, made):
    check_commands(range(0, COMMANDS, FEW), made, tmp_path)


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_many_mutated_spaces(tmp_path):
    check_spaces(range(SPACES), tmp_path)


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_many_command_lines(tmp_path, made):
    check_commands(range(COMMANDS), made, tmp_path)
