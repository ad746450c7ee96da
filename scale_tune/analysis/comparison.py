"""How methods compare, and how any two of them differ: with intervals, on the tables alone."""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from scale_tune.analysis.entries import Entry, RunTables, entries
from scale_tune.analysis.intervals import intervals, kind_of_interval, paired_differences
from scale_tune.analysis.selection import DATASET, Data
from scale_tune.spec.parameters import Constant
from scale_tune.tables.labels import shortened
from scale_tune.tables.schemas import COMPARISON, DIFFERENCES, Row, frame_of


def compare(runs: Sequence[RunTables]) -> pd.DataFrame:
    """The selected trial of every method, and its accuracies with their spread over seeds.

    Returns:
        A row per run, dataset and method, with the columns of :data:`scale_tune.tables.schemas.COMPARISON`. Datasets
        follow each other in the order of the runs; on each, the highest mean of the selecting accuracy on val comes
        first, and methods of which no trial could be selected last.
    """
    found = entries(runs)
    names = dataset_names(found)
    return frame_of([_row(entry, names[entry.data]) for entry in found], COMPARISON)


def differences(runs: Sequence[RunTables]) -> pd.DataFrame:
    """How any two methods that were judged on the same images differ on test, over seeds of the same kind.

    Returns:
        A row per pair and accuracy, with the columns of :data:`scale_tune.tables.schemas.DIFFERENCES`. The method that
        stands first in the comparison is the first of its pair.
    """
    found = [entry for entry in entries(runs) if "test" in entry.measured]
    names = dataset_names(found)
    rows = []
    for entry, other in combinations(found, 2):
        if entry.data == other.data and entry.run.seeds_kind == other.run.seeds_kind:
            pair = {"dataset": names[entry.data], "run": entry.run.name, "method": entry.method}
            pair |= {"other_run": other.run.name, "other_method": other.method, "seeds_kind": entry.run.seeds_kind}
            for accuracy, of in paired_differences(entry.measured["test"], other.measured["test"]).items():
                rows.append({**pair, "accuracy": accuracy, **vars(of)})
    return frame_of(rows, DIFFERENCES)


def dataset_names(found: Sequence[Entry]) -> dict[Data, str]:
    """A name for each dataset: its own, with those options that differ between the entries."""
    options = {entry.data: dict(entry.data) for entry in found}
    names = {}
    for data, own in options.items():
        others = [other for other in options.values() if other[DATASET] == own[DATASET]]
        differing = [name for name in own if any(other.get(name) != own[name] for other in others)]
        text = ", ".join(f"{name.removeprefix(f'{DATASET}.')}={shortened(own[name])}" for name in differing)
        names[data] = f"{own[DATASET]} ({text})" if text else own[DATASET]
    return names


def config_text(entry: Entry) -> str:
    """The selected trial's values of what the search varied, apart from its data."""
    row = entry.selected()
    space = entry.run.spec.method_space(row["method"])
    of_data = dict(entry.data)
    names = [n for n, p in space.items() if not isinstance(p, Constant) and f"config.{n}" not in of_data]
    return ", ".join(f"{name}={shortened(row[f'config.{name}'])}" for name in names)


def _row(entry: Entry, dataset: str) -> Row:
    row: Row = {
        "run": entry.run.name,
        "confirms": entry.run.confirms.name if entry.run.confirms else None,
        "dataset": dataset,
        "method": entry.method,
        "trial": entry.trial,
        "config": None if entry.trial is None else config_text(entry) or None,
        "selected_by": entry.selected_by,
        "trials": len(entry.trials),
        "eligible": entry.eligible,
        "seeds": len(entry.seeds),
        "seeds_asked": entry.seeds_asked,
        "seeds_kind": entry.run.seeds_kind,
        **vars(entry.knowledge),
        "interval": kind_of_interval(len(entry.seeds)) if entry.measured else None,
    }
    for split, of_split in entry.measured.items():
        row[f"{split}_worst_group_name"] = of_split.worst_group
        ends = intervals(of_split)
        for accuracy, values in of_split.accuracies.items():
            low, high = ends.get(accuracy, (None, None))
            std = float(values.std(ddof=1)) if len(values) > 1 else None
            stats = {"mean": float(values.mean()), "std": std, "low": low, "high": high}
            row |= {f"{split}_{accuracy}_{stat}": value for stat, value in stats.items()}
    return row
