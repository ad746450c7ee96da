"""Dividing pictures in two, each group in the same proportion."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scale_tune.errors import UserError


def divide(
    groups: Mapping[str, NDArray[np.int64]],
    rng: np.random.Generator,
    *,
    source: str,
    share: float = 0.5,
    remedy: str = "",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A share of each group, and the rest of it; rounded so that the whole has its share too.

    Args:
        groups: rows of each group, by what to call it in an error. A group may be empty as a whole.
        rng: draws which rows of a group.
        source: what is divided, in an error.
        share: of the first part.
        remedy: how to change the share, where that can be done.

    Returns:
        The rows of the first and of the second part.

    Raises:
        UserError: a group has too few pictures to be in both parts.
    """
    first, second = [], []
    total = 0
    for name, rows in groups.items():
        rows = rng.permutation(rows)
        # The slack makes up for products like 0.07 * 100, which are a hair too large or too small.
        cut = math.floor(share * (total + len(rows)) + 1e-9) - math.floor(share * total + 1e-9)
        total += len(rows)
        if len(rows) and cut in (0, len(rows)):
            raise UserError(
                f"{source}: of {name} there {'is' if len(rows) == 1 else 'are'} {len(rows)}, so that a share of "
                f"{share:g} leaves none on one side; {remedy}add pictures to that group, or leave it out"
            )
        first.append(rows[:cut])
        second.append(rows[cut:])
    return np.concatenate(first), np.concatenate(second)
