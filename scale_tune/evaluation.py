"""From a run to its answer: select, refit the last layer of the best ERM trials, compare, write the tables."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from scale_tune import analysis, results
from scale_tune.analysis import RunTables
from scale_tune.caveats import caveats
from scale_tune.config import Method
from scale_tune.datasets import load_splits
from scale_tune.dfr import DfrResult, refit_checkpoint
from scale_tune.errors import UserError
from scale_tune.formats import comparison_latex
from scale_tune.records import read_record, weights_path
from scale_tune.results import Format
from scale_tune.rundir import RunDir
from scale_tune.schemas import COMPARISON, DIFFERENCES, table_from

PROTOCOL = "scale"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an analysis found and wrote."""

    runs: list[RunTables]
    comparison: pd.DataFrame
    differences: pd.DataFrame
    notes: list[str]
    """What a reader of the comparison would otherwise be misled about."""
    written: list[Path]


def evaluate(
    runs: Sequence[RunDir],
    top_k: int,
    export: Path | None,
    say: Callable[[str], None],
    format_: Format = "parquet",
) -> Evaluation:
    """Analyse runs as they are now, and compare them in one table.

    Args:
        runs: their directories.
        top_k: DFR is fitted on this many of the best ERM trials of a run; val chooses among them.
        export: where to write the tables, those of each of several runs in a directory of its name; None: each run's
            own ``results``, and the comparison there if it is of one run, else nowhere.
        say: called with a line at each step that takes time.
        format_: of the exported tables.

    Raises:
        UserError: one is no run or is given twice, or its data is not what its checkpoints were trained on.
    """
    if export is not None and re.match("[a-z0-9]+:/", str(export)):
        raise UserError(f"--export {export} must be a directory; object storage is not supported yet")
    notes: list[str] = []
    written: list[Path] = []
    evaluated = []
    for run, name in zip(runs, _names(runs), strict=True):
        to = export if export is None or len(runs) == 1 else export / name
        tables, paths = _evaluate_run(run, name, top_k, to, format_, say, notes)
        evaluated.append(tables)
        written += paths
    comparison, differences = analysis.compare(evaluated), analysis.differences(evaluated)
    to = runs[0].results if export is None and len(runs) == 1 else export
    if to is not None:
        written += _write_comparison(comparison, differences, to)
    notes = [*caveats(evaluated), *notes]
    return Evaluation(runs=evaluated, comparison=comparison, differences=differences, notes=notes, written=written)


def _names(runs: Sequence[RunDir]) -> list[str]:
    """A name for each run: that of its directory, with those of enough parents to tell it from the others."""
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"the run {path} is given twice")
    names = []
    for path in paths:
        length = 1
        while sum(other.parts[-length:] == path.parts[-length:] for other in paths) > 1:
            length += 1
        names.append("/".join(path.parts[-length:]))
    return names


def _evaluate_run(
    run: RunDir,
    name: str,
    top_k: int,
    export: Path | None,
    format_: Format,
    say: Callable[[str], None],
    notes: list[str],
) -> tuple[RunTables, list[Path]]:
    """A run's tables with what DFR adds to them, and where they were written."""
    spec = run.read_spec()
    tables = results.collect(run)
    trials = tables["trials"].to_pandas()
    ranked = analysis.ranked(trials)
    candidates = ranked.loc[ranked["method"] == Method.ERM, "trial"].head(top_k).tolist()
    tables["dfr"] = _refit(run, candidates, tables["dfr"], say, notes)
    # In the run's own directory too: it remembers every checkpoint that was ever refitted.
    written = results.write_tables(tables, run.results)
    if export is not None or format_ != "parquet":
        written = results.write_tables(tables, export or run.results, format_)
    frames = {key: table.to_pandas() for key, table in tables.items()}
    frames["dfr"] = frames["dfr"][frames["dfr"]["trial"].isin(candidates)]
    return RunTables(name=name, spec=spec, tables=frames), written


def _write_comparison(comparison: pd.DataFrame, differences: pd.DataFrame, directory: Path) -> list[Path]:
    tables = {
        "comparison": table_from(comparison, COMPARISON),
        "differences": table_from(differences, DIFFERENCES),
    }
    latex = {"comparison.tex": comparison_latex(comparison).encode()}
    return [
        *results.write_tables(tables, directory),
        *results.write_tables(tables, directory, "csv"),
        *results.write_files(latex, directory),
    ]


def _refit(
    run: RunDir, candidates: list[str], known: pa.Table, say: Callable[[str], None], notes: list[str]
) -> pa.Table:
    """The ``dfr`` table with a row for each seed of the candidates; rows that are there already are kept."""
    rows: list[dict[str, Any]] = known.to_pylist()
    done = {(row["trial"], row["seed"], row["protocol"]) for row in rows}
    for trial in candidates:
        record = read_record(run.trial(trial))
        if record is None:
            notes.append(f"DFR skipped {trial}: its directory is gone")
            continue
        config = record.config
        todo = [seed for seed in config.seeds if (trial, seed, PROTOCOL) not in done]
        absent = [seed for seed in todo if not weights_path(run.trial(trial), seed).exists()]
        if absent:
            notes.append(f"DFR skipped {trial}: the weights of its seeds {absent} are gone (keep_top, or deleted)")
            continue
        try:
            for seed in todo:
                say(f"DFR ({PROTOCOL} protocol) on {trial}, seed {seed}")
                refitted = refit_checkpoint(run.trial(trial), seed, load_splits(config.dataset), config.objective)
                rows.append(_dfr_row(trial, seed, refitted))
        except FileNotFoundError as error:  # the search goes on, and a better trial has just taken its place
            notes.append(f"DFR skipped {trial}: its weights went while they were being read ({error})")
    return results.dfr_table(rows)


def _dfr_row(trial: str, seed: int, refitted: DfrResult) -> dict[str, Any]:
    return {
        "trial": trial,
        "seed": seed,
        "protocol": PROTOCOL,
        "C": refitted.C,
        "nonzero": int((refitted.classifier.weight != 0).sum()),
        **{f"val_{name}": value for name, value in refitted.val.summary().items()},
        **{f"test_{name}": value for name, value in refitted.test.summary().items()},
    }
