"""What a trial of three seeds takes beside one of a single seed: python benchmarks/seeds.py

Both from their beginning to their end in a process that has trained before, on one thread: set-up, epochs, checkpoints,
evaluation, features. Data that all seeds share and data drawn for each (``splits: per_seed``).
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.datasets import splits_by_seed
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.allocator import keep_freed_memory
from scale_tune.training.trial import Trial

ROUNDS = 5


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    for method in ("erm", "scale"):
        for splits in ("shared", "per_seed"):
            ratios = []
            for _ in range(ROUNDS + 1):
                one, three = (taken(method, splits, seeds) for seeds in ((0,), (0, 1, 2)))
                ratios.append(three / one)
            ratios = ratios[1:]  # the first one warms up
            spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
            print(
                f"{method}, splits {splits}: {statistics.median(ratios):.2f} times one seed's processor time {spread}"
            )


def taken(method: str, splits: str, seeds: tuple[int, ...]) -> float:
    """Seconds of processor time of a trial on the digits."""
    config = TrialConfig(method=method, splits=splits, seeds=seeds, epochs=2)
    with tempfile.TemporaryDirectory() as directory:
        started = time.process_time()
        trial = Trial("erm-00000", config, splits_by_seed(config), torch.device("cpu"), Location.of(directory))
        while not trial.record.finished:
            trial.train_epoch()
        return time.process_time() - started


if __name__ == "__main__":
    main()
