"""Paths that lead nowhere, or that no file can have: one message, wherever they are given."""

import os

import pytest

from tests.conftest import REPOSITORY
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

DIGITS = REPOSITORY / "search_spaces" / "digits.yaml"
BYTES = os.fsdecode(b"/tmp/\xff\xfe")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    spec = fast_spec(num_samples=1, epochs=1, scheduler={"name": "none"})
    return str(make_run(tmp_path_factory.mktemp("runs"), spec, made_up=True).path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tune DIGITS --dry-run --storage BYTES", "a path has to be UTF-8"),
        ("tune --status BYTES", "a path has to be UTF-8"),
        ("tune --resume BYTES --dry-run", "a path has to be UTF-8"),
        ("analyze BYTES", "a path has to be UTF-8"),
        ("analyze RUN --dfr none --export BYTES", "a path has to be UTF-8"),
        ("analyze RUN --dfr none --report BYTES", "a path has to be UTF-8"),
        ("analyze RUN --dfr none --best BYTES", "a path has to be UTF-8"),
        ("tune BYTES --dry-run", r"no search space /tmp/\udcff\udcfe"),
        ("tune DIGITS --dry-run --name BYTES", "--name: must be up to"),
        ("analyze RUN --dfr none --export LOOP", "can't follow"),
        ("analyze RUN --dfr none --export LOOP/x", "can't follow"),
        ("tune DIGITS --dry-run --storage LOOP", "is no directory; choose another"),
        ("tune DIGITS --dry-run --storage LOOP/x", "is no directory; choose another"),
        ("tune LOOP --dry-run", "can't read the search space"),
        ("analyze LOOP", "can't read LOOP/spec.yaml"),
        ("analyze RUN --dfr none --best /dev/full", "can't look into --best /dev/full"),
        ("analyze RUN --dfr none --export /dev/full", "can't write /dev/full/"),
        ("tune /dev/full --dry-run", "more than 1,048,576 bytes"),
        ("tune /dev/zero --dry-run", "more than 1,048,576 bytes"),
        ("tune DIGITS --dry-run --storage /dev/full", "/dev/full is no directory"),
        ("tune --resume /dev/full", "is not the directory of a run"),
        ("tune DIGITS --dry-run --storage s3://", "there is no bucket"),
        ("analyze RUN --dfr none --export s3://", "there is no bucket"),
        ("analyze RUN --dfr none,scale", "--dfr: none stands alone, got 'none,scale'"),
        ("tune DIGITS --dry-run --seeds 0,1]#", "seeds.1: must be a valid integer, got '1]#'"),
        ("tune DIGITS --dry-run --seeds 0,,1", "seeds.1: must be a valid integer, got ''"),
        ("tune DIGITS --dry-run --seeds 0x1", "seeds.0: must be a valid integer, got '0x1'"),
        ("tune DIGITS --dry-run --time-budget 9999d", "must be at most 3650d"),
    ],
)
def test_it_is_refused(tmp_path, run, words, message):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    given = {"DIGITS": str(DIGITS), "RUN": run, "BYTES": BYTES}
    script, *arguments = (given.get(word, word).replace("LOOP", str(loop)) for word in words.split())
    result = call(script, *arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.startswith("error: ")
    assert message.replace("LOOP", str(loop)) in result.stderr
    assert list(tmp_path.iterdir()) == [loop]
