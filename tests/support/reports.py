"""Made-up runs of any size: tables in the real schemas, without training."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from scale_tune.accuracies import ACCURACIES
from scale_tune.analysis.knowledge import of_trained
from scale_tune.analysis.selection import select_best
from scale_tune.report.html import Analysis
from scale_tune.spec.parameters import Choice, Constant, IntRange
from scale_tune.spec.space import RunSpec
from scale_tune.tables import run_schemas
from scale_tune.tables.schemas import rows_of
from tests.support.tables import make_spec, told

MADE = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
REPORTING = {"scale": ("cosine",), "erm_target": ("gradient norm", "margin")}
"""What the made-up methods report besides."""
TRACEBACK = "Traceback (most recent call last):\n  File 'x.py', line 1\nRuntimeError: CUDA out of memory"


def spec_of(**options) -> RunSpec:
    """A dozen trials of each method."""
    scale = {"space": {"regularize_mode": {"type": "choice", "values": ["linear", "step"]}}}
    return make_spec(
        **{"methods": {"erm": {}, "erm_target": {}, "scale": scale}, "num_samples": 12, "epochs": 4} | options
    )


def state_of(number: int) -> str:
    """Of the made-up trials: every third ran to its end, and one failed."""
    return "failed" if number == 7 else "complete" if number % 3 == 0 else "pruned"


def tables_of(spec: RunSpec, states=state_of, trials: int | None = None, cells: int = 2) -> dict[str, pd.DataFrame]:
    """Tables of made-up trials of every method, in the schemas of ``results``.

    Args:
        spec: whose trials.
        states: of a trial, by its number.
        trials: how many of each method; None: all.
        cells: labels, and attributes.
    """
    draws = np.random.default_rng(0)
    rows = {"trials": [], "epochs": [], "diagnostics": [], "groups": []}
    for m, method in enumerate(spec.methods):
        for number in range(spec.method_samples(method) if trials is None else trials):
            name, state = f"{method}-{number:05d}", states(number)
            epochs = {"complete": spec.epochs, "pruned": max(1, spec.epochs // 2), "running": 1}.get(state, 0)
            level = 0.2 + min(0.2, 0.75 / len(spec.methods)) * m + draws.normal(0, 0.05, (len(spec.seeds), 1))
            worst = np.clip(level + draws.normal(0, 0.02, (len(spec.seeds), epochs)).cumsum(axis=1), 0, 1)
            rows["trials"].append(_trial(spec, method, number, state, worst, draws))
            if epochs:
                rows["epochs"].append(_epochs(spec, name, worst))
                if method in REPORTING:
                    rows["diagnostics"].append(_diagnostics(spec, name, REPORTING[method], epochs, draws))
                splits = ("val", "test") if state == "complete" else ("val",)
                rows["groups"].append(_groups(spec, name, worst, splits, cells, draws))
    tables = {name: pd.concat([pd.DataFrame(), *rows[name]]) for name in ("epochs", "diagnostics", "groups")}
    tables |= {"trials": pd.DataFrame(rows["trials"]), **dict.fromkeys(("dfr", "dfr_path"), pd.DataFrame())}
    return {name: _in_schema(tables[name], schema) for name, schema in run_schemas.SCHEMAS.items()}


def _in_schema(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    if frame.empty:
        return schema.empty_table().to_pandas()
    return pa.Table.from_pandas(frame.reindex(columns=schema.names), schema, preserve_index=False).to_pandas()


def _trial(spec, method, number, state, worst, draws) -> dict:
    row = {
        "trial": f"{method}-{number:05d}",
        "method": method,
        "number": number,
        "state": state,
        "seeds": len(spec.seeds) if worst.size else 0,
        "seeds_asked": len(spec.seeds),
        "epochs": worst.shape[1],
        "objective": worst.max(axis=1).mean() if worst.size else None,
        "diverged": 0,
        **told(method),
        "config.dataset": spec.dataset.name,
        "fingerprint": "made up",
        "error": TRACEBACK if state == "failed" else None,
        "seconds": 12.5 if worst.size else None,
        "started": MADE,
    }
    for name, parameter in spec.method_space(method).items():
        if isinstance(parameter, Choice):
            row[f"config.{name}"] = parameter.values[draws.integers(len(parameter.values))]
        elif not isinstance(parameter, Constant):
            drawn = np.exp(draws.uniform(np.log(parameter.low), np.log(parameter.high)))
            row[f"config.{name}"] = round(drawn) if isinstance(parameter, IntRange) else float(drawn)
    for split in ("val", "test") if state == "complete" else ("val",) if worst.size else ():
        best = worst.max(axis=1) - (0.03 if split == "test" else 0)
        for accuracy in ACCURACIES:
            row[f"{split}_{accuracy}_mean"] = best.mean()
            row[f"{split}_{accuracy}_std"] = best.std(ddof=1) if len(best) > 1 else None
    return row


def _epochs(spec, name, worst) -> pd.DataFrame:
    seeds, epochs = worst.shape
    frame = pd.DataFrame(
        {
            "seed": np.repeat(spec.seeds, epochs),
            "epoch": np.tile(np.arange(1, epochs + 1), seeds),
            "loss": 1.0,
            "lr": 0.01,
            "seconds": 1.0,
            **dict.fromkeys(ACCURACIES, worst.ravel()),
        }
    )
    return pd.concat([frame.assign(trial=name, split=split) for split in ("train", "val")])


def _diagnostics(spec, trial, names, epochs, draws) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"seed": np.repeat(spec.seeds, epochs), "epoch": np.tile(np.arange(1, epochs + 1), len(spec.seeds))}
    )
    return pd.concat([frame.assign(trial=trial, name=name, value=draws.normal(0, 0.02, len(frame))) for name in names])


def _groups(spec, name, worst, splits, cells, draws) -> pd.DataFrame:
    label, attribute = (each.ravel() for each in np.indices((cells, cells)))
    frames = []
    for seed, epoch in zip(spec.seeds, worst.argmax(axis=1) + 1, strict=True):
        for split in splits:
            correct = draws.integers(0, 41, cells**2)
            cell = {
                "label": label,
                "attribute": attribute,
                "aligned": label == attribute,
                "evaluation_group": np.where(label == attribute, "aligned", "conflicting"),
                "fingerprint": "made up",
                "train_n": 1,
                "n": 40,
                "correct": correct,
                "accuracy": correct / 40,
            }
            frames.append(pd.DataFrame(cell | {"trial": name, "seed": seed, "epoch": epoch, "split": split}))
    return pd.concat(frames)


def dfr_of(trial: str, seeds=(0, 1, 2)) -> dict[str, pd.DataFrame]:
    """DFR's table and its path over C, as made up as the rest."""
    strengths = (0.01, 0.1, 1.0)
    rows, path = [], []
    for seed in seeds:
        objectives = [0.3 + 0.05 * seed, 0.4 + 0.05 * seed, 0.35]
        best = int(np.argmax(objectives))
        of = {"trial": trial, "seed": seed, "features": "erm", "protocol": "scale", "fingerprint": "made up"}
        accuracies = {f"{split}_{a}": objectives[best] for split in ("val", "test") for a in ACCURACIES}
        rows.append({**of, "status": "refitted", "C": strengths[best], "nonzero": 9, **accuracies})
        for i, (strength, objective) in enumerate(zip(strengths, objectives, strict=True)):
            values = {f"val_{a}": objective for a in ACCURACIES}
            path.append({**of, "C": strength, "chosen": i == best, "nonzero": 9, **values})
    return {"dfr": pd.DataFrame(rows), "dfr_path": pd.DataFrame(path)}


