"""One order of "best", for epochs, trials, refits and methods alike: the highest value, of equal ones the first."""

from collections.abc import Iterable


def best_first(values: Iterable[float]) -> list[int]:
    """The positions of the values, that of the best first. NaN has no place among them."""
    numbers = list(values)
    return sorted(range(len(numbers)), key=lambda i: -numbers[i])  # which keeps the order of equal ones


def best_of(values: Iterable[float]) -> int | None:
    """The position of the best value; None of none."""
    return next(iter(best_first(values)), None)
