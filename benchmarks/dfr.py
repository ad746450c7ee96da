"""What refits take beside the loop one would write by hand: python benchmarks/dfr.py [CHECKPOINTS]

Protocols ``scale`` and ``dfr`` on made-up features of many checkpoints, 1,000 samples of 512, as ``analyze.py`` refits
them, side by side, the start of Ray and its workers included; and, in the same run, one after another in a loop of
scikit-learn's, with the same subsamples and random states. Both choose C and average their fits; the same C and
coefficients must come out.
"""

import os
import platform
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.datasets.balanced import balanced_subsample
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.dfr.features import Featured
from scale_tune.dfr.protocols import RECIPES, DfrResult, refit
from scale_tune.search.side_by_side import side_by_side
from scale_tune.seeding import derive_seed
from scale_tune.spec.config import DatasetConfig, DfrProtocol, Objective

SAMPLES = {"target": 1000, "val": 1000, "test": 2000}
FEATURES = 512
LATENT = 64
GROUPS = Groups(num_classes=2, num_attributes=2, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1))
PROTOCOLS = (DfrProtocol.SCALE, DfrProtocol.DFR)


def main() -> None:
    checkpoints = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print(f"machine      {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}, {platform.system()}")
    made = [made_up(seed) for seed in range(checkpoints)]
    started = time.perf_counter()
    by_hand = [[loop(featured, protocol, seed) for protocol in PROTOCOLS] for seed, featured in enumerate(made)]
    of_loop = time.perf_counter() - started
    calls = [partial(refits, featured, seed) for seed, featured in enumerate(made)]
    started = time.perf_counter()
    found = list(side_by_side(calls, None))
    taken = time.perf_counter() - started
    for of_checkpoint, expected in zip(found, by_hand, strict=True):
        for result, (C, weight) in zip(of_checkpoint, expected, strict=True):
            assert result.C == C
            np.testing.assert_allclose(np.diff(result.classifier.weight, axis=0)[0], weight, rtol=1e-9, atol=1e-12)
    print(
        f"{checkpoints} checkpoints, {' and '.join(PROTOCOLS)}: the same C and coefficients; {of_loop:.1f} s by hand, ",
        end="",
    )
    print(f"{taken:.1f} s as refits, {taken / of_loop:.2f} of it")


def refits(featured: Featured, seed: int) -> list[DfrResult]:
    return [refit(featured, protocol, Objective.WORST_GROUP, seed) for protocol in PROTOCOLS]


def made_up(seed: int) -> Featured:
    """Features as a network leaves them: none negative, most alike, with the attribute more plain than the label."""
    rng = np.random.default_rng(seed)
    arrays, labels, attributes = {}, {}, {}
    mixed = rng.normal(size=(LATENT, FEATURES)) / LATENT**0.5
    for name, n in SAMPLES.items():
        labels[name] = rng.integers(2, size=n)
        attributes[name] = np.where(rng.random(n) < 0.8, labels[name], 1 - labels[name])
        latent = rng.normal(size=(n, LATENT))
        latent[:, 0] += 2 * labels[name] - 1
        latent[:, 1] += 3 * (2 * attributes[name] - 1)
        arrays[name] = np.maximum(latent @ mixed + 0.1 * rng.normal(size=(n, FEATURES)), 0)
    return Featured(
        dataset=DatasetConfig(name="dominoes"),
        fingerprint="made up",
        groups=GROUPS,
        labels=labels,
        attributes=attributes,
        features=arrays.__getitem__,
        subsamples=np.empty((0, 0), np.int64),
    )


def loop(featured: Featured, protocol: DfrProtocol, seed: int) -> tuple[float, NDArray[np.float64]]:
    """C and the coefficients of the features before they are scaled, in scikit-learn's words."""
    recipe, names = RECIPES[protocol], ("dfr", protocol.value, seed)
    target, labels, attributes = featured.features("target"), featured.labels["target"], featured.attributes["target"]
    val, val_labels = featured.features("val"), featured.labels["val"]
    groups = [
        (val_labels == label) & (featured.attributes["val"] == attribute) for label in (0, 1) for attribute in (0, 1)
    ]
    scaler = StandardScaler(with_mean=recipe.standardised, with_std=recipe.standardised).fit(target)

    def fitted(C: float, number: int | str) -> LogisticRegression:
        rows = np.arange(len(labels))
        if protocol is DfrProtocol.DFR:
            rng = np.random.default_rng(derive_seed(*names, "subsample", number))
            rows = balanced_subsample(labels, attributes, GROUPS, rng)
        state = derive_seed(*names, "solver", number) % 2**32
        regression = LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=state, max_iter=1000)
        return regression.fit(scaler.transform(target[rows]), labels[rows])

    accuracies = []
    for C in recipe.C:
        right = fitted(C, "path").predict(scaler.transform(val)) == val_labels
        accuracies.append(min(right[group].mean() for group in groups))
    C = recipe.C[int(np.argmax(accuracies))]
    scale = np.ones(FEATURES) if scaler.scale_ is None else scaler.scale_
    return C, np.mean([fitted(C, number).coef_[0] / scale for number in range(recipe.fits)], axis=0)


if __name__ == "__main__":
    main()
