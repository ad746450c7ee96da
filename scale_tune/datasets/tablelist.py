"""The list of a ``table``: which columns mean what, and what its rows say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scale_tune.datasets.delimited import csv_columns, read_csv
from scale_tune.datasets.groups import aligned_by_lift
from scale_tune.datasets.lists import PictureList
from scale_tune.datasets.splits import SPLIT_NAMES
from scale_tune.errors import UserError
from scale_tune.spec.frozen import nearest

TRAIN, TARGET, VAL, TEST = range(len(SPLIT_NAMES))
"""Numbers of the splits: their places in ``SPLIT_NAMES``."""

KNOWN_COLUMNS = {
    "path": ("path", "filename", "file", "img_filename"),
    "label": ("label", "y"),
    "attribute": ("attribute", "a", "place"),
    "split": ("split",),
}
"""What a column may be called without being named in the options."""

KNOWN_SPLITS = {
    "train": TRAIN,
    "target": TARGET,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "0": TRAIN,
    "1": VAL,
    "2": TEST,
}
REMEDY = "correct the list"


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """All pictures of a list, in the order of their paths.

    Attributes:
        rows: where each is listed.
        paths: of each, below the root.
        splits, labels, attributes: of each, its number, (n,).
        classes, attribute_names: what the numbers of labels and attributes mean.
    """

    rows: PictureList
    paths: list[str]
    splits: NDArray[np.int64]
    labels: NDArray[np.int64]
    attributes: NDArray[np.int64]
    classes: list[str]
    attribute_names: list[str]

    def groups(self, split: int) -> dict[str, NDArray[np.int64]]:
        """Rows of each group that a split has, by what to call it."""
        rows = np.flatnonzero(self.splits == split)
        labels, attributes = self.labels[rows], self.attributes[rows]
        return {
            f"{self.classes[y]} with {self.attribute_names[a]}": rows[(labels == y) & (attributes == a)]
            for y, a in sorted(set(zip(labels.tolist(), attributes.tolist(), strict=True)))
        }

    def aligned(self, chosen: Mapping[str, str | int]) -> tuple[int, ...]:
        """Of each class, the attribute that it is aligned with.

        Args:
            chosen: names of attributes by those of classes; of the others, that of the highest lift in train.

        Raises:
            UserError: there is no such class or attribute.
        """
        counts = np.zeros((len(self.classes), len(self.attribute_names)), np.int64)
        train = self.splits == TRAIN
        np.add.at(counts, (self.labels[train], self.attributes[train]), 1)
        aligned = list(aligned_by_lift(counts))
        for name, attribute in chosen.items():
            for what, value, known in (("label", name, self.classes), ("attribute", attribute, self.attribute_names)):
                if str(value) not in known:
                    rule = f"{self.rows.path} has no {what} {value}; {nearest(str(value), known)}"
                    raise UserError(f"aligned: {name}: {attribute}: {rule}")
            aligned[self.classes.index(name)] = self.attribute_names.index(str(attribute))
        return tuple(aligned)


@lru_cache(maxsize=8)
def read_listed(
    path: Path,
    stamp: tuple[int, int],
    root: Path,
    columns: tuple[str | None, str | None, str | None, str | None],
    splits: tuple[tuple[str, str], ...] | None,
) -> Listed:
    """What a list says, read once for each ``stamp`` of the file.

    Args:
        path: the list.
        stamp: size and time of change of the file.
        root: the folder in which its paths begin.
        columns: of path, label, attribute and split; None: as they are usually called.
        splits: values of the column with the names of the splits; None: as they are usually called.

    Raises:
        UserError: something is wrong with the list; the message says where, and what to do.
    """
    of_path, of_label, of_attribute, of_split = _columns(path, dict(zip(KNOWN_COLUMNS, columns, strict=True)))
    rows = read_csv(path, list(dict.fromkeys((of_path, of_label, of_attribute, of_split))), REMEDY)
    paths = rows.paths(of_path, root)
    order = np.argsort(np.array(paths, dtype=object), kind="stable")
    rows, paths = rows.take(order), [paths[row] for row in order]
    known = KNOWN_SPLITS if splits is None else {value: SPLIT_NAMES.index(name) for value, name in splits}
    of_row = rows.codes(of_split, known)
    rows.check_once(paths, of_row, SPLIT_NAMES)
    classes, labels = rows.categories(of_label)
    attribute_names, attributes = rows.categories(of_attribute)
    needed = {TRAIN: "train", VAL: "val", TEST: "test"} | ({TARGET: "target"} if (of_row == TARGET).any() else {})
    rows.check_splits(of_row, needed, labels, classes)
    # A search could not see how a network does on a group that val lacks, and nothing aligns one that train lacks.
    rows.check_splits(of_row, {TRAIN: "train", VAL: "val"}, attributes, attribute_names, "attribute")
    for column, values in ((of_label, classes), (of_attribute, attribute_names)):
        if len(values) < 2:
            raise UserError(
                f"{path}:{rows.header}: {column} is {values[0]} for all pictures; there must be two at least"
            )
    return Listed(
        rows=rows,
        paths=paths,
        splits=of_row,
        labels=labels,
        attributes=attributes,
        classes=classes,
        attribute_names=attribute_names,
    )


def _columns(path: Path, given: Mapping[str, str | None]) -> list[str]:
    """The column of each meaning: the one that is given, else the one that is called as usual."""
    header, there = csv_columns(path, REMEDY)
    found = []
    for what, name in given.items():
        usual = [each for each in KNOWN_COLUMNS[what] if each in there]
        if name is None and len(usual) != 1:
            problem = (
                f"both {' and '.join(usual)} may be" if usual else f"{', '.join(there) or 'none'}: none is known as"
            )
            raise UserError(f"{path}:{header}: of the columns {problem} the {what}; name it as {what}_column")
        found.append(usual[0] if name is None else name)
    return found
