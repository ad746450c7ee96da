"""A run as long as they get is exported whole, and its records are read once."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scale_tune.storage.rundir import RECORD_FILE
from tests.support.commands import measured
from tests.support.runs import BIG, make_run


@pytest.mark.drill
@pytest.mark.alone
@pytest.mark.timeout(1500)
def test_a_thousand_trials_are_exported_in_little_memory_and_their_records_read_once(tmp_path):
    run = make_run(tmp_path, BIG, made_up=True)
    first = measured("analyze", run.path, "--export", tmp_path / "tables")
    rows = {name: pq.read_metadata(tmp_path / "tables" / f"{name}.parquet").num_rows for name in ("trials", "epochs")}
    assert rows == {"trials": 1000, "epochs": 1000 * 50 * 3 * 3}, "3 seeds, and train, target and val"
    for record in run.trials.local.rglob(RECORD_FILE):
        make_unreadable(record)
    again = measured("analyze", run.path, "--export", tmp_path / "again")
    for table in sorted((tmp_path / "tables").glob("*.parquet")):
        assert pq.read_table(tmp_path / "again" / table.name).equals(pq.read_table(table)), table.name
    assert max(first.peak_bytes, again.peak_bytes) < 1.2e9


def make_unreadable(record: Path) -> None:
    """Nothing of it is left but its size and its time, by which an export tells that it has not changed."""
    before = record.stat()
    record.write_bytes(b"\0" * before.st_size)
    os.utime(record, ns=(before.st_atime_ns, before.st_mtime_ns))
