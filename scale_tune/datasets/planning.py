"""What a dataset says of itself, checked: a mistake in a file of a user's own is an error that names it."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scale_tune.datasets.contract import Dataset
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetInfo, SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.spec import usercode

Told = TypeVar("Told")


def info_of(dataset: Dataset) -> DatasetInfo:
    """How its images are presented and its groups judged.

    Raises:
        UserError: as :meth:`Dataset.info`; or it is a user's, and breaks off.
    """
    return _ask(dataset, "info", dataset.info)


def plan_of(dataset: Dataset) -> dict[SplitName, SplitPlan]:
    """All four splits, whose images are checked when they are made.

    Raises:
        UserError: as :meth:`Dataset.plan`; or the splits are not what its info says, or share a sample; or it is a
            user's, and breaks off.
    """
    info, plans = info_of(dataset), _ask(dataset, "plan", dataset.plan)
    who = f"{type(dataset).__name__}.plan()"
    if not isinstance(plans, Mapping) or set(plans) != set(SPLIT_NAMES):
        given = ", ".join(map(str, plans)) if isinstance(plans, Mapping) else f"{plans!r:.100}"
        raise UserError(f"{who} must give the splits {', '.join(SPLIT_NAMES)}; it gives {given or 'none'}")
    for split in SPLIT_NAMES:
        _check(f"{who}[{split!r}]", plans[split], info)
    for one, other in combinations(SPLIT_NAMES, 2):
        if shared := _rows(plans[one].sources) & _rows(plans[other].sources):
            raise UserError(
                f"{who}: {one} and {other} have {len(shared)} equal sources; a sample is of one split alone"
            )
    return {split: _with_checked_images(dataset, f"{who}[{split!r}]", plans[split], info) for split in SPLIT_NAMES}


def _ask(dataset: Dataset, what: str, question: Callable[[], Told]) -> Told:
    try:
        return question()
    except UserError:
        raise
    except Exception as error:
        if not usercode.is_users(type(dataset)):
            raise
        trace = traceback.format_exc(limit=-3)
        raise UserError(f"{type(dataset).__name__}.{what}() raised {error!r}; mend your file\n{trace}") from None


def _check(where: str, plan: SplitPlan, info: DatasetInfo) -> None:
    if not isinstance(plan, SplitPlan):
        raise UserError(f"{where} must be a scale_tune.SplitPlan, got {plan!r:.100}")
    n = len(plan.labels)
    if n == 0:
        raise UserError(f"{where} has no sample; each split needs some")
    for name, values in (("labels", info.groups.num_classes), ("attributes", info.groups.num_attributes)):
        array: NDArray[np.int64] = getattr(plan, name)
        _check_array(f"{where}.{name}", array, (n,))
        if array.min() < 0 or array.max() >= values:
            found = f"{where}.{name} go from {array.min()} to {array.max()}"
            raise UserError(f"{found}, but info() tells of {values}: number them from 0")
    originals = plan.sources.shape[1] if np.ndim(plan.sources) == 2 else 1
    _check_array(f"{where}.sources", plan.sources, (n, originals))


def _check_array(where: str, array: object, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.int64 or array.shape != shape:
        raise UserError(f"{where} must be int64 of shape {shape}, got {_described(array)}")


def _with_checked_images(dataset: Dataset, where: str, plan: SplitPlan, info: DatasetInfo) -> SplitPlan:
    def images(start: int, stop: int) -> NDArray[np.uint8]:
        made = _ask(dataset, "plan", lambda: plan.images(start, stop))
        shape = (stop - start, 3, info.height, info.width)
        if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.shape != shape:
            raise UserError(f"{where}.images({start}, {stop}) must be uint8 of shape {shape}, got {_described(made)}")
        return made

    return replace(plan, images=images)


def _rows(sources: NDArray[np.int64]) -> set[bytes]:
    return {row.tobytes() for row in sources}


def _described(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"{value!r:.100}"
