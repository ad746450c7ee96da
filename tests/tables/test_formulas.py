import pyarrow as pa
import pytest

from scale_tune.storage.location import Location
from scale_tune.tables.collect import write_tables


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "+-1", "-x"]
)
def test_no_text_is_a_formula_to_a_spreadsheet(tmp_path, text):
    assert written(tmp_path, [text]) == ["'" + text]


@pytest.mark.parametrize("text", ["scale", "a=b", "-0.5", "+3", "-1e-3", "1-2", "", None, "'=1"])
def test_other_text_stays_as_it_is(tmp_path, text):
    assert written(tmp_path, [text]) == [text]


def test_numbers_stay_numbers_and_parquet_keeps_what_there_is(tmp_path):
    table = pa.table({"accuracy": [-0.5, None], "error": ["=1", None]})
    write_tables({"t": table}, Location.of(tmp_path), "csv")
    write_tables({"t": table}, Location.of(tmp_path), "parquet")
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("-0.5,")
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "t.parquet").equals(table)


def written(directory, texts: list[str | None]) -> list[str | None]:
    """What a CSV has of a column of text."""
    from pyarrow import csv

    write_tables(
        {"t": pa.table({"error": pa.array(texts, pa.string()), "n": range(len(texts))})}, Location.of(directory), "csv"
    )
    types = csv.ConvertOptions(
        column_types={"error": pa.string()}, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    lines = csv.ParseOptions(newlines_in_values=True)
    return csv.read_csv(directory / "t.csv", parse_options=lines, convert_options=types)["error"].to_pylist()