def comparison_of(name: str, tables: dict[str, pd.DataFrame], spec: RunSpec, width: float = 0.04) -> pd.DataFrame:
    """What ``analysis`` would compare, with intervals of a given half width."""
    best, rows = select_best(tables["trials"]), []
    for method in spec.methods:
        row = {"run": name, "dataset": spec.dataset.name, "method": method, "trial": best.get(method), "seeds": 0}
        chosen = tables["trials"][tables["trials"]["trial"] == row["trial"]]
        row |= {"selected_by": spec.objective.value, "trials": 0, "eligible": 0, "seeds_asked": len(spec.seeds)}
        row |= vars(of_trained(spec, method, rows_of(chosen)[0] if len(chosen) else None))
        row |= {"config": "", "confirms": None, "seeds_kind": "searched", "interval": "seeds and images"}
        row |= {f"{split}_worst_group_name": "conflicting" for split in ("val", "test")}
        for column in [f"{split}_{accuracy}" for split in ("val", "test") for accuracy in ACCURACIES]:
            mean, std = (chosen[f"{column}_{s}"].iloc[0] if len(chosen) else np.nan for s in ("mean", "std"))
            row |= {f"{column}_mean": mean, f"{column}_std": std}
            row |= {f"{column}_low": mean - width, f"{column}_high": mean + width}
        if len(chosen):
            row |= {"seeds": len(spec.seeds), "config": "lr 0.01", "eligible": 1}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("val_worst_group_mean", ascending=False, ignore_index=True)


def differences_of(comparison: pd.DataFrame, width: float = 0.04) -> pd.DataFrame:
    """Between all pairs of methods with a result, on the worst group and by what selected."""
    columns = ["dataset", "run", "method", "other_run", "other_method", "accuracy", "seeds", "difference", "low"]
    found = comparison.dropna(subset="test_worst_group_mean").to_dict("records")
    rows = []
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            names = (one["dataset"], one["run"], one["method"], other["run"], other["method"])
            for accuracy in dict.fromkeys(("worst_group", one["selected_by"])):
                difference = one[f"test_{accuracy}_mean"] - other[f"test_{accuracy}_mean"]
                ends = (difference, difference - width, difference + width, "seeds and images", "seeds")
                rows.append((*names, accuracy, one["seeds"], *ends))
    return pd.DataFrame(rows, columns=[*columns, "high", "interval", "paired_over"])


def analysed(spec: RunSpec | None = None, *, name: str = "run", width: float = 0.04, **options) -> Analysis:
    """All that a report is made of; see :func:`tables_of` for the options, and ``width`` of the intervals."""
    spec = spec or spec_of()
    more = {key: options.pop(key) for key in ("warnings", "provenance", "tables") if key in options}
    tables = more.pop("tables", None) or tables_of(spec, **options)
    comparison = comparison_of(name, tables, spec, width)
    return Analysis(
        name=name,
        where=f"/runs/{name}",
        spec=spec,
        tables=tables,
        comparison=comparison,
        differences=differences_of(comparison, width),
        made=MADE,
        **more,
    )
