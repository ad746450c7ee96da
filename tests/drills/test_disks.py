"""Disks that are full, and files that a disk has damaged."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.drills.conftest import SAMPLES
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.runs import fast_spec, make_run
from tests.support.searches import assert_search_is_whole, descendants, epochs_in_ledger, ledger_of, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own in memory; it takes root to mount one."""
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=2000", "tmpfs", directory], check=True)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_costs_nothing_but_the_time_until_there_is_space(space, small_disk, tmp_path):
    directory, log = small_disk / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", small_disk, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 3, driver, log)
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        free = shutil.disk_usage(small_disk).free
        file.write(b"x" * (free - 200_000))  # the ledger has room for its lines, a checkpoint has not
    code = driver.wait(120)
    said = log.read_text()
    assert code == 3, said
    assert "there is no space left on" in said
    assert "No space left on device" in said
    assert str(small_disk) in said
    assert "MB are free" in said
    kept = {t.name: t.objectives for t in ledger_of(directory)}
    unfinished = [t for t in ledger_of(directory) if t.objectives and not t.state.ended]
    for trial in unfinished:
        assert list((directory / "trials" / trial.name).glob("checkpoint-*")), "the earlier checkpoint survives"
    ballast.unlink()
    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    for trial in assert_search_is_whole(directory, SAMPLES, tmp_path / "check"):
        assert trial.objectives[: len(kept.get(trial.name, []))] == kept.get(trial.name, [])


def test_a_disk_that_is_full_for_the_ledger_too_is_survived(space, small_disk, tmp_path):
    directory, log = small_disk / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", small_disk, log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 3, driver, log)
    ballast = small_disk / "ballast"
    fill(ballast)
    assert driver.wait(120) == 3, log.read_text()
    assert "No space left on device" in log.read_text()
    ballast.unlink()
    result = run("tune", "--resume", directory)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def use_up_inodes(directory: Path) -> None:
    directory.mkdir()
    with suppress(OSError):
        for number in range(10_000):
            (directory / str(number)).touch()


@pytest.mark.parametrize(
    ("full_of", "what"), [("bytes", "0 MB of 17 MB are free"), ("files", "no inode of 2,000 is free")]
)
def test_a_search_that_can_not_go_on_as_a_disk_is_full_says_so(small_disk, tmp_path, full_of, what):
    made = make_run(small_disk, fast_spec(methods=["erm_target"], num_samples=1), leave_running="erm_target-00000")
    ballast = small_disk / "ballast"
    use_up_inodes(ballast) if full_of == "files" else fill(ballast)
    result = run("tune", "--resume", made.path)
    said = result.stdout + result.stderr
    assert result.returncode == 3, said
    assert "stopped, as there is no space left on " in said
    assert what in said
    assert "Traceback" not in said
    shutil.rmtree(ballast) if ballast.is_dir() else ballast.unlink()
    result = run("tune", "--resume", made.path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("full_of", ["bytes", "files"])
def test_a_directory_for_temporary_files_that_is_full_says_so(space, small_disk, tmp_path, monkeypatch, full_of):
    ballast = small_disk / "ballast"
    use_up_inodes(ballast) if full_of == "files" else fill(ballast)
    monkeypatch.setenv("TMPDIR", str(small_disk))
    result = run("tune", space, "--name", "demo", "--storage", tmp_path / "runs")
    said = result.stdout + result.stderr
    assert result.returncode == 3, said
    assert "there is no space left on" in said
    assert str(small_disk) in said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


def test_a_truncated_checkpoint_and_a_torn_ledger_line_cost_an_epoch_at_most(space, tmp_path):
    directory, log = tmp_path / "runs" / "demo", tmp_path / "log"
    driver = start("tune", space, "--name", "demo", "--storage", tmp_path / "runs", log=log)

    def victims() -> list[Path]:
        return [p for p in directory.glob("trials/*/checkpoint-*") if p.name >= "checkpoint-00002"]

    wait_until(lambda: victims(), driver, log)
    processes = descendants(driver.pid)
    kill_group(driver)
    wait_for_end(processes)
    newest = max(victims())
    os.truncate(newest, newest.stat().st_size // 2)
    with (directory / "ledger.log").open("ab") as ledger:
        ledger.write(b'{"op_code":8,"worker_id":"x')
    result = run("tune", "--resume", directory)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert f"{newest} is damaged" in said
    assert "dropped an unfinished last line" in said
    assert_search_is_whole(directory, SAMPLES, tmp_path / "check")


def test_a_ledger_that_cannot_be_read_is_an_error_and_never_an_empty_search(space, tmp_path):
    directory = tmp_path / "runs" / "demo"
    options = ["--methods", "erm_target", "--num-samples", 1, "--epochs", 1]
    assert run("tune", space, "--name", "demo", "--storage", tmp_path / "runs", *options).returncode == 0
    ledger = directory / "ledger.log"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:1], b"garbage\n", *lines[1:]]))
    for command, arguments in (("tune", ["--resume", directory]), ("analyze", [directory])):
        result = run(command, *arguments)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "can't be read" in result.stderr
    ledger.unlink()
    for command, arguments in (("tune", ["--resume", directory]), ("analyze", [directory])):
        result = run(command, *arguments)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "there is no ledger" in result.stderr
    assert not ledger.exists()
