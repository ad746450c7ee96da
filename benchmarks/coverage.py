"""How often intervals hold the truth, and how long they are: python benchmarks/coverage.py

Simulates seeds on test sets of the sizes of the datasets (see ``tests/support/simulated.py``): 3, 5 and 10 seeds, with
standard deviations of 0.01, 0.02 and 0.05 between them; groups that are alike or not; agreement on images of none,
half and nearly all of what could be; a seed's effect on all groups alike or on each anew. Prints the lowest share of
the outcomes, of all these cases and accuracies, in which an interval held the truth, for each dataset and number of
seeds. Of two seeds, which have no interval, it prints what there would be.
"""

import argparse
import os
import platform
import sys
import time
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.analysis import intervals as module
from scale_tune.analysis.intervals import intervals, paired_differences
from tests.support.simulated import TEST_SETS, Images, Method, Truth, simulated, truths

SEEDS = (3, 5, 10)
SPREADS = (0.01, 0.02, 0.05)
AGREEMENTS = (0, 0.5, 0.9)
OUTCOMES = 4_000
ALIKE = (0.8, 0.8, 0.8, 0.8)
UNLIKE = (0.95, 0.85, 0.7, 0.55)
LOWEST = ("worst_group", "worst_class")
NORMAL = 2 * 1.96
"""The length of an interval over the standard deviation of the mean, if that were known."""


def cases(images: Images, seeds: int) -> "list[dict[str, object]]":
    """A row per case and accuracy: how often the intervals held, and how long they were."""
    rows = []
    for number, (spread, agreement, by_group, alike) in enumerate(
        product(SPREADS, AGREEMENTS, (False, True), (True, False))
    ):
        random = np.random.default_rng([seeds, number])
        one, other = (
            Method(accuracies=levels[:: 3 if images.groups == 2 else 1], spread=spread, by_group=by_group)
            for levels in ((ALIKE, UNLIKE) if alike else (UNLIKE, ALIKE))
        )
        first, equal, different = simulated(images, [one, one, other], seeds, agreement, OUTCOMES, random)
        true, true_of_other = (truths(images, method, agreement) for method in (one, other))
        ends, of_equal, of_different = (
            intervals(first),
            paired_differences(first, equal),
            paired_differences(first, different),
        )
        for accuracy, (low, high) in ends.items():
            mean = first.accuracies[accuracy].mean(axis=-1)
            same, unlike = of_equal[accuracy], of_different[accuracy]
            by = Truth(
                own=true[accuracy].own - true_of_other[accuracy].own,
                common=true[accuracy].common - true_of_other[accuracy].common,
            )
            rows.append(
                {
                    "accuracy": "lowest" if accuracy in LOWEST else "mean",
                    "spread": spread,
                    "alike": alike,
                    "held": held(low, high, true[accuracy]),
                    "length": np.median(high - low),
                    "normal": NORMAL * mean.std(),
                    "equal told apart": ((same.low > 0) | (same.high < 0)).mean(),
                    "difference held": held(unlike.low, unlike.high, by),
                    "length of difference": np.median(same.high - same.low),
                    "normal of difference": NORMAL * same.difference.std(),
                }
            )
    return rows


def held(low: np.ndarray, high: np.ndarray, true: Truth) -> float:
    """How often both readings of the truth lay in the interval, the one that did so less often."""
    return min(((low <= value) & (value <= high)).mean() for value in (true.own, true.common))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help="where to write a row per case and accuracy")
    options = parser.parse_args()
    started = time.perf_counter()
    print(f"machine {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}")
    found = []
    for (name, images), seeds in product(TEST_SETS.items(), SEEDS):
        found += [{"dataset": name, "seeds": seeds, **row} for row in cases(images, seeds)]
    table = pd.DataFrame(found)
    show(table)
    with patch.object(module, "FEWEST_SEEDS", 2):
        two = [{"dataset": name, "seeds": 2, **row} for name, images in TEST_SETS.items() for row in cases(images, 2)]
    print("\nif two seeds had intervals, too:")
    show(pd.DataFrame(two))
    if options.csv:
        pd.concat([table, pd.DataFrame(two)]).to_csv(options.csv, index=False)
    print(f"\n{time.perf_counter() - started:,.0f} s")


def show(table: pd.DataFrame) -> None:
    """Print the worst cases by dataset and seeds, and the lengths by spread."""
    worst = {"held": "min", "difference held": "min", "equal told apart": "max"}
    print(table.groupby(["dataset", "seeds", "accuracy"], sort=False).agg(worst).round(3).to_string())
    lengths = ["length", "normal", "length of difference", "normal of difference"]
    print(table.groupby(["dataset", "accuracy", "spread", "seeds"], sort=False)[lengths].median().round(3).to_string())


if __name__ == "__main__":
    main()
