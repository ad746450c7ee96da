"""What a search may vary has columns of its type, whatever the dataset or method."""

import pyarrow as pa
import pytest

from scale_tune.spec.config import DatasetConfig, TrialConfig
from scale_tune.tables.config_columns import config_columns
from scale_tune.tables.run_schemas import TRIALS
from scale_tune.tables.schemas import table_of


@pytest.mark.parametrize(
    ("option", "value", "type_", "written"),
    [
        ("csv", "list.csv", pa.string(), "list.csv"),
        ("target_share", 0.25, pa.float64(), 0.25),
        ("target_share", None, pa.float64(), None),
        ("crop_padding", 2, pa.int64(), 2),
        ("flip", False, pa.bool_(), False),
        ("resize", 64, pa.string(), "64"),
        ("resize", [32, 64], pa.string(), "[32, 64]"),
        ("resize", None, pa.string(), None),
        ("aligned", {"cow": "grass"}, pa.string(), '{"cow": "grass"}'),
    ],
)
def test_an_option_is_written_in_its_type(option, value, type_, written):
    config = TrialConfig(method="erm", dataset=DatasetConfig(name="table", **{option: value}))
    column = f"config.dataset.{option}"
    assert TRIALS.field(column).type == type_
    table = table_of([config_columns(config)], TRIALS)
    assert table[column].to_pylist() == [written]
