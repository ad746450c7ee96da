"""Random searches whose expected best is known, to see how often intervals hold it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scale_tune.accuracies import Floats
from scale_tune.economy.budgets import Drawn, Images

TRUTH = 200_000
"""Configs that a true mean is over."""
Space = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def peak(parameters: int) -> Space:
    """Accuracies that fall with the square of the distance from a best point, in so many parameters."""

    def drawn(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
        return 0.75 - 0.375 * (random.uniform(-1, 1, (*size, parameters)) ** 2).mean(axis=-1)

    return drawn


def failing(share: float) -> Space:
    """A peak in two parameters, but for a share of the configs that learn nothing."""

    def drawn(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
        return np.where(random.random(size) < share, 0.1, peak(2)(random, size))

    return drawn


def bell(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
    """Accuracies without a best one."""
    return 0.5 + 0.08 * random.normal(size=size)


def ceiling(random: np.random.Generator, size: tuple[int, ...]) -> Floats:
    """Most accuracies near the best, few far below."""
    return np.maximum(0.75 - 0.2 * random.exponential(size=size), 0.1)


SPACES: dict[str, Space] = {
    "peak of 1": peak(1),
    "peak of 2": peak(2),
    "peak of 4": peak(4),
    "peak of 8": peak(8),
    "4 of 10 fail": failing(0.4),
    "8 of 10 fail": failing(0.8),
    "bell": bell,
    "ceiling": ceiling,
}


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What else an accuracy depends on: standard deviations."""

    of_config: float
    """Of each replica, on val and test alike."""
    of_epoch: float
    """Of each replica on val, and on test."""
    of_seed: float
    """Of each seed, whatever the config."""
    images: int
    """Judged by all; half of the variance that they make is common to all configs."""


QUIET = Noise(of_config=0.01, of_epoch=0.005, of_seed=0.005, images=2_000)
LOUD = Noise(of_config=0.06, of_epoch=0.04, of_seed=0.02, images=200)


def searches(
    space: Space, noise: Noise, trials: int, seeds: int, outcomes: int, random: np.random.Generator
) -> list[Drawn]:
    """So many searches, each on images and seeds of its own."""
    shape = (outcomes, trials, seeds)
    quality = np.broadcast_to(space(random, (outcomes, trials))[..., None], shape)
    trained = quality + noise.of_config * random.normal(size=shape)
    values = []
    for shift in (0.0, -0.03):
        common = noise.of_seed * random.normal(size=(outcomes, 1, seeds))
        of_images = np.sqrt(0.25 * 0.5 / noise.images)
        common = common + of_images * random.normal(size=(outcomes, 1, 1))
        own = np.hypot(noise.of_epoch, of_images) * random.normal(size=shape)
        values.append(np.clip(trained + shift + common + own, 0, 1))
    images = Images(smallest=noise.images, groups=2)
    return [
        Drawn(val=val, test=test, selectable=np.ones(trials, bool), epochs=1, val_images=images, test_images=images)
        for val, test in zip(*values, strict=True)
    ]


def truths(space: Space, noise: Noise, seeds: int, numbers: list[int]) -> dict[tuple[int, str], float]:
    """By number of trials and split, what a search finds on average over configs, seeds and images."""
    (many,) = searches(space, _uncommon(noise), TRUTH, seeds, 1, np.random.default_rng(1))
    below = np.arange(TRUTH + 1) / TRUTH
    return {
        (n, split): float(np.diff(below**n) @ values.mean(axis=1))
        for n in numbers
        for split, values in many.ordered.items()
    }


def _uncommon(noise: Noise) -> Noise:
    """What is common to all configs averages out."""
    own = float(np.hypot(noise.of_epoch, np.sqrt(0.25 * 0.5 / noise.images)))
    return Noise(of_config=noise.of_config, of_epoch=own, of_seed=0, images=10**12)
