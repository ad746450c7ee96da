"""``waterbirds``: birds pasted onto land and water backgrounds.

Source: Waterbirds (Sagawa et al., 2020), made of CUB-200 and Places, 11,788 pictures. The label is the bird (1
waterbird), the attribute the place (1 water). train and test are the official ones; target and val are the halves of
the official validation split, each group split as evenly as it goes.

Pictures are presented as in DFR and group DRO (:func:`scale_tune.datasets.pictures.info_as_in_dfr`). They have all
proportions, and the shape of a random part is that in the resized picture.
"""

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from scale_tune.datasets import pictures, sources
from scale_tune.datasets.contract import Dataset
from scale_tune.datasets.delimited import read_csv
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.pictures import info_as_in_dfr, picture_reader, scaled
from scale_tune.datasets.splits import DatasetInfo, SplitName, SplitPlan
from scale_tune.datasets.stratified import divide
from scale_tune.datasets.suggested import FOR_IMAGENET
from scale_tune.seeding import derive_seed

FOLDER = "waterbird_complete95_forest2water2"
ADVICE = (
    f"Download and unpack {FOLDER}.tar.gz of group DRO (https://github.com/kohpangwei/group_DRO) in the data "
    f"directory, which makes {FOLDER}/metadata.csv."
)

SPLITS = ("train", "val", "test")
BIRDS, PLACES = ("landbird", "waterbird"), ("land", "water")

INFO = info_as_in_dfr(
    Groups(num_classes=2, num_attributes=2, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1))
)


class Waterbirds(Dataset):
    """Birds on land and water."""

    versions: ClassVar = {"waterbirds": 2} | pictures.VERSIONS
    suggested: ClassVar = FOR_IMAGENET

    def info(self) -> DatasetInfo:
        """Two classes, judged by cell."""
        return INFO

    def files(self) -> list[Path]:
        """The list of pictures.

        Raises:
            UserError: it is missing; the message says what to put where.
        """
        return [sources.find("waterbirds", [f"{FOLDER}/metadata.csv", "waterbirds/metadata.csv"], ADVICE)]

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits, a pure function of the options and the list.

        Raises:
            UserError: the list is of another format, has a value that means nothing or a picture twice, or lacks some.
        """
        (path,) = self.files()
        listed = read_csv(path, ["img_filename", "y", "split", "place"], "download the list again")
        names = listed.paths("img_filename", path.parent)
        labels, places = (listed.codes(column, {"0": 0, "1": 1}) for column in ("y", "place"))
        splits = listed.codes("split", {str(number): number for number in range(len(SPLITS))})
        listed.check_once(names, splits, SPLITS)
        listed.check_splits(splits, dict(enumerate(SPLITS)), labels, BIRDS)
        listed.check_present(path.parent, names)
        train, in_val, test = (splits == split for split in range(len(SPLITS)))
        groups = {
            f"{BIRDS[y]}s on {PLACES[place]}": np.flatnonzero(in_val & (labels == y) & (places == place))
            for y in (0, 1)
            for place in (0, 1)
        }
        rng = np.random.default_rng(derive_seed("waterbirds", self.options.seed))
        target, val = divide(groups, rng, source=f"the val split in {path}")
        rows_of: dict[SplitName, NDArray[np.int64]] = {
            "train": np.flatnonzero(train),
            "target": target,
            "val": val,
            "test": np.flatnonzero(test),
        }
        whole = partial(scaled, height=INFO.height, width=INFO.width)
        plans: dict[SplitName, SplitPlan] = {}
        for name, rows in rows_of.items():
            rows = rng.permutation(rows)
            plans[name] = SplitPlan(
                labels=labels[rows],
                attributes=places[rows],
                sources=rows[:, None],
                images=picture_reader(
                    [path.parent / names[row] for row in rows], [listed.place(row) for row in rows], whole
                ),
            )
        return plans
