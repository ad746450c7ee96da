import os
import stat

import pytest

from scale_tune.storage.rundir import RunDir
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run


@pytest.fixture
def no_umask():
    """As some users and some containers have it."""
    before = os.umask(0)
    yield
    os.umask(before)


def writable_by_all(directory) -> list[str]:
    return [str(path) for path in (directory, *directory.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & 0o002]


def test_nothing_of_a_run_is_writable_by_all_whatever_the_umask(tmp_path, no_umask):
    call("tune", "--status", tmp_path / "absent")  # any command does this first
    spec = fast_spec(num_samples=1, epochs=1, scheduler={"name": "none"})
    run = make_run(tmp_path, spec, made_up=True, fail="erm-00000")
    assert call("analyze", run.path, "--dfr", "none", "--optuna", run.path / "copy.log").returncode == 0
    assert len(list(run.path.local.rglob("*"))) > 10
    assert writable_by_all(run.path.local) == []
    assert stat.S_IMODE(run.path.local.stat().st_mode) == 0o775, "the umask decides what a group may do"


def test_a_private_umask_stays_private(tmp_path):
    before = os.umask(0o077)
    try:
        call("tune", "--status", tmp_path / "absent")
        run = make_run(tmp_path, fast_spec(num_samples=1, epochs=1), made_up=True)
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in RunDir(run.path).path.local.rglob("*")} == {0}
    finally:
        os.umask(before)
