"""Rows of refitted last layers in the tables of a run.

``groups`` holds the counts of trials and, after them, those of refits. A refit's rows are known by their ``protocol``,
which is null for a trial's own.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KEY = ("trial", "seed", "features", "protocol", "fingerprint")
"""The columns that tell one refit from all others, in ``dfr``, ``dfr_path`` and ``groups`` alike."""


IS_REFIT = pc.field("protocol").is_valid()


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    """Which refit a row is of."""
    return tuple(row[name] for name in KEY)


def own_rows(table: pa.Table) -> pa.Table:
    """The rows that are of no refit; those of a table that has none are all."""
    if "protocol" not in table.column_names or table["protocol"].null_count == table.num_rows:
        return table  # a filter would copy all of it
    return table.filter(~IS_REFIT)


def with_refits(own: pa.Table, refits: pa.Table) -> pa.Table:
    """The trials' own rows of ``groups``, whose metadata it keeps, and these rows after them; nothing is copied."""
    return pa.concat_tables([own, refits])
