"""What an earlier export knows of trials that have not changed since, so that their records need not be read again.

The exported tables of a run are their own cache. A table's metadata list its trials in order, with the number of rows
and the stamp of the record that they were made from. A trial is taken from there if its record still has that stamp
in every table; otherwise, and if a file is of another version of the schemas, the record is read. The rows of refits,
which analyses add to ``groups``, are none of this module's.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import pyarrow as pa

from scale_tune.storage.rundir import RunDir
from scale_tune.tables.files import read_results
from scale_tune.tables.refits import own_rows

KEY = b"scale_tune.trials"
"""Under which a table's metadata list its trials."""

TOGETHER = 256
"""So many trials' rows are put together at a time; thousands of small tables take several times the memory of one."""
Parts = dict[str, tuple[str, pa.Table]]
"""Of each trial, the stamp of its record and its rows of one table."""


class Joining:
    """A table in the making, trial by trial, which says what it was made from.

    Args:
        schema: of the table.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._trials: list[list[Any]] = []
        self._joined = [schema.empty_table()]
        self._waiting: list[pa.Table] = []

    def add(self, trial: str, stamp: str | None, rows: pa.Table) -> None:
        """The rows of the next trial, and the stamp of the record that they are of."""
        self._trials.append([trial, stamp, rows.num_rows])
        self._waiting.append(rows)
        if len(self._waiting) == TOGETHER:
            self._join()

    def table(self) -> pa.Table:
        """What has been added so far."""
        self._join()
        content = {"schema": _fingerprint(self._schema), "trials": self._trials}
        metadata = {**self._schema.metadata, KEY: json.dumps(content).encode()}
        return pa.concat_tables(self._joined).replace_schema_metadata(metadata)

    def _join(self) -> None:
        if self._waiting:
            self._joined.append(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting.clear()


def read_unchanged(
    run: RunDir, schemas: Mapping[str, pa.Schema], stamps: Mapping[str, str | None]
) -> dict[str, dict[str, pa.Table]]:
    """The rows of every trial whose record has the stamp that it had when all of these tables were written.

    Args:
        run: whose exported tables are looked at, if there are any.
        schemas: by name of the table; one that was written by another version, with another schema, is not used.
        stamps: of each trial's record now; None if its rows must not be taken from here.

    Returns:
        By trial and name of the table.
    """
    parts = {name: _read_parts(run, name, schema) for name, schema in schemas.items()}
    return {
        trial: {name: of_table[trial][1] for name, of_table in parts.items()}
        for trial, stamp in stamps.items()
        if stamp is not None and all(stamp == of_table.get(trial, (None,))[0] for of_table in parts.values())
    }


def _read_parts(run: RunDir, name: str, schema: pa.Schema) -> Parts:
    if (table := read_results(run, name)) is None:
        return {}
    content: dict[str, Any] = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    trials = content.get("trials", [])
    as_written = content.get("schema") == _fingerprint(schema) and table.schema.equals(schema)
    table = own_rows(table)
    if not as_written or sum(rows for *_, rows in trials) != table.num_rows:
        return {}
    starts = accumulate((rows for *_, rows in trials), initial=0)
    return {
        trial: (stamp, table.slice(start, rows)) for (trial, stamp, rows), start in zip(trials, starts, strict=False)
    }


def _fingerprint(schema: pa.Schema) -> str:
    """Changes with the names, types and meanings of the columns."""
    return hashlib.sha256(schema.serialize()).hexdigest()
