"""Files of delimited text, read with the line of every row."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from scale_tune.datasets.lists import PictureList
from scale_tune.errors import UserError

Record = tuple[int, list[str]]
"""The line at which it begins, from 1, and its fields."""


def read_csv(path: Path, columns: Sequence[str], remedy: str) -> PictureList:
    """A list with commas between its fields and a line of names above, in UTF-8.

    Args:
        path: the file.
        columns: the names of those that are needed.
        remedy: see :class:`PictureList`.

    Raises:
        UserError: it can't be read, is of another format, or lacks a column or any row.
    """
    records = _csv_records(path, remedy)
    header, names = next(records, (1, []))
    return _list_of(path, records, header, names, columns, remedy)


def read_words(path: Path, columns: Sequence[str], remedy: str, names: Sequence[str] | None = None) -> PictureList:
    """A list with white space between its fields: CelebA's.

    Args:
        path: the file.
        columns: the names of those that are needed; the first is that of the picture.
        remedy: see :class:`PictureList`.
        names: of the columns; None: they are in the second line, but for the first of them, below the number of rows.

    Raises:
        UserError: as :func:`read_csv`.
    """
    lines = enumerate(_text(path, remedy).split("\n"), start=1)
    records = ((line, text.split()) for line, text in lines if text.strip())
    if names is None:
        next(records, None)
        line, found = next(records, (2, []))
        return _list_of(path, records, line, [columns[0], *found], columns, remedy)
    return _list_of(path, records, 1, names, columns, remedy)


def csv_columns(path: Path, remedy: str) -> Record:
    """The names of a list's columns, and their line.

    Raises:
        UserError: it can't be read.
    """
    return next(_csv_records(path, remedy), (1, []))


def _text(path: Path, remedy: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}; {remedy}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: the byte 0x{content[error.start]:02x} is no UTF-8; save it as UTF-8") from None


def _csv_records(path: Path, remedy: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(_text(path, remedy), newline=""), skipinitialspace=True, strict=True)
    line = 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, [field.strip() for field in fields]
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}:{line}: the fields can't be told apart: {error}; {remedy}") from None


def _list_of(
    path: Path, records: Iterable[Record], header: int, names: Sequence[str], columns: Sequence[str], remedy: str
) -> PictureList:
    for column in columns:
        if (found := list(names).count(column)) != 1:
            problem = "there is no column" if found == 0 else f"{found} columns are called"
            raise UserError(f"{path}:{header}: {problem} {column!r}; there are {', '.join(names) or 'none'}; {remedy}")
    wanted = [list(names).index(column) for column in columns]
    lines: list[int] = []
    rows: list[list[str]] = []
    for line, fields in records:
        if len(fields) != len(names):
            raise UserError(f"{path}:{line}: {len(fields)} fields below {len(names)} columns; {remedy}")
        lines.append(line)
        rows.append([fields[i] for i in wanted])
    if not rows:
        raise UserError(f"{path}:{header}: no picture is listed; {remedy}")
    values = {column: np.array([row[i] for row in rows], dtype=object) for i, column in enumerate(columns)}
    return PictureList(path=path, columns=values, lines=np.array(lines), header=header, remedy=remedy)
