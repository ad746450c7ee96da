"""How often the intervals of budget curves hold the truth: python benchmarks/budget_coverage.py

Simulates searches of 16 to 60 random trials (see ``tests/support/simulated_searches.py``) of one and of three seeds, in
spaces with a peak of 1 to 8 parameters, with configs that fail, without a best config, and with most configs near the
best; with little noise and with much. (What a seed does to all configs alike is left out where there is one alone,
since its interval is of that seed.) Prints, by number of trials and by how many of them are drawn, the lowest share
over all of these of the outcomes in which an interval held the truth, and how long the intervals were.
"""

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.economy.bands import band, difference
from tests.support.simulated_searches import LOUD, QUIET, SPACES, Noise, Space, searches, truths

TRIALS = (16, 24, 30, 60)
SEEDS = (1, 3)
NOISES = {"little noise": QUIET, "much noise": LOUD}


def numbers(trials: int) -> list[int]:
    """Of trials that are drawn."""
    return sorted({1, 2, max(1, trials // 8), trials // 4, trials // 3, trials // 2})


def rows(space: Space, noise: Noise, trials: int, seeds: int, outcomes: int, random: np.random.Generator) -> list[dict]:
    """A row for each number of trials that are drawn and each split."""
    noise = noise if seeds > 1 else replace(noise, of_seed=0)
    true = truths(space, noise, seeds, numbers(trials))
    found = searches(space, noise, trials, seeds, outcomes, random)
    others = searches(space, noise, trials, seeds, outcomes, random)
    made = []
    for (n, split), truth in true.items():
        ends = [band(drawn, n, split) for drawn in found]
        low, high = (np.array([getattr(each, end) for each in ends]) for end in ("low", "high"))
        row = {
            "n": n,
            "split": split,
            "held": ((low <= truth) & (truth <= high)).mean(),
            "length": np.median(high - low),
        }
        if seeds > 1:
            apart = [difference(one, n, other, n, split) for one, other in zip(found, others, strict=True)]
            row["equal told apart"] = np.mean([each.low > 0 or each.high < 0 for each in apart])
        made.append(row)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=1000, help="of each case [default: 1000]")
    parser.add_argument("--csv", type=Path, help="where to write a row per case")
    options = parser.parse_args()
    started = time.perf_counter()
    print(f"machine {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}")
    made = []
    for (name, space), (loudness, noise), trials, seeds in product(SPACES.items(), NOISES.items(), TRIALS, SEEDS):
        case = {"space": name, "noise": loudness, "trials": trials, "seeds": seeds}
        random = np.random.default_rng([*f"{name}, {loudness}".encode(), trials, seeds])
        made += [{**case, **row} for row in rows(space, noise, trials, seeds, options.outcomes, random)]
    table = pd.DataFrame(made)
    worst = {"held": "min", "equal told apart": "max", "length": "median"}
    print(table.groupby(["seeds", "trials", "n", "split"]).agg(worst).round(3).to_string())
    print(table.groupby(["space", "noise", "seeds"], sort=False).agg(worst).round(3).to_string())
    if options.csv:
        table.to_csv(options.csv, index=False)
    print(f"\n{time.perf_counter() - started:,.0f} s")


if __name__ == "__main__":
    main()
