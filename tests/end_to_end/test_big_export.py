"""A run as long as they get is exported within a minute and a gigabyte."""

import pyarrow.parquet as pq
import pytest

from tests.support.commands import measured
from tests.support.runs import BIG, make_run


@pytest.mark.drill
@pytest.mark.alone
@pytest.mark.timeout(1500)
def test_a_thousand_trials_are_exported_within_a_minute_and_a_gigabyte(tmp_path):
    run = make_run(tmp_path, BIG, made_up=True)
    first = measured("analyze", run.path, "--export", tmp_path / "tables")
    assert first.seconds < 60
    assert first.peak_bytes < 1e9
    rows = {name: pq.read_metadata(tmp_path / "tables" / f"{name}.parquet").num_rows for name in ("trials", "epochs")}
    assert rows == {"trials": 1000, "epochs": 1000 * 50 * 3 * 3}, "3 seeds, and train, target and val"
    again = measured("analyze", run.path, "--export", tmp_path / "tables")
    assert again.cpu_seconds < 0.75 * first.cpu_seconds, "the records are not read again"
    assert again.peak_bytes < 1e9
