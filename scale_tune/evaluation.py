"""From a run to its answer: select, refit the last layer of the best ERM trials, compare, write the tables."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from scale_tune import analysis, results
from scale_tune.config import Method
from scale_tune.datasets import load_splits
from scale_tune.dfr import DfrResult, refit_checkpoint
from scale_tune.errors import UserError
from scale_tune.records import read_record, weights_path
from scale_tune.report import Analysis, write_report
from scale_tune.rundir import RunDir

PROTOCOL = "scale"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an analysis found and wrote."""

    comparison: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What a reader of the comparison would otherwise be misled about."""
    written: list[Path] = field(default_factory=list)


def evaluate(
    run: RunDir, top_k: int, export: Path | None, say: Callable[[str], None], report: Path | None = None
) -> Evaluation:
    """Analyse a run as it is now.

    Args:
        run: its directory.
        top_k: DFR is fitted on this many of the best ERM trials; val chooses among them.
        export: where to write the tables; None: the run's own ``results``.
        say: called with a line at each step that takes time.
        report: where to write the report; None: the run's own ``report.html``.

    Raises:
        UserError: this is no run, a file can't be written, or its data is not what its checkpoints were trained on.
    """
    if export is not None and re.match("[a-z0-9]+:/", str(export)):
        raise UserError(f"--export {export} must be a directory; object storage is not supported yet")
    tables = results.collect(run)
    trials = tables["trials"].to_pandas()
    notes = _notes_on_trials(trials)
    ranked = analysis.ranked(trials)
    candidates = ranked.loc[ranked["method"] == Method.ERM, "trial"].head(top_k).tolist()
    tables["dfr"] = _refit(run, candidates, tables["dfr"], say, notes)
    # In the run's own directory too: it remembers every checkpoint that was ever refitted.
    written = results.write_tables(tables, run.results)
    if export is not None:
        written = results.write_tables(tables, export)
    dfr = tables["dfr"].to_pandas()
    read = {name: table.to_pandas() for name, table in tables.items()}
    compared = read | {"dfr": dfr[dfr["trial"].isin(candidates)]}
    runs = [analysis.RunTables(name=run.path.name, spec=run.read_spec(), tables=compared)]
    found = Evaluation(comparison=analysis.compare(runs), notes=notes, written=written)
    found.written.append(_write_report(run, read, found, analysis.differences(runs), report))
    return found


def _write_report(
    run: RunDir, tables: dict[str, pd.DataFrame], found: Evaluation, differences: pd.DataFrame, path: Path | None
) -> Path:
    path = path or run.path / "report.html"
    shown = found.comparison["trial"].dropna().unique().tolist()
    fingerprints = {trial: record.fingerprint for trial in shown if (record := read_record(run.trial(trial)))}
    content = Analysis(
        name=run.path.name,
        spec=run.read_spec(),
        tables=tables,
        comparison=found.comparison,
        differences=differences,
        warnings=found.notes,
        provenance=run.provenance() | {"fingerprints": fingerprints},
        made=datetime.now(UTC),
    )
    write_report(path, content)
    return path


def _notes_on_trials(trials: pd.DataFrame) -> list[str]:
    """What the selection left out."""
    notes = []
    for method, of_method in trials.groupby("method", sort=False):
        counts = of_method["state"].value_counts()
        unfinished = int(counts.get("running", 0) + counts.get("waiting", 0))
        diverged = int((of_method["diverged"] > 0).sum())
        parts = [
            f"{unfinished} not finished" * bool(unfinished),
            f"{counts.get('failed', 0)} failed" * bool(counts.get("failed", 0)),
            f"{diverged} diverged" * bool(diverged),
        ]
        if any(parts):
            notes.append(f"of the {len(of_method)} {method} trials, {', '.join(filter(None, parts))}: not selectable")
    return notes


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
