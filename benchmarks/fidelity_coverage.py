"""How often the intervals of rank correlations hold the truth: python benchmarks/fidelity_coverage.py

Simulates 8 to 60 configs whose objective early on goes with that at the end nearly always, loosely, not at all or the
wrong way round; of which many fail alike, early on or for good; and of which the best ones are slow. Prints for each
how often the interval held the correlation of all configs that might have been drawn, and how long it was.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.economy.fidelity import fidelity

CONFIGS = (8, 12, 24, 30, 60)
TRUTH = 200_000
"""Configs that a true correlation is of."""
Pair = Callable[[np.random.Generator, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]


def loose(noise: float, sign: int = 1) -> Pair:
    """An early objective that is the final one with noise."""

    def drawn(random: np.random.Generator, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        end = random.normal(size=size)
        return sign * end + noise * random.normal(size=size), end

    return drawn


def chance_at_first(random: np.random.Generator, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Some have learned nothing yet, and fewer ever will not."""
    early, end = loose(0.6)(random, size)
    return np.where(early < -0.3, -3, early), np.where(end < -1, -3, end)


def failing(random: np.random.Generator, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Three of ten fail, early on and at the end."""
    early, end = loose(0.3)(random, size)
    fails = random.random(size) < 0.3
    return np.where(fails, -5 + 0.1 * random.normal(size=size), early), np.where(fails, -5, end)


def slow(random: np.random.Generator, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The best at the end are in the middle early on."""
    end = random.normal(size=size)
    return -np.abs(end - 0.5) + 0.3 * random.normal(size=size), end


CASES: dict[str, Pair] = {
    "nearly the same": loose(0.08),
    "much the same": loose(0.3),
    "loosely the same": loose(3),
    "nothing in common": loose(1e6),
    "the other way round": loose(0.7, -1),
    "at chance at first": chance_at_first,
    "failing": failing,
    "slow": slow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=1000, help="of each case [default: 1000]")
    options = parser.parse_args()
    started = time.perf_counter()
    print(f"machine {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}")
    rows = []
    for number, (name, pair) in enumerate(CASES.items()):
        true = pd.DataFrame(pair(np.random.default_rng(0), (TRUTH,))).T.corr("spearman").iloc[0, 1]
        for configs in CONFIGS:
            random = np.random.default_rng([number, configs])
            early, end = pair(random, (options.outcomes, configs))
            found = [
                fidelity(np.stack(each, axis=1)[:, None], np.ones(configs, bool))
                for each in zip(early, end, strict=True)
            ]
            low, high = (np.array([getattr(each, side)[0] for each in found]) for side in ("low", "high"))
            held = ((low <= true) & (true <= high))[np.isfinite(low)]  # there is none where all are equal
            rows.append(
                {
                    "case": name,
                    "true": true,
                    "configs": configs,
                    "held": held.mean(),
                    "length": np.nanmedian(high - low),
                }
            )
    table = pd.DataFrame(rows)
    print(table.pivot(index=["case", "true"], columns="configs", values=["held", "length"]).round(3).to_string())
    print(f"lowest {table['held'].min():.3f}\n\n{time.perf_counter() - started:,.0f} s")


if __name__ == "__main__":
    main()
