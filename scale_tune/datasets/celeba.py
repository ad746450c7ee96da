"""``celeba``: faces of celebrities, of which gender and hair colour are correlated.

Source: CelebA (Liu et al., 2015), aligned and cropped, 202,599 pictures of 178 x 218, for non-commercial research.
Pictures are cut to the central 178 x 178 and scaled to 224 x 224, as in group DRO.

Two tasks:

- ``gender``, as in SCALE: the label is gender (1 male), the attribute hair (1 not blond). Aligned, the majority, are
  men who are not blond and blond women. train holds 10,000 of each majority group and (1 - s) / s of that of each
  minority group, target target_size / 4 of each group, both from the official train split; val and test are the
  official ones, balanced to their smallest group.
- ``blond``, as in DFR and group DRO: the label is hair (1 blond), the attribute gender (1 male), with natural counts.
  Aligned are men who are not blond and blond women. target and val are the halves of the official validation split.

Three layouts on disk are understood, in ``celeba`` below the data directory: Kaggle's (``list_attr_celeba.csv``,
``list_eval_partition.csv``), torchvision's (the same as ``.txt``), and ``metadata_celeba.csv`` with the columns
``id, filename, split, y, a`` (y blond, a male). Pictures are in ``img_align_celeba``, one or two levels deep.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from scale_tune.datasets import pictures, sources
from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.pictures import SIDE, picture_reader
from scale_tune.datasets.splits import DatasetInfo, SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.seeding import derive_seed
from scale_tune.spec.frozen import LocatedError

MAJORITY_TRAIN = 10_000
FACE_CROP = 178
TRAIN, VAL, TEST = 0, 1, 2
"""The official splits' numbers."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

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
    versions: ClassVar = {"celeba": 1} | pictures.VERSIONS
    options: CelebaOptions

    def info(self) -> DatasetInfo:
        """By task."""
        return info(self.options)

    def files(self) -> list[Path]:
        """The lists of pictures."""
        return files()

    def plan(self) -> dict[SplitName, SplitPlan]:
        """All four splits; the same for every layout on disk."""
        return plan(self.options)


def info(options: CelebaOptions) -> DatasetInfo:
    """How the task's pictures are presented and judged."""
    return DatasetInfo(
        groups=Groups(
            num_classes=2,
            num_attributes=2,
            evaluation_groups=EvaluationGroups.CELLS,
            aligned_attributes=(0, 1) if options.task == "gender" else (1, 0),
        ),
        height=SIDE,
        width=SIDE,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_padding=16,
        flip=True,
    )


def files() -> list[Path]:
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


def plan(options: CelebaOptions) -> dict[SplitName, SplitPlan]:
    """All four splits, a pure function of the options and the lists; the same for every layout."""
    lists = files()
    table = read_lists(lists)
    rng = np.random.default_rng(derive_seed("celeba", options.task, options.seed))
    chosen = _gender(table, options, rng) if options.task == "gender" else _blond(table, rng)
    folder = _picture_folder(lists[0].parent, str(table["filename"].iloc[0]))
    return {name: _plan(table, rng.permutation(rows), options, folder) for name, rows in chosen.items()}


def read_lists(lists: list[Path]) -> pd.DataFrame:
    """Columns ``filename, split, blond, male`` (0 or 1), a row per picture, in the order of the file names.

    Raises:
        UserError: a list is of another format; it is named.
    """
    try:
        if lists[0].name == "metadata_celeba.csv":
            table = pd.read_csv(lists[0])
            table = table.rename(columns={"y": "blond", "a": "male"})
        elif lists[0].suffix == ".csv":
            attributes, partition = (pd.read_csv(path) for path in lists)
            table = attributes.merge(partition, on="image_id", validate="one_to_one")
            table = table.rename(columns={"image_id": "filename", "partition": "split"})
            table = table.rename(columns={"Blond_Hair": "blond", "Male": "male"})
        else:
            attributes = pd.read_csv(lists[0], sep=r"\s+", skiprows=1)
            partition = pd.read_csv(lists[1], sep=r"\s+", header=None, names=["filename", "split"], index_col=0)
            table = attributes.join(partition, how="left", validate="one_to_one").rename_axis("filename").reset_index()
            table = table.rename(columns={"Blond_Hair": "blond", "Male": "male"})
        table = table[["filename", "split", "blond", "male"]].sort_values("filename", ignore_index=True)
        # The lists have -1 and 1, the metadata 0 and 1.
        table[["blond", "male"]] = (table[["blond", "male"]] > 0).astype(np.int64)
        if not table["split"].isin([TRAIN, VAL, TEST]).all():
            raise ValueError("the split of a picture is none of 0, 1, 2")
    except (OSError, ValueError, KeyError, pd.errors.ParserError, pd.errors.MergeError) as error:
        raise UserError(f"{' or '.join(map(str, lists))} is not as CelebA has it: {error}; download it again") from None
    return table


