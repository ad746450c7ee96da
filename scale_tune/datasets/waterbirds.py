"""``waterbirds``: birds pasted onto land and water backgrounds.

Source: Waterbirds (Sagawa et al., 2020), made of CUB-200 and Places, 11,788 pictures. The label is the bird (1
waterbird), the attribute the place (1 water). train and test are the official ones; target and val are the halves of
the official validation split, each group split as evenly as it goes. Pictures are scaled so that the shorter side has
256 pixels and cut to the central 224 x 224.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from scale_tune.datasets import pictures, sources
from scale_tune.datasets.celeba import IMAGENET_MEAN, IMAGENET_STD, TEST, TRAIN, VAL, halves
from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.pictures import SIDE, picture_reader
from scale_tune.datasets.splits import DatasetInfo, SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.seeding import derive_seed

FOLDER = "waterbird_complete95_forest2water2"
ADVICE = (
    f"Download and unpack {FOLDER}.tar.gz of group DRO (https://github.com/kohpangwei/group_DRO) in the data "
    f"directory, which makes {FOLDER}/metadata.csv."
)

INFO = DatasetInfo(
    groups=Groups(num_classes=2, num_attributes=2, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1)),
    height=SIDE,
    width=SIDE,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    crop_padding=16,
    flip=True,
)


class Waterbirds(Dataset):
    """Birds on land and water."""

    versions: ClassVar = {"waterbirds": 1} | pictures.VERSIONS

    def info(self) -> DatasetInfo:
        """Two classes, judged by cell."""
        return INFO

    def files(self) -> list[Path]:
        """The list of pictures."""
        return files()

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits, a pure function of the options and the list."""
        return plan(self.options)


def files() -> list[Path]:
    """The list of pictures.

    Raises:
        UserError: it is missing; the message says what to put where.
    """
    return [sources.find("waterbirds", [f"{FOLDER}/metadata.csv", "waterbirds/metadata.csv"], ADVICE)]


def plan(options: DatasetOptions) -> dict[SplitName, SplitPlan]:
    """All four splits, a pure function of the options and the list."""
    (path,) = files()
    table = read_list(path)
    rng = np.random.default_rng(derive_seed("waterbirds", options.seed))
    val_rows = [
        np.flatnonzero((table["split"] == VAL) & (table["y"] == y) & (table["place"] == place))
        for y in (0, 1)
        for place in (0, 1)
    ]
    target, val = halves(val_rows, rng)
    train, test = (np.flatnonzero(table["split"] == split) for split in (TRAIN, TEST))
    rows_of: dict[SplitName, np.ndarray] = {"train": train, "target": target, "val": val, "test": test}
    plans: dict[SplitName, SplitPlan] = {}
    for name, rows in rows_of.items():
        rows = rng.permutation(rows)
        pictures = [path.parent / filename for filename in table["img_filename"].to_numpy()[rows]]
        plans[name] = SplitPlan(
            labels=table["y"].to_numpy(np.int64)[rows],
            attributes=table["place"].to_numpy(np.int64)[rows],
            sources=rows[:, None],
            images=picture_reader(pictures, None),
        )
    return plans


def read_list(path: Path) -> pd.DataFrame:
    """Columns ``img_filename, y, split, place``, a row per picture.

    Raises:
        UserError: the list is of another format.
    """
    try:
        table = pd.read_csv(path)[["img_filename", "y", "split", "place"]]
        if not (table["y"].isin([0, 1]) & table["place"].isin([0, 1]) & table["split"].isin([TRAIN, VAL, TEST])).all():
            raise ValueError("y and place must be 0 or 1, and split 0, 1 or 2")
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is not as Waterbirds has it: {error}; download it again") from None
    return table
