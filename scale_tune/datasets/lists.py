"""Lists of pictures, as text beside them; whatever is wrong in one is an error that names its file and line.

A value that means nothing is never taken for one that does, and no row is left out without a word.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scale_tune.errors import UserError

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+(\.0*)?")


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureList:
    """The columns of a list that are needed, as text, a row for each picture.

    Attributes:
        path: the file.
        columns: of each name, text without white space around it, (n,).
        lines: of each row, the line of the file at which it begins, (n,).
        header: the line of the names of the columns.
        remedy: what to do about a mistake in it.
    """

    path: Path
    columns: Mapping[str, NDArray[np.object_]]
    lines: NDArray[np.int64]
    header: int
    remedy: str

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Where a row is, as ``file:line``."""
        return f"{self.path}:{self.lines[row]}"

    def error(self, row: int, mistake: str) -> UserError:
        """What is wrong with a row."""
        return UserError(f"{self.place(row)}: {mistake}; {self.remedy}")

    def take(self, rows: NDArray[np.int64]) -> "PictureList":
        """Some of the rows, in this order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return replace(self, columns=columns, lines=self.lines[rows])

    def rows_of(self, other: "PictureList", key: str) -> NDArray[np.int64]:
        """Where each row of another list of the same pictures is in this one, (n of the other,).

        Raises:
            UserError: a picture stands twice in this list, or in only one of the two.
        """
        mine, others = self.columns[key].tolist(), other.columns[key].tolist()
        row_of = {picture: row for row, picture in enumerate(mine)}
        for row, picture in enumerate(mine):
            if row_of[picture] != row:
                raise self.error(row_of[picture], f"{picture} stands twice, first in line {self.lines[row]}")
        for row, picture in enumerate(others):
            if picture not in row_of:
                raise other.error(row, f"{picture} is not in {self.path}")
        if absent := row_of.keys() - set(others):
            row = min(row_of[picture] for picture in absent)
            raise self.error(row, f"{mine[row]} is not in {other.path}")
        return np.array([row_of[picture] for picture in others], np.int64)

    def codes(self, column: str, known: Mapping[str, int]) -> NDArray[np.int64]:
        """A column by what its values mean, (n,).

        Raises:
            UserError: a value is none of the known ones.
        """
        of_row, texts = pd.factorize(self.columns[column])
        for i, text in enumerate(texts):
            if text not in known:
                raise self.error(_first(of_row == i), f"{column} {_is(text)}; it must be {' or '.join(known)}")
        return np.array([known[text] for text in texts], np.int64)[of_row]

    def categories(self, column: str) -> tuple[list[str], NDArray[np.int64]]:
        """The values of a column in their order, and of each row which it has, (n,).

        They are whole numbers, ordered as such, or names, ordered by the alphabet.

        Raises:
            UserError: a value is blank or a fraction, or some are numbers and others names.
        """
        of_row, texts = pd.factorize(self.columns[column])
        numeric = np.array([_NUMBER.fullmatch(text) is not None for text in texts])
        for i, text in enumerate(texts):
            # Programs write nan for a value that is missing.
            if text.lower() in ("", "nan") or (numeric[i] and not _WHOLE.fullmatch(text)):
                raise self.error(_first(of_row == i), f"{column} {_is(text)}; it must be a whole number or a name")
        if numeric.any() and not numeric.all():
            of_kind = numeric[of_row]
            mostly = of_kind.mean() >= 0.5
            row = _first(of_kind != mostly)
            kind = "numbers" if mostly else "names"
            raise self.error(row, f"{column} {_is(self.columns[column][row])}, but most are {kind}")
        values = [int(text.partition(".")[0]) for text in texts] if numeric.any() else list(texts)
        ordered = sorted(set(values))
        code = {value: i for i, value in enumerate(ordered)}
        return [str(value) for value in ordered], np.array([code[value] for value in values], np.int64)[of_row]

    def paths(self, column: str, root: Path) -> list[str]:
        """A column of paths, each relative to ``root`` and spelt in one way.

        Raises:
            UserError: one is blank, or not below ``root``.
        """
        found = []
        for row, text in enumerate(self.columns[column]):
            path = os.path.normpath(os.path.relpath(text, root) if text.startswith("/") else text)
            if path in (".", "..") or path.startswith("../"):
                raise self.error(row, f"{column} {_is(text)}, which is no picture in the folder {root}")
            found.append(path)
        return found

    def check_once(self, pictures: Sequence[str], splits: NDArray[np.int64], names: Sequence[str]) -> None:
        """No picture may stand twice, and least of all in two splits.

        Args:
            pictures: of each row.
            splits: of each row, an index of ``names``.
            names: of the splits.

        Raises:
            UserError: one does.
        """
        first: dict[str, int] = {}
        for row, picture in enumerate(pictures):
            before = first.setdefault(picture, row)
            if splits[before] != splits[row]:
                raise self.error(
                    row,
                    f"{picture} is in {names[splits[row]]} here and in {names[splits[before]]} in line "
                    f"{self.lines[before]}, but a picture may be in one split only",
                )
            if before != row:
                raise self.error(row, f"{picture} stands twice, first in line {self.lines[before]}")

    def check_splits(
        self,
        splits: NDArray[np.int64],
        names: Mapping[int, str],
        values: NDArray[np.int64],
        meanings: Sequence[str],
        what: str = "class",
    ) -> None:
        """Splits must have every value.

        Args:
            splits: of each row, its number.
            names: of the splits that are looked at, by number.
            values: of each row, an index of ``meanings``.
            meanings: what they are called.
            what: of which they are.

        Raises:
            UserError: one has not.
        """
        for split, name in names.items():
            if not (splits == split).any():
                raise UserError(f"{self.path}:{self.header}: no picture is in {name}; {self.remedy}")
            for value in np.setdiff1d(values, values[splits == split]):
                here = _first(values == value)
                rule = f"the {what} {meanings[value]}, of which this is one, has no picture in {name}"
                raise self.error(here, rule)

    def check_present(self, root: Path, pictures: Sequence[str], rows: NDArray[np.int64] | None = None) -> None:
        """Pictures must be files; each folder is read once, and no picture is opened.

        Args:
            root: where their paths begin.
            pictures: of each row.
            rows: of which rows; None: of all.

        Raises:
            UserError: some are missing; the first are named.
        """
        there: dict[str, set[str]] = {}
        missing = []
        wanted = range(len(self)) if rows is None else np.sort(rows).tolist()
        for row in wanted:
            folder, name = os.path.split(pictures[row])
            if folder not in there:
                there[folder] = _files(root / folder)
            if name not in there[folder]:
                missing.append(row)
        if missing:
            first = ", ".join(f"{pictures[row]} (line {self.lines[row]})" for row in missing[:3])
            raise UserError(
                f"{self.path}: {len(missing):,} of {len(wanted):,} pictures are not in {root}: {first}"
                f"{', …' if len(missing) > 3 else ''}; put them there, or correct the list"
            )


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):
        return set()


def _first(rows: NDArray[np.bool_]) -> int:
    return int(np.argmax(rows))


def _is(text: str) -> str:
    return f"is {text!r}" if text else "is blank"
