"""What a method was told of the data and what its search cost: without it, a comparison mixes methods with information.

What training was told is in its trial's row of ``trials``; what a refit is told is the table :data:`REFITS`.
"""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from scale_tune.spec.config import DfrProtocol, Hyperparameters
from scale_tune.spec.parameters import Constant
from scale_tune.spec.space import DATASET, RunSpec
from scale_tune.tables.schemas import Row, rows_of

NONE, LABELS, BOTH = "none", "labels", "labels and attributes"
"""What a method may be told of target."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """Of which splits training or a refit is told labels and, of these, attributes."""

    labels_of: Collection[str]
    attributes_of: Collection[str] = ()

    def __or__(self, other: "Told") -> "Told":
        """What two stages are told together."""
        return Told(
            labels_of={*self.labels_of, *other.labels_of}, attributes_of={*self.attributes_of, *other.attributes_of}
        )


@dataclass(frozen=True, kw_only=True)
class Refit:
    """What a way to refit a last layer is told, and how many values of its own are chosen on val."""

    told: Told
    hyperparameters: int = 1


REFITS = {
    DfrProtocol.SCALE: Refit(told=Told(labels_of=["target"])),
    DfrProtocol.DFR: Refit(told=Told(labels_of=["target"], attributes_of=["target"])),
    DfrProtocol.CLASS: Refit(told=Told(labels_of=["target"])),
    DfrProtocol.TRAIN: Refit(told=Told(labels_of=["train"], attributes_of=["train"])),
}
"""A line for each protocol of :data:`scale_tune.dfr.protocols.RECIPES`."""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """The columns of ``comparison`` that say it; None where no trial could be selected."""

    train_attributes: bool | None = None
    target: str | None = None
    val_attributes: bool
    group_labelled: int | None = None
    own_hyperparameters: int
    epochs_spent: int | None = None


def of_trained(spec: RunSpec, method: str, selected: Row | None) -> Knowledge:
    """Of a method as it was trained.

    Args:
        spec: what its run searched.
        method: its name there.
        selected: its trial's row of ``trials``; None if none could be selected.
    """
    own = _own_hyperparameters(spec, method)
    if selected is None:
        return Knowledge(val_attributes=spec.objective.needs_attributes, own_hyperparameters=own)
    return _knowledge(spec, _told(selected), selected, own, _epochs(selected))


def of_refitted(spec: RunSpec, protocol: DfrProtocol, trained: Row) -> Knowledge:
    """Of a method whose last layer was refitted; its trial's row of ``trials`` is given."""
    refit = REFITS[protocol]
    own = _own_hyperparameters(spec, trained["method"]) + refit.hyperparameters
    return _knowledge(spec, _told(trained) | refit.told, trained, own, _epochs(trained))


def of_pretrained(spec: RunSpec, protocol: DfrProtocol, same_data: Row) -> Knowledge:
    """Of a network that was refitted as it came; the row of ``trials`` of any trial on the same data is given."""
    refit = REFITS[protocol]
    return _knowledge(spec, refit.told, same_data, refit.hyperparameters, 0)


def by_knowledge(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The methods of a comparison on one dataset, grouped by the splits whose groups had to be known.

    Returns:
        Of each group a heading and its rows, which keep their order. The fewest images come first, and last the methods
        of which no trial could be selected.
    """
    splits = pd.Series([_needed(row) for row in rows_of(rows)], index=rows.index, dtype=object)
    found = [(rows.loc[of_group.index], known) for known, of_group in splits.groupby(splits, sort=False)]
    found.sort(key=lambda group: (group[1] == _UNKNOWN, group[0]["group_labelled"].min()))
    return [(_heading(known, of_group["group_labelled"]), of_group) for of_group, known in found]


_UNKNOWN = "?"
"""What a method knows of which no trial could be selected."""


def _needed(row: Row) -> str:
    if pd.isna(row["target"]):
        return _UNKNOWN
    known = {"train": row["train_attributes"], "target": row["target"] != NONE, "val": row["val_attributes"]}
    *others, last = [split for split in known if known[split]] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _heading(known: str, images: pd.Series) -> str:
    if known == _UNKNOWN:
        return "no trial could be selected"
    if not known:
        return "no group labels"
    ends = dict.fromkeys(f"{n:,.0f}" for n in (images.min(), images.max()))
    return f"group labels of {known}{' alone' * (known == 'val')}: {' to '.join(ends)} images"


def _told(row: Row) -> Told:
    labels, attributes = (row[column].split(", ") for column in ("labels_of", "attributes_of"))
    return Told(labels_of=labels, attributes_of=attributes)


def _epochs(row: Row) -> int:
    return int(row["preparation"] + row["epochs"])


def _own_hyperparameters(spec: RunSpec, method: str) -> int:
    """How many of the method's own options the search varies."""
    varied = [name for name, parameter in spec.method_space(method).items() if not isinstance(parameter, Constant)]
    return sum(name not in Hyperparameters.model_fields and not name.startswith(DATASET) for name in varied)


def _knowledge(spec: RunSpec, told: Told, sizes: Row, own: int, epochs: int) -> Knowledge:
    needed = {
        "train": "train" in told.attributes_of,
        "target": "target" in told.labels_of,
        "val": spec.objective.needs_attributes,
    }
    return Knowledge(
        train_attributes=needed["train"],
        target=BOTH if "target" in told.attributes_of else LABELS if needed["target"] else NONE,
        val_attributes=needed["val"],
        group_labelled=sum(int(sizes[f"{split}_n"]) for split, known in needed.items() if known),
        own_hyperparameters=own,
        epochs_spent=epochs,
    )
