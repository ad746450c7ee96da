"""Tables made by hand."""

from scale_tune.accuracies import ACCURACIES
from scale_tune.analysis.entries import RunTables
from scale_tune.spec.space import RunSpec
from scale_tune.tables import run_schemas
from scale_tune.tables.refits import KEY
from scale_tune.tables.schemas import REFITTED, frame_of

STATS = [f"{s}_{name}_{stat}" for s in ("val", "test") for name in ACCURACIES for stat in ("mean", "std")]
FINGERPRINT = "made up"
"""Of all data."""
SIZES = {"train_n": 4000, "target_n": 400, "val_n": 1000}
TOLD = {
    "erm_target": ("target", "none"),
    "scale": ("train, target", "none"),
    "projection": ("train, target", "none"),
    "finetune": ("train, target", "none"),
    "erm_all": ("train, target", "none"),
    "rwg": ("train", "train"),
    "subg": ("train", "train"),
    "group_dro": ("train", "train"),
    "group_dro_with_target": ("train, target", "train, target"),
}
"""Of which splits a method is told labels, and attributes, if not labels of train alone."""


def told(method: str) -> dict:
    """What a row of ``trials`` says of it."""
    labels, attributes = TOLD.get(method, ("train", "none"))
    return {"preparation": 0, "labels_of": labels, "attributes_of": attributes, **SIZES}


IMAGES = 100
"""In each of the two evaluation groups of digits."""


def trial(name: str, objective: float, **values) -> dict:
    """A row of ``trials``, complete and with three seeds unless ``values`` say otherwise."""
    method, _, number = name.rpartition("-")
    row = {
        "trial": name,
        "method": method,
        "number": int(number),
        "state": "complete",
        "config.dataset": "digits",
        "fingerprint": FINGERPRINT,
        "epochs": 20,
        **told(method),
        "objective": objective,
        "seeds": 3,
        "seeds_asked": 3,
        "diverged": 0,
        **dict.fromkeys(STATS, objective),
    }
    return row | values


def group_rows(name: str, split: str, conflicting: list[int], aligned: list[int]) -> list[dict]:
    """Rows of ``groups``: of each seed, how many of 100 images it has right in each of the two evaluation groups."""
    return [
        row
        for seed, counts in enumerate(zip(aligned, conflicting, strict=True))
        for row in _cells({"trial": name, "seed": seed, "epoch": 1, "fingerprint": FINGERPRINT}, split, *counts)
    ]


def refit_group_rows(dfr: dict) -> list[dict]:
    """Rows of ``groups`` that agree with a row of ``dfr``."""
    return [
        row
        for split in ("val", "test")
        if dfr["status"] == REFITTED and dfr[f"{split}_majority"] is not None
        for row in _cells(
            {name: dfr[name] for name in KEY},
            split,
            *(round(dfr[f"{split}_{accuracy}"] * IMAGES) for accuracy in ("majority", "minority")),
        )
    ]


def _cells(key: dict, split: str, aligned: int, conflicting: int) -> list[dict]:
    names = ("aligned", "conflicting")
    return [
        {
            **key,
            "split": split,
            "label": 0,
            "attribute": a,
            "aligned": a == 0,
            "evaluation_group": names[a],
            "train_n": (300, 100)[a],
            "n": IMAGES,
        }
        | {"correct": correct}
        for a, correct in enumerate((aligned, conflicting))
    ]


def dfr_row(name: str | None, seed: int | None, val: float, test: float, protocol: str = "scale") -> dict:
    """A row of ``dfr``; of no trial, it is one of the pretrained baseline."""
    row = {"trial": name, "seed": seed, "features": "erm" if name else "pretrained", "protocol": protocol}
    row |= {"status": REFITTED, "C": 1.0, "nonzero": 3, "fingerprint": FINGERPRINT}
    return row | {f"{split}_{a}": value for split, value in (("val", val), ("test", test)) for a in ACCURACIES}


def make_spec(**fields) -> RunSpec:
    """Two searched parameters, three methods."""
    defaults = {
        "methods": ["erm", "erm_target", "scale"],
        "space": {
            "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "batch_size": {"type": "choice", "values": [16, 32, 64]},
        },
        "num_samples": 4,
        "seeds": [0, 1, 2],
    }
    return RunSpec.model_validate(defaults | fields)


def make_tables(trials: list[dict], groups=(), dfr=(), *, name: str = "run", spec: RunSpec | None = None) -> RunTables:
    """A run with these rows, each complete trial with lr 0.01 and batch size 32 unless it says otherwise.

    A complete trial without rows in ``groups`` has its objective of 100 conflicting images right on val and on test,
    and all of the aligned ones. What is refitted has the counts that its accuracies say.
    """
    defaults = {"config.lr": 0.01, "config.batch_size": 32}
    trials = [defaults | row for row in trials]
    given = {row["trial"] for row in groups}
    groups = list(groups)
    for row in trials:
        if row["state"] == "complete" and row["trial"] not in given:
            right = [round(row["objective"] * IMAGES)] * row["seeds"]
            for split in ("val", "test"):
                groups += group_rows(row["trial"], split, right, [IMAGES] * row["seeds"])
    groups += [row for of_refit in dfr for row in refit_group_rows(of_refit)]
    spec = spec or make_spec()
    tables = {
        "trials": frame_of(trials, run_schemas.trials_schema(spec)),
        "epochs": frame_of([], run_schemas.EPOCHS),
        "diagnostics": frame_of([], run_schemas.DIAGNOSTICS),
        "groups": frame_of(groups, run_schemas.GROUPS),
        "dfr": frame_of(dfr, run_schemas.DFR),
        "dfr_path": frame_of([], run_schemas.DFR_PATH),
    }
    return RunTables(name=name, spec=spec, tables=tables)


def poisoned(run: RunTables, value: float) -> RunTables:
    """The same run with another test: every number of it is ``value``, or 0 and 1 counts in turn."""
    tables = {name: table.copy() for name, table in run.tables.items()}
    for name in ("trials", "dfr"):
        columns = [column for column in tables[name] if column.startswith("test_")]
        tables[name][columns] = value
    of_test = tables["groups"]["split"] == "test"
    tables["groups"].loc[of_test, "correct"] = IMAGES - tables["groups"].loc[of_test, "correct"]
    return RunTables(name=run.name, spec=run.spec, tables=tables)
