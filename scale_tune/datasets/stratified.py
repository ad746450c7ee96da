"""Dividing pictures in two, each group in the same proportion."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scale_tune.errors import UserError


def divide(
    groups: Mapping[str, NDArray[np.int64]], rng: np.random.Generator, source: str, share: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Target, a share of each group, and the rest; rounded so that the whole has its share too.

    Args:
        groups: rows of each group, by what to call it in an error. A group may be empty as a whole.
        rng: draws which rows of a group.
        source: what is divided, in an error.
        share: how much is target, between 0 and 1; at least one of a group is, and one is not.

    Returns:
        The rows of target and the others.

    Raises:
        UserError: a group has one picture alone.
    """
    first, second = [], []
    total = 0
    for name, rows in groups.items():
        if len(rows) == 1:
            raise UserError(
                f"{source}: {name} has one picture, which can't be both in target and beside it; add pictures to that "
                "group, or leave it out"
            )
        rows = rng.permutation(rows)
        # The slack makes up for products like 0.07 * 100, which are a hair too large or too small.
        cut = math.floor(share * (total + len(rows)) + 1e-9) - math.floor(share * total + 1e-9)
        if len(rows):
            cut = min(max(cut, 1), len(rows) - 1)
        total += len(rows)
        first.append(rows[:cut])
        second.append(rows[cut:])
    return np.concatenate(first), np.concatenate(second)
