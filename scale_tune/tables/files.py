"""Tables in files: complete or absent, and parquet files sealed (:mod:`scale_tune.storage.seal`).

What was edited or damaged since is neither believed nor replaced: an error says so, and whose file it is decides.
"""

import io
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from scale_tune.errors import UserError
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.storage.seal import blank, check_seal, sealed
from scale_tune.tables.formulas import without_formulas

Format = Literal["parquet", "csv"]
KIND = "table"
SEAL = "scale_tune.seal"
"""Under which the metadata of a parquet file hold its digest."""
RUN = "scale_tune.run"
"""Under which those of a table hold the identity of the run that it is of."""


def write_tables(tables: dict[str, pa.Table], directory: Location, format_: Format = "parquet") -> list[Location]:
    """Write each table as ``<name>.parquet`` or ``<name>.csv``.

    Raises:
        UserError: the directory can't be written; or a parquet file that is to be replaced is not as it was written.
    """
    if format_ == "parquet":
        for name in tables:
            _read_sealed(directory / f"{name}.parquet")
    return write_files({f"{name}.{format_}": _encoded(table, format_) for name, table in tables.items()}, directory)


def write_files(contents: dict[str, bytes], directory: Location) -> list[Location]:
    """Write files by name; a reader sees the old file or the new one, never half of one.

    Raises:
        UserError: the directory can't be written.
    """
    paths = []
    for name, content in contents.items():
        paths.append(directory / name)
        try:
            paths[-1].write(content)
        except OSError as error:
            raise UserError(f"can't write {paths[-1]}: {error}; choose another --export directory") from None
    return paths


def of_run(run: RunDir, tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables with a word in their metadata of which run they are: :func:`read_results` takes no others."""
    of = {RUN: run.identity.encode()}
    return {
        name: table.replace_schema_metadata({**(table.schema.metadata or {}), **of}) for name, table in tables.items()
    }


def read_results(
    run: RunDir, name: str, schema: pa.Schema | None = None, only: pc.Expression | None = None
) -> pa.Table | None:
    """A table of a run as it was written; None if there is none.

    Args:
        run: whose ``results`` it is in.
        name: of the table.
        schema: the columns to read, null where the file lacks them; None: those of the file.
        only: which rows to read.

    Raises:
        UserError: it can't be read, is not as it was written, or is of another run.
    """
    path = run.results / f"{name}.parquet"
    if (content := _read_sealed(path)) is None:
        return None
    said = {key.decode(): value.decode() for key, value in (pq.read_schema(io.BytesIO(content)).metadata or {}).items()}
    if said.get("name") != name:
        raise UserError(f"{path} holds the table {said.get('name')}; {_REMEDY}")
    if said.get(RUN) != run.identity:
        raise UserError(f"{path} is of another run; {_REMEDY}")
    return pq.read_table(io.BytesIO(content), schema=schema, filters=only)


_REMEDY = (
    "move it away to keep it, or delete it: the table is then made again, and what was refitted from the features that "
    "trials have kept"
)


def _read_sealed(path: Location) -> bytes | None:
    """The content of a table's file, if there is one."""
    try:
        content = path.read()
        check_seal(content, KIND)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not as analyze.py wrote it: {error}; {_REMEDY}") from None
    return content


def _encoded(table: pa.Table, format_: Format) -> bytes:
    buffer = io.BytesIO()
    if format_ == "csv":
        csv.write_csv(without_formulas(table), buffer)
        return buffer.getvalue()
    with pq.ParquetWriter(buffer, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SEAL: blank(KIND)})
    return b"".join(sealed(buffer.getvalue(), KIND))
