"""Lookups made up: what configs reach, with none of a search around it."""

import numpy as np

from scale_tune.economy.lookup import Curves


def rising(random: np.random.Generator, configs: int, seeds: int, epochs: int, *, levels: int = 1000) -> np.ndarray:
    """Running bests of shape (configs, seeds, epochs), in so many levels: few make many equal ones."""
    level = random.uniform(0.2, 0.9, (configs, 1, 1))
    speed = random.uniform(0.3, 2.0, (configs, 1, 1))
    noise = random.normal(0, 0.03, (configs, seeds, epochs))
    values = level * (1 - np.exp(-speed * np.arange(1, epochs + 1))) + noise
    return np.maximum.accumulate(np.round(np.clip(values, 0, 1) * levels) / levels, axis=2)


def curves_from(val: np.ndarray, test: np.ndarray | None = None, **fields) -> Curves:
    """A lookup of these running bests; everything else is as in a search in which nothing went wrong."""
    val = np.asarray(val, float)
    c, s, e = val.shape
    defaults = {
        "run": "run",
        "method": "erm",
        "dataset": "digits",
        "objective": "worst_group",
        "sampler": "random",
        "trials": tuple(f"erm-{i:05d}" for i in range(c)),
        "params": tuple({"lr": 0.01 * (i + 1)} for i in range(c)),
        "seeds": tuple(range(s)),
        "test": val[:, :, -1] - 0.02 if test is None else np.asarray(test, float),
        "selectable": np.ones(c, bool),
        "drawn": np.ones(c, bool),
        "trained": np.full((c, s), e),
        "seconds": np.ones(val.shape),
        "images": {"val": 100, "test": 200},
        "groups": {"val": 2, "test": 2},
        "pruned": 0,
        "left_out": (),
    }
    return Curves(val=val, **(defaults | fields))
