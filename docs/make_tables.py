"""Writes docs/tables.md from what the schemas say of themselves: python docs/make_tables.py"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.analysis import ablation, contrasts, published
from scale_tune.economy.economy_schemas import ECONOMIES
from scale_tune.tables import run_schemas
from scale_tune.tables.schemas import COMPARISONS

PAGE = Path(__file__).with_name("tables.md")

INTRODUCTION = """\
# The tables

<!-- Written by docs/make_tables.py from the schemas in the code; a test compares. -->

`python analyze.py RUN_DIR` writes them into `RUN_DIR/results`, or where `--export` says, as parquet, or as CSV by
`--format csv`. They can be exported at any time, also while the search runs: every trial of the ledger is in `trials`,
whatever became of it. A file is written under another name and renamed, so that a reader sees the old one or the new
one, whole.

The same meanings and units are in the metadata of each parquet file's fields, as
`pyarrow.parquet.read_schema("trials.parquet").field("objective").metadata`. `scale_tune.load_results(RUN_DIR)` gives
the tables of a run as pandas data frames without writing anything. [A two-minute example](example.md) uses them.

An export is incremental: records of trials that have ended are read once, and afterwards their rows are taken from the
tables in `RUN_DIR/results`, whose metadata tell which version of which record they are from. Deleting these files is
safe, but `dfr.parquet`, `dfr_path.parquet` and the last rows of `groups.parquet` are the only places where refits are
remembered: what `dfr` or `groups` lacks is refitted again, if the kept features are still there.

A parquet file holds a digest of itself. One in `RUN_DIR/results` that was edited, damaged or copied from another run is
neither taken for true nor replaced: an analysis says so and ends. Move it away to keep it, or delete it, and it is made
again. Edit copies, or export elsewhere.

`groups` is where any accuracy can be recomputed from: `correct / n` of the cells pooled. The lowest of the
`evaluation_group`s is the worst group, `aligned` tells majority from minority. A trial's own rows have a null
`protocol`; those of a refitted last layer have the same key as its row of `dfr` (`trial`, `seed`, `features`,
`protocol`, `fingerprint`). Filter by it before anything else: `groups[groups["protocol"].isna()]` in pandas,
`where protocol is null` in SQL.

In CSV, an empty field is null; text is in quotes, and an error's traceback has line breaks within them.
"""


def page() -> str:
    """The whole page."""
    names = ("spurious_strength", "val_target_size")
    axes = [run_schemas.TRIALS.field(f"config.dataset.{name}").with_name(name) for name in names]
    parts = [INTRODUCTION, "## Of one run\n"]
    for name, schema in run_schemas.SCHEMAS.items():
        parts += _table(name, schema)
    parts.append("## Of a comparison of runs\n")
    parts.append(
        "`comparison` is also written as LaTeX, `comparison.tex`, and both as CSV. Intervals: see "
        "[`intervals.py`](../scale_tune/analysis/intervals.py).\n"
    )
    for name, schema in COMPARISONS.items():
        parts += _table(name, schema)
    parts.append("## Of an ablation\n")
    parts.append(
        "`python analyze.py ablation RUN_DIR --rows spurious_strength --cols val_target_size` writes "
        "`ablation/spurious_strength-val_target_size-test_worst_group.parquet`, with `--difference A,B` besides a "
        "table of the differences and with `--published` one of the published numbers, whose names end so. Two "
        "columns of each have the names and types of the two parameters.\n"
    )
    for name, schema in (("ablation", ablation), ("…-differences", contrasts), ("…-published", published)):
        parts += _table(name, schema.schema(*axes))
    parts.append("## Of what a search cost\n")
    parts.append("`python analyze.py economy RUN_DIR` writes them into `economy`; see [economy.md](economy.md).\n")
    for name, schema in ECONOMIES.items():
        parts += _table(name, schema)
    return "\n".join(parts)


def _table(name: str, schema: pa.Schema) -> Iterator[str]:
    yield f"### `{name}`: {schema.metadata[b'rows'].decode()}\n"
    yield "| column | type | unit | meaning |\n|---|---|---|---|"
    for field in schema:
        meaning, unit = (field.metadata[key].decode().replace("|", r"\|") for key in (b"meaning", b"unit"))
        yield f"| `{field.name}` | {field.type} | {unit} | {meaning} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