def _picture_folder(folder: Path, filename: str) -> Path:
    for candidate in (folder / "img_align_celeba", folder / "img_align_celeba" / "img_align_celeba"):
        if (candidate / filename).exists():
            return candidate
    raise UserError(f"the picture {filename} is not in {folder}/img_align_celeba, one or two levels deep.\n{ADVICE}")


def _rows(table: pd.DataFrame, split: int, male: int, blond: int) -> NDArray[np.int64]:
    rows = (table["split"] == split) & (table["male"] == male) & (table["blond"] == blond)
    return np.flatnonzero(rows)


def _gender(
    table: pd.DataFrame, options: CelebaOptions, rng: np.random.Generator
) -> dict[SplitName, NDArray[np.int64]]:
    s = options.spurious_strength
    minority_train = round(MAJORITY_TRAIN * (1 - s) / s)
    parts: dict[SplitName, list[NDArray[np.int64]]] = {"train": [], "target": [], "val": [], "test": []}
    groups = [(male, blond) for male in (0, 1) for blond in (0, 1)]
    smallest = {split: min(len(_rows(table, split, *group)) for group in groups) for split in (VAL, TEST)}
    for male, blond in groups:
        rows = rng.permutation(_rows(table, TRAIN, male, blond))
        aligned = male != blond
        in_train, in_target = MAJORITY_TRAIN if aligned else minority_train, options.target_size // 4
        if len(rows) < in_train + in_target:
            who = f"{'blond' if blond else 'not blond'} {'men' if male else 'women'}"
            raise UserError(
                f"celeba has {len(rows):,} pictures of {who} in its train split, but a spurious_strength of {s:g} "
                f"and a target_size of {options.target_size:,} need {in_train:,} in train and {in_target:,} in target; "
                "raise the strength or lower the size"
            )
        parts["target"].append(rows[:in_target])
        parts["train"].append(rows[in_target : in_target + in_train])
        for name, split in (("val", VAL), ("test", TEST)):
            parts[name].append(rng.permutation(_rows(table, split, male, blond))[: smallest[split]])  # type: ignore[index]
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _blond(table: pd.DataFrame, rng: np.random.Generator) -> dict[SplitName, NDArray[np.int64]]:
    groups = [_rows(table, VAL, male, blond) for male in (0, 1) for blond in (0, 1)]
    target, val = halves(groups, rng)
    train, test = (np.flatnonzero(table["split"] == split) for split in (TRAIN, TEST))
    return {"train": train, "target": target, "val": val, "test": test}


def halves(groups: list[NDArray[np.int64]], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two disjoint halves of each group; of an odd number the extra one goes to either in turn."""
    first, second = [], []
    odd = 0
    for rows in groups:
        rows = rng.permutation(rows)
        middle = (len(rows) + odd) // 2
        odd = (odd + len(rows)) % 2
        first.append(rows[:middle])
        second.append(rows[middle:])
    return np.concatenate(first), np.concatenate(second)


def _plan(table: pd.DataFrame, rows: NDArray[np.int64], options: CelebaOptions, folder: Path) -> SplitPlan:
    male, blond = (table[name].to_numpy()[rows] for name in ("male", "blond"))
    labels, attributes = (male, 1 - blond) if options.task == "gender" else (blond, male)
    paths = [folder / filename for filename in table["filename"].to_numpy()[rows]]
    return SplitPlan(
        labels=labels,
        attributes=attributes,
        sources=rows[:, None],
        images=picture_reader(paths, FACE_CROP),
    )
