"""``table``: pictures of your own, with a CSV that lists them.

A row for each picture: its path, its label, its attribute (the spurious feature) and its split, as

.. code-block:: text

    path,label,attribute,split
    photos/0001.jpg,cow,grass,train
    photos/0002.png,camel,sand,val

Labels and attributes are names or whole numbers, any number of either; classes are numbered in the order of the numbers
or of the alphabet. Splits are ``train``, ``val`` (or ``valid``, ``validation``), ``test`` and, if you have one of your
own, ``target``; or 0, 1, 2 for train, val, test, as in WILDS: its ``waterbirds_v1.0/metadata.csv`` works as it is.
Pictures are whatever Pillow reads, of any size. Neither the order of the rows nor other columns matter.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from scale_tune.datasets import pictures, sources
from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetInfo, PaddedCrop, SplitName, SplitPlan
from scale_tune.datasets.stratified import divide
from scale_tune.datasets.suggested import FOR_IMAGENET
from scale_tune.datasets.tablelist import TARGET, TRAIN, VAL, Listed, read_listed
from scale_tune.seeding import derive_seed
from scale_tune.spec.frozen import Lenient, LocatedError

Pixels = Annotated[int, Field(ge=1, le=2**14)]
Sides = Annotated[tuple[Pixels, Pixels], Lenient]
Channels = Annotated[tuple[float, float, float], Lenient]


class TableOptions(DatasetOptions):
    """Options of ``table``."""

    csv: str
    """The CSV that lists the pictures. A relative path begins in ``$SCALE_TUNE_DATA``, else in ``data``."""
    root: str | None = None
    """The folder in which the paths of the list begin; left out, that of the list."""
    path_column: str | None = None
    """The column of the pictures' paths; left out, ``path``, ``filename``, ``file`` or ``img_filename``."""
    label_column: str | None = None
    """The column of labels; left out, ``label`` or ``y``."""
    attribute_column: str | None = None
    """The column of attributes; left out, ``attribute``, ``a`` or ``place``."""
    split_column: str | None = None
    """The column that says in which split a picture is; left out, ``split``."""
    splits: dict[str, SplitName] | None = None
    """The split that each value of the column means, where it is none of the usual ones."""
    target_from: Literal["val", "train"] | None = None
    """What target is a part of, where the list has none of its own; left out, val."""
    target_share: float | None = Field(default=None, gt=0, lt=1)
    """Of each group there, how much of it is target, and no longer val or train; left out, half."""
    evaluation_groups: Annotated[EvaluationGroups, Lenient] = EvaluationGroups.CELLS
    """``cells``: each label with each attribute is a group; ``aligned_conflicting``: there are these two groups."""
    aligned: dict[str, str | int] = Field(default_factory=dict)
    """Attributes by label: with which a label is aligned. Left out, the one of highest P(attribute | label) /
    P(attribute) in train."""
    resize: Pixels | Sides | None = 256
    """Length of the shorter side, or [height, width]; null leaves the pictures as they are."""
    crop: Pixels | Sides | None = 224
    """Side of the central square that is cut out after that, or [height, width]; null leaves them whole."""
    mean: Channels = pictures.IMAGENET_MEAN
    """Mean of each channel scaled to [0, 1]; left out, ImageNet's."""
    std: Channels = pictures.IMAGENET_STD
    """Standard deviation of each channel scaled to [0, 1]; left out, ImageNet's."""
    crop_padding: int | None = Field(default=None, ge=0, le=2**14)
    """While training: pixels of reflected border before a random crop; left out, a fourteenth of the shorter side."""
    flip: bool = True
    """While training: whether half of the pictures are mirrored."""

    @model_validator(mode="after")
    def _pictures_have_one_size(self) -> Self:
        if self.crop is None and not isinstance(self.resize, tuple):
            raise LocatedError(("crop",), "pictures must come to one size; give crop, or resize as [height, width]")
        height, width = self.size
        if self.resize is not None:
            resized = _sides(self.resize)
            if height > resized[0] or width > resized[1]:
                raise LocatedError(
                    ("crop",), f"{self.crop} is larger than what resize leaves, {self.resize}; give less or null"
                )
        if self.crop_padding is not None and self.crop_padding >= min(height, width):
            raise LocatedError(("crop_padding",), f"must be below {min(height, width)}, the shorter side; lower it")
        if min(self.std) <= 0:
            raise LocatedError(("std",), f"must be above 0, got {self.std}")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every picture."""
        return _sides(self.crop or self.resize or 0)


class Table(Dataset):
    """Pictures that a CSV lists."""

    Options = TableOptions
    versions: ClassVar = {"table": 1} | pictures.VERSIONS
    suggested: ClassVar = FOR_IMAGENET
    options: TableOptions

    def info(self) -> DatasetInfo:
        """Classes, attributes and which go together, from the list."""
        listed = self._listed()
        height, width = self.options.size
        padding = self.options.crop_padding
        return DatasetInfo(
            groups=Groups(
                num_classes=len(listed.classes),
                num_attributes=len(listed.attribute_names),
                evaluation_groups=self.options.evaluation_groups,
                aligned_attributes=listed.aligned(self.options.aligned),
            ),
            height=height,
            width=width,
            mean=self.options.mean,
            std=self.options.std,
            random_crop=PaddedCrop(padding=min(height, width) // 14 if padding is None else padding),
            flip=self.options.flip,
        )

    def files(self) -> list[Path]:
        """The list."""
        return [sources.find("table", [self.options.csv], "Put the list there, or give csv another path.")]

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits, a pure function of the options and the list, whose order does not matter."""
        listed, root = self._listed(), self._root()
        listed.rows.check_present(root, listed.paths)
        rng = np.random.default_rng(derive_seed("table", self.options.seed))
        rows_of = [np.flatnonzero(listed.splits == split) for split in range(len(SPLIT_NAMES))]
        if not len(rows_of[TARGET]):
            source = TRAIN if self.options.target_from == "train" else VAL
            rows_of[TARGET], rows_of[source] = divide(
                listed.groups(source),
                rng,
                source=f"{SPLIT_NAMES[source]} in {listed.rows.path}",
                share=self.options.target_share or 0.5,
            )
        frame = partial(_frame, self.options)
        plans: dict[SplitName, SplitPlan] = {}
        for name, rows in zip(SPLIT_NAMES, map(rng.permutation, rows_of), strict=True):
            paths = [root / listed.paths[row] for row in rows]
            plans[name] = SplitPlan(
                labels=listed.labels[rows],
                attributes=listed.attributes[rows],
                sources=rows[:, None],
                images=pictures.picture_reader(paths, [listed.rows.place(row) for row in rows], frame),
            )
        return plans

    def _root(self) -> Path:
        (path,) = self.files()
        return path.parent if self.options.root is None else sources.data_root() / self.options.root

    def _listed(self) -> Listed:
        (path,) = self.files()
        options = self.options
        columns = (options.path_column, options.label_column, options.attribute_column, options.split_column)
        splits = None if options.splits is None else tuple(options.splits.items())
        (stamp,) = sources.stamp([path]).values()
        listed = read_listed(path, (stamp[0], stamp[1]), self._root(), columns, splits)
        for option in ("target_from", "target_share"):
            if getattr(options, option) is not None and (listed.splits == TARGET).any():
                row = int(np.argmax(listed.splits == TARGET))
                raise listed.rows.error(row, f"{option} is given, but the list has a target of its own; leave it out")
        return listed


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _frame(options: TableOptions, picture: Image.Image) -> Image.Image:
    if isinstance(options.resize, int):
        picture = pictures.scaled_to_shorter(picture, options.resize)
    elif options.resize is not None:
        picture = pictures.scaled(picture, *options.resize)
    return picture if options.crop is None else pictures.central(picture, *_sides(options.crop))
