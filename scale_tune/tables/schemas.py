"""Schemas that explain themselves, and those of the tables that compare runs.

A column's meaning and unit are in the metadata of its field, and so in every parquet file. The tables of a single run
are in :mod:`scale_tune.tables.collect`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from scale_tune.accuracies import ACCURACIES

Row = dict[str, Any]

REFITTED, GONE, UNDEFINED = "refitted", "features gone", "train lacks a group"
"""The statuses of a row of the ``dfr`` table."""
PRETRAINED = "pretrained"
"""The ``features`` of a network that no trial has trained."""


def field(name: str, type_: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    """A column with its meaning and its unit."""
    return pa.field(name, type_, metadata={"meaning": meaning, "unit": unit})


def table_of(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """The rows as a table; a column that a row lacks is null.

    Raises:
        ValueError: a row has a column that the schema lacks.
    """
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(schema.names)
    if unknown:
        raise ValueError(f"no column for {sorted(unknown)}")  # pyarrow would drop them without a word
    return pa.Table.from_pylist(rows, schema=schema)


def frame_of(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pd.DataFrame:
    """The rows as a data frame with the schema's columns and types."""
    frame: pd.DataFrame = table_of(rows, schema).to_pandas()
    return frame


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """The rows of a data frame, by column."""
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]


def table_from(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A data frame as a table of exactly this schema."""
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(schema.metadata)


def _estimates() -> Iterator[pa.Field]:
    for split in ("val", "test"):
        # What was chosen for being high on val is expected to be lower elsewhere.
        caution = "; optimistic, since epochs and configs were chosen by val" * (split == "val")
        yield field(
            f"{split}_worst_group_name",
            pa.string(),
            f"evaluation group whose mean accuracy over seeds on {split} is the lowest",
        )
        for accuracy, meaning in ACCURACIES.items():
            of = f"{meaning} on {split}, at each seed's best epoch{caution}"
            for stat, what in (
                ("mean", "mean over seeds"),
                ("std", "sample standard deviation over seeds (n - 1); null for one seed"),
                ("low", "lower end of the 95 % interval of the mean over all seeds and images"),
                ("high", "upper end of the 95 % interval of the mean over all seeds and images"),
            ):
                lowest = ", see interval" + _OF_LOWEST.get(accuracy, "") if stat in ("low", "high") else ""
                yield field(f"{split}_{accuracy}_{stat}", pa.float64(), f"{what}{lowest}: {of}", "fraction")


def _information() -> Iterator[pa.Field]:
    """What a method was told, and what its search cost."""
    unknown = "; null if no trial could be selected"
    yield field(
        "train_attributes", pa.bool_(), f"whether training, or the refit, was told the attributes of train{unknown}"
    )
    yield field(
        "target",
        pa.string(),
        f"what it was told of target: none, labels, or labels and attributes{unknown}",
    )
    yield field("val_attributes", pa.bool_(), "whether the accuracy that selected needs the attributes of val")
    yield field(
        "group_labelled",
        pa.int64(),
        "images whose group had to be known: train's if its attributes were told, target's if it was learned from at "
        f"all, since it takes the attributes to balance it, val's if val_attributes{unknown}",
        "count",
    )
    yield field(
        "own_hyperparameters",
        pa.int64(),
        "how many options of the method alone the search varied; for DFR one more, its C",
        "count",
    )
    yield field(
        "epochs_spent",
        pa.int64(),
        "epochs that the selected trial trained each seed for, those of preparation included; for DFR those of its "
        f"ERM trial, for pretrained 0{unknown}",
        "count",
    )


_OF_LOWEST = {
    "worst_group": " (it holds that of each network's own worst group, and the group that is worst on average)",
    "worst_class": " (it holds that of each network's own worst class, and the class that is worst on average)",
}

_INTERVAL = (
    "what the intervals account for: 'seeds and images'; or 'images' for a single seed, of which the spread over seeds "
    "is not known, so that a difference has none; or why there are none, as 'no interval: two seeds tell too little of "
    "how much seeds differ'"
)

COMPARISON = pa.schema(
    [
        field("run", pa.string(), "name of the run"),
        field(
            "confirms",
            pa.string(),
            "of a run by --confirm, the run whose selected configs it has trained again; null for any other",
        ),
        field(
            "dataset",
            pa.string(),
            "dataset, with those of its options that differ within the comparison. An option searched as a choice "
            "makes data of its own; one drawn from a range counts as a hyperparameter",
        ),
        field(
            "method",
            pa.string(),
            "how networks were trained, as erm; or dfr or pretrained, by whose network was refitted, with the protocol "
            "in parentheses",
        ),
        field(
            "trial",
            pa.string(),
            "selected trial: the highest mean over all its seeds of the best epoch's validation objective, of equal "
            "ones the earliest; for DFR, the ERM trial whose last layer was refitted; null if none could be selected, "
            "and for pretrained",
        ),
        field(
            "config", pa.string(), "the selected trial's values of what the search varied, to 4 digits; null if nothing"
        ),
        field("selected_by", pa.string(), "validation accuracy that selected epochs and configs"),
        field(
            "trials", pa.int64(), "trials of the method on this data; for DFR those refitted, for pretrained 0", "count"
        ),
        field("eligible", pa.int64(), "those of them that could be selected: at their end, with all seeds", "count"),
        field(
            "seeds",
            pa.int64(),
            "n of the means: seeds of the selected trial, 0 if there is none; for pretrained 1",
            "count",
        ),
        field("seeds_asked", pa.int64(), "seeds that the run trains of each trial; for pretrained 1", "count"),
        field(
            "seeds_kind",
            pa.string(),
            "searched: the seeds are those that the config was selected by; confirmed: fresh ones, by --confirm",
        ),
        *_information(),
        field("interval", pa.string(), _INTERVAL),
        *_estimates(),
    ],
    metadata={"name": "comparison", "rows": "one per run, dataset and method, refits by each protocol included"},
)

DIFFERENCES = pa.schema(
    [
        field("dataset", pa.string(), "data that both were trained and judged on, named as in comparison"),
        field("run", pa.string(), "run of the method"),
        field("method", pa.string(), "method, the one that is higher on val"),
        field("other_run", pa.string(), "run of the method that it is compared with"),
        field("other_method", pa.string(), "method that it is compared with"),
        field("seeds_kind", pa.string(), "of both, as in comparison"),
        field("accuracy", pa.string(), f"which accuracy on test: {', '.join(ACCURACIES)}"),
        field("seeds", pa.int64(), "seeds that both have, which the difference is over", "count"),
        field("difference", pa.float64(), "mean over these seeds of method minus other_method", "fraction"),
        field("low", pa.float64(), "lower end of its 95 % interval, see interval", "fraction"),
        field("high", pa.float64(), "upper end of its 95 % interval, see interval", "fraction"),
        field("interval", pa.string(), "what the interval accounts for, or why there is none, as in comparison"),
        field(
            "paired_over",
            pa.string(),
            "what both methods have in common in each of the differences that are averaged: 'seeds', all with the same "
            "splits; or 'seeds and their splits', each seed with its own",
        ),
    ],
    metadata={"name": "differences", "rows": "one per accuracy and pair of methods on the same data with a result"},
)

COMPARISONS = {"comparison": COMPARISON, "differences": DIFFERENCES}
