"""Grids made by hand: dominoes by strength and size, every method in every cell, and DFR."""

from itertools import product

from scale_tune.analysis.ablation import Ablation, ablate
from scale_tune.analysis.arms import Registered
from scale_tune.analysis.entries import RunTables
from scale_tune.spec.config import DfrProtocol
from tests.support.tables import IMAGES, dfr_row, group_rows, make_spec, make_tables, trial

STRENGTH, SIZE = "config.dataset.spurious_strength", "config.dataset.val_target_size"
STRENGTHS, SIZES = [0.95, 1.0], [1000, 2000]
REGISTERED = Registered(defaults={"scale": {"regularize_mode": "linear"}}, refitted=["erm"])
ARMS = ["erm", "erm_target", "scale", "scale_step", "dfr", "dfr_pretrained"]
"""The six that were published."""
LEVELS = {"erm": 10, "erm_target": 55, "scale": 64, "scale_step": 63, "dfr": 45, "dfr_pretrained": 46}
"""Conflicting images of 100 that the first of 3 seeds has right in the first cell."""


def grid_spec(**fields):
    """The published ablation, with two strengths and two sizes."""
    values = {STRENGTH: STRENGTHS, SIZE: SIZES}
    space = {"regularize_mode": {"type": "choice", "values": ["linear", "step"]}}
    defaults = {
        "methods": {"erm": {}, "erm_target": {}, "scale": {"space": space}},
        "space": {n.removeprefix("config."): {"type": "choice", "values": v} for n, v in values.items()},
        "sampler": "grid",
        "dataset": {"name": "dominoes"},
        "objective": "minority",
    }
    return make_spec(**defaults | fields)


def counts_of(arm: str, strength: float, size: int) -> list[int]:
    """Of each seed, how many of 100 conflicting images it has right."""
    first = LEVELS[arm] + 4 * STRENGTHS.index(strength) + 2 * SIZES.index(size)
    return [first, first + 1, first + 2]


def grid_trials() -> tuple[list[dict], list[dict], list[dict]]:
    """Rows of ``trials``, ``groups`` and ``dfr``: of each cell a trial of each variant, every seed of ERM refitted."""
    trials, groups, dfr, numbers = [], [], [], dict.fromkeys(("erm", "erm_target", "scale"), 0)
    for strength, size in product(STRENGTHS, SIZES):
        data = {STRENGTH: strength, SIZE: size, "config.dataset": "dominoes", "fingerprint": f"{strength} {size}"}
        for variant in ARMS[:4]:
            method, mode = variant.removesuffix("_step"), "step" if variant.endswith("_step") else "linear"
            name = f"{method}-{numbers[method]:05d}"
            numbers[method] += 1
            right = counts_of(variant, strength, size)
            row = trial(name, right[1] / IMAGES, **data)
            row |= {column: 0.01 for column in row if column.endswith("_std")}
            trials.append(row | ({"config.regularize_mode": mode} if method == "scale" else {}))
            for split in ("val", "test"):
                rows = group_rows(name, split, right, [IMAGES] * 3)
                groups += [cell | {"fingerprint": data["fingerprint"]} for cell in rows]
            if variant == "erm":
                refits = [n / IMAGES for n in counts_of("dfr", strength, size)]
                dfr += [refit(name, seed, n, data["fingerprint"]) for seed, n in enumerate(refits)]
        baseline = counts_of("dfr_pretrained", strength, size)[0] / IMAGES
        dfr.append(refit(None, None, baseline, data["fingerprint"]))
    return trials, groups, dfr


def refit(name: str | None, seed: int | None, value: float, fingerprint: str) -> dict:
    """A row of ``dfr``."""
    return dfr_row(name, seed, value, value) | {"fingerprint": fingerprint}


def grid_run(**fields) -> RunTables:
    """A run of these rows, with other fields of its spec."""
    trials, groups, dfr = grid_trials()
    return make_tables(trials, groups, dfr, spec=grid_spec(**fields))


def run_with_a_failed_trial() -> RunTables:
    """The first trial of erm has failed, so its cell and that of dfr are missing."""
    trials, groups, dfr = grid_trials()
    trials[0]["state"] = "failed"
    return make_tables(trials, groups, dfr, spec=grid_spec())


def grid_ablation(run: RunTables, **options) -> Ablation:
    """With all six arms."""
    given = {"by": "regularize_mode", "protocol": DfrProtocol.SCALE, "registered": REGISTERED} | options
    return ablate(run, "spurious_strength", "val_target_size", **given)


def changed(run: RunTables, **tables) -> RunTables:
    """The same run with other tables."""
    return RunTables(name=run.name, spec=run.spec, tables=run.tables | tables)
