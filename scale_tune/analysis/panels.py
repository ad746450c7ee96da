"""A grid of values of two parameters, with anything in its cells."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Panel(Generic[T]):
    """What is shown of one method, or of two."""

    name: str
    rows: list[Any]
    cols: list[Any]
    cells: dict[tuple[Any, Any], T]
    """By row and column, one for each pair of values."""

    def at(self, row: Any, col: Any) -> T | None:
        """The cell of these values; None if the panel has no such row or column."""
        return self.cells.get((row, col))

    def only(self, row: Any) -> "Panel[T]":
        """The same with this row alone."""
        rows = [each for each in self.rows if each == row]
        cells = {place: cell for place, cell in self.cells.items() if place[0] == row}
        return Panel(name=self.name, rows=rows, cols=self.cols, cells=cells)


def united(values: list[list[Any]]) -> list[Any]:
    """The values of several axes, each once: numbers in ascending order, others as they come."""
    found = list(dict.fromkeys(value for axis in values for value in axis))
    return sorted(found) if all(isinstance(value, int | float) for value in found) else found
