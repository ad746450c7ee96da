"""``celeba``: faces of celebrities, of which gender and hair colour are correlated.

Source: CelebA (Liu et al., 2015), aligned and cropped, 202,599 pictures of 178 x 218, for non-commercial research.

Two tasks:

- ``gender``, as in SCALE: the label is gender (1 male), the attribute hair (1 not blond). Aligned, the majority, are
  men who are not blond and blond women. train holds 10,000 of each majority group and (1 - s) / s of that of each
  minority group, target target_size / 4 of each group, both from the official train split; val and test are the
  official ones, balanced to their smallest group. Networks see the whole picture, resized to 224 x 224; there is no
  augmentation.
- ``blond``, as in DFR and group DRO: the label is hair (1 blond), the attribute gender (1 male), with natural counts.
  Aligned are men who are not blond and blond women. target and val are the halves of the official validation split.
  Pictures are presented as in DFR (:func:`scale_tune.datasets.pictures.info_as_in_dfr`); group DRO cuts out the central
  178 x 178 instead.

Three layouts on disk are understood, in ``celeba`` below the data directory: Kaggle's (``list_attr_celeba.csv``,
``list_eval_partition.csv``), torchvision's (the same as ``.txt``), and ``metadata_celeba.csv`` with the columns
``id, filename, split, y, a`` (y blond, a male). Pictures are in ``img_align_celeba``, one or two levels deep.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from scale_tune.datasets import pictures, sources
from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.delimited import read_csv, read_words
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.lists import PictureList
from scale_tune.datasets.pictures import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    SIDE,
    info_as_in_dfr,
    picture_reader,
    scaled,
)
from scale_tune.datasets.splits import DatasetInfo, SplitName, SplitPlan
from scale_tune.datasets.stratified import divide
from scale_tune.datasets.suggested import FOR_IMAGENET
from scale_tune.errors import UserError
from scale_tune.seeding import derive_seed
from scale_tune.spec.frozen import LocatedError

MAJORITY_TRAIN = 10_000
PROPORTIONS = 178 / 218
"""Width / height of every picture."""
TRAIN, VAL, TEST = 0, 1, 2
SPLITS = ("train", "val", "test")
"""The official splits, by their numbers."""
BINARY, SIGNS, OFFICIAL = {"0": 0, "1": 1}, {"-1": 0, "1": 1}, {"0": TRAIN, "1": VAL, "2": TEST}
"""What the values in the lists mean."""

REMEDY = "download the list again"

ADVICE = (
    "Download CelebA, aligned and cropped (https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, or a copy of it), into "
    "celeba below the data directory: the pictures as img_align_celeba/000001.jpg …, and list_attr_celeba and "
    "list_eval_partition, both .csv or both .txt, or metadata_celeba.csv."
)


class CelebaOptions(DatasetOptions):
    """Options of ``celeba``."""

    task: Literal["gender", "blond"] = "gender"
    """``gender`` as in SCALE: predict gender, hair is spurious. ``blond`` as in DFR: predict hair, natural counts."""
    spurious_strength: float = Field(default=1.0, gt=0, le=1)
    """Of ``gender``: per minority group, train holds (1 - s) / s of the images of a majority group."""
    target_size: int = Field(default=1000, ge=4, multiple_of=4)
    """Of ``gender``: images of target, a quarter from each group."""

    @model_validator(mode="after")
    def _blond_has_natural_counts(self) -> Self:
        for option in ("spurious_strength", "target_size"):
            if self.task == "blond" and getattr(self, option) != type(self).model_fields[option].default:
                raise LocatedError((option,), "the task blond keeps the natural counts; leave this out")
        return self


class Celeba(Dataset):
    """Faces of celebrities."""

    Options = CelebaOptions
    versions: ClassVar = {"celeba": 2} | pictures.VERSIONS
    suggested: ClassVar = FOR_IMAGENET | {"dataset": {"task": "blond"}}  # the field's: defined for every method
    options: CelebaOptions

    def info(self) -> DatasetInfo:
        """How the task's pictures are presented and judged."""
        gender = self.options.task == "gender"
        groups = Groups(
            num_classes=2,
            num_attributes=2,
            evaluation_groups=EvaluationGroups.CELLS,
            aligned_attributes=(0, 1) if gender else (1, 0),
        )
        if gender:
            return DatasetInfo(groups=groups, height=SIDE, width=SIDE, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        return info_as_in_dfr(groups, proportions=PROPORTIONS)

    def files(self) -> list[Path]:
        """The lists of pictures, of whichever layout is there.

        Raises:
            UserError: none is; the message says what to put where.
        """
        folder = sources.find("celeba", ["celeba", "celebA", "CelebA"], ADVICE)
        for names in (
            ["list_attr_celeba.csv", "list_eval_partition.csv"],
            ["list_attr_celeba.txt", "list_eval_partition.txt"],
            ["metadata_celeba.csv"],
        ):
            paths = [folder / name for name in names]
            if all(path.exists() for path in paths):
                return paths
        raise UserError(f"the lists of CelebA's pictures are not in {folder}.\n{ADVICE}")

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits, a pure function of the options and the lists; the same for every layout."""
        lists = self.files()
        faces = read_lists(lists)
        rng = np.random.default_rng(derive_seed("celeba", self.options.task, self.options.seed))
        chosen = _gender(faces, self.options, rng) if self.options.task == "gender" else _blond(faces, rng)
        folder = _picture_folder(lists[0].parent, faces.filenames[0])
        faces.listed.check_present(folder, faces.filenames, np.concatenate(list(chosen.values())))
        info = self.info()
        frame = partial(scaled, height=info.height, width=info.width)
        plans: dict[SplitName, SplitPlan] = {}
        for name, rows in chosen.items():
            rows = rng.permutation(rows)
            male, blond = faces.male[rows], faces.blond[rows]
            labels, attributes = (male, 1 - blond) if self.options.task == "gender" else (blond, male)
            paths = [folder / faces.filenames[row] for row in rows]
            plans[name] = SplitPlan(
                labels=labels,
                attributes=attributes,
                sources=rows[:, None],
                images=picture_reader(paths, [faces.listed.place(row) for row in rows], frame),
            )
        return plans


@dataclass(frozen=True, kw_only=True, eq=False)
class Faces:
    """All pictures of the lists, in the order of their names.

    Attributes:
        listed: their rows in the list that has the splits.
        filenames: of the pictures.
        splits, blond, male: numbers of the official splits, 0 or 1, 0 or 1; (n,).
    """

    listed: PictureList
    filenames: list[str]
    splits: NDArray[np.int64]
    blond: NDArray[np.int64]
    male: NDArray[np.int64]

    def groups(self, split: int) -> dict[str, NDArray[np.int64]]:
        """Rows of each group in an official split, by what it is called."""
        names = {
            f"{'blond' if blond else 'not blond'} {'men' if male else 'women'}": (male, blond)
            for male in (0, 1)
            for blond in (0, 1)
        }
        return {
            name: np.flatnonzero((self.splits == split) & (self.male == male) & (self.blond == blond))
            for name, (male, blond) in names.items()
        }


def read_lists(lists: list[Path]) -> Faces:
    """All pictures that are listed.

    Raises:
        UserError: a list is of another format, has a value that means nothing or a picture twice, or lacks one.
    """
    if lists[0].name == "metadata_celeba.csv":
        listed = read_csv(lists[0], ["filename", "split", "y", "a"], REMEDY)
        return _faces(listed, "filename", "split", listed.codes("y", BINARY), listed.codes("a", BINARY))
    columns = ["image_id", "Blond_Hair", "Male"]
    if lists[0].suffix == ".csv":
        attributes = read_csv(lists[0], columns, REMEDY)
        listed = read_csv(lists[1], ["image_id", "partition"], REMEDY)
    else:
        attributes = read_words(lists[0], columns, REMEDY)
        names = ["image_id", "partition"]
        listed = read_words(lists[1], names, REMEDY, names)
    rows = attributes.rows_of(listed, "image_id")
    blond, male = (attributes.codes(column, SIGNS)[rows] for column in ("Blond_Hair", "Male"))
    return _faces(listed, "image_id", "partition", blond, male)


def _faces(listed: PictureList, filename: str, split: str, blond: NDArray[np.int64], male: NDArray[np.int64]) -> Faces:
    filenames = listed.paths(filename, listed.path.parent)
    splits = listed.codes(split, OFFICIAL)
    listed.check_once(filenames, splits, SPLITS)
    order = np.argsort(np.array(filenames, dtype=object))
    return Faces(
        listed=listed.take(order),
        filenames=[filenames[row] for row in order],
        splits=splits[order],
        blond=blond[order],
        male=male[order],
    )


def _picture_folder(folder: Path, filename: str) -> Path:
    nested = folder / "img_align_celeba" / "img_align_celeba"
    for candidate in (folder / "img_align_celeba", nested):
        if (candidate / filename).exists():
            return candidate
    raise UserError(f"the picture {filename} is not in {folder}/img_align_celeba, one or two levels deep.\n{ADVICE}")


def _gender(faces: Faces, options: CelebaOptions, rng: np.random.Generator) -> dict[SplitName, NDArray[np.int64]]:
    s = options.spurious_strength
    minority_train = round(MAJORITY_TRAIN * (1 - s) / s)
    parts: dict[SplitName, list[NDArray[np.int64]]] = {"train": [], "target": [], "val": [], "test": []}
    held_out: dict[SplitName, dict[str, NDArray[np.int64]]] = {"val": faces.groups(VAL), "test": faces.groups(TEST)}
    for who, rows in faces.groups(TRAIN).items():
        rows = rng.permutation(rows)
        aligned = who in ("blond women", "not blond men")
        in_train, in_target = MAJORITY_TRAIN if aligned else minority_train, options.target_size // 4
        if len(rows) < in_train + in_target:
            raise UserError(
                f"celeba has {len(rows):,} pictures of {who} in its train split, but a spurious_strength of {s:g} "
                f"and a target_size of {options.target_size:,} need {in_train:,} in train and {in_target:,} in target; "
                "raise the strength or lower the size"
            )
        parts["target"].append(rows[:in_target])
        parts["train"].append(rows[in_target : in_target + in_train])
        for name, groups in held_out.items():
            if not (smallest := min(map(len, groups.values()))):
                raise UserError(f"{faces.listed.path}: no picture of {who} is in the {name} split; {REMEDY}")
            parts[name].append(rng.permutation(groups[who])[:smallest])
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _blond(faces: Faces, rng: np.random.Generator) -> dict[SplitName, NDArray[np.int64]]:
    faces.listed.check_splits(faces.splits, dict(enumerate(SPLITS)), faces.blond, ("not blond", "blond"))
    target, val = divide(faces.groups(VAL), rng, source=f"the val split in {faces.listed.path}")
    train, test = (np.flatnonzero(faces.splits == split) for split in (TRAIN, TEST))
    return {"train": train, "target": target, "val": val, "test": test}
