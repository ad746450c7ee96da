"""Preparing the data of a search ahead of it: download, build the cache, show the groups."""

from itertools import product

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from scale_tune.datasets.contract import Dataset
from scale_tune.datasets.preparation import load_splits
from scale_tune.datasets.registry import dataset_of
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetSplits, Split
from scale_tune.errors import UserError
from scale_tune.spec.config import DatasetConfig, Splits
from scale_tune.spec.frozen import Scalar
from scale_tune.spec.parameters import Choice, Constant, Parameter
from scale_tune.spec.space import DATASET, RunSpec


def dataset_variants(spec: RunSpec) -> list[DatasetConfig]:
    """Every dataset that trials of the spec may be trained on, without ranges, which have no end of them."""
    values: dict[str, set[object]] = {}
    for method in spec.methods:
        for name, parameter in spec.method_space(method).items():
            if name.startswith(DATASET) and isinstance(parameter, Choice | Constant):
                values.setdefault(name.removeprefix(DATASET), set()).update(parameter.extremes())
    fixed = spec.dataset.model_dump()
    drawn = [dict(zip(values, point, strict=True)) for point in product(*(sorted(v, key=str) for v in values.values()))]
    found = [DatasetConfig(**(fixed | point)) for point in drawn]
    return [each.redrawn(seed) for each in found for seed in spec.seeds] if spec.splits is Splits.PER_SEED else found


def dataset_corners(spec: RunSpec) -> list[DatasetConfig]:
    """The datasets at the ends of what is searched: if each of these can be made, so can those between."""
    found: list[DatasetConfig] = []
    for method in spec.methods:
        searched = {n.removeprefix(DATASET): p for n, p in spec.method_space(method).items() if n.startswith(DATASET)}
        for point in product(*(_ends(parameter) for parameter in searched.values())):
            config = DatasetConfig(**(spec.dataset.model_dump() | dict(zip(searched, point, strict=True))))
            if config not in found:
                found.append(config)
    return found


def _ends(parameter: Parameter) -> list[Scalar]:
    """Of numbers the lowest and the highest; every value of what has no order."""
    values = list(parameter.extremes())
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return sorted({min(numbers), max(numbers)}) if len(numbers) == len(values) else values


def prepare(spec: RunSpec, console: Console) -> None:
    """Download what may be downloaded, build every variant's cache, and print its groups.

    Raises:
        UserError: source files are missing or broken; the message says what to put where.
    """
    for config in dataset_variants(spec):
        _download(dataset_of(config), config.name, console)
        splits = load_with_progress(config, console)
        console.print(f"{splits.name} {splits.options}, fingerprint {splits.fingerprint}", soft_wrap=True)
        console.print(groups_table(splits))


def _download(dataset: Dataset, name: str, console: Console) -> None:
    try:
        dataset.files()
    except UserError as missing:
        console.print(f"downloading {name} …")
        try:
            dataset.download()
        except UserError as error:
            raise UserError(str(missing) if str(error) == str(missing) else f"{error}\n{missing}") from None


def load_with_progress(config: DatasetConfig, console: Console) -> DatasetSplits:
    """Load a dataset; while it is being built, show how far that is."""
    columns = (TextColumn("preparing {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(config.name, total=None, visible=False)
        return load_splits(config, lambda done, total: progress.update(task, completed=done, total=total, visible=True))


def groups_table(splits: DatasetSplits) -> Table:
    """Samples of each group in each split; of datasets with many groups, of the aligned and conflicting ones."""
    groups = splits.info.groups
    table = Table()
    for column in ("split", "samples", "aligned", "conflicting"):
        table.add_column(column, justify="left" if column == "split" else "right")
    cells = [(y, p) for y in range(groups.num_classes) for p in range(groups.num_attributes)]
    few = len(cells) <= 8
    for y, p in cells if few else ():
        table.add_column(f"y={y} p={p}", justify="right")
    for name in SPLIT_NAMES:
        split: Split = getattr(splits, name)
        counts = np.zeros(groups.shape, np.int64)
        np.add.at(counts, (split.labels, split.attributes), 1)
        numbers = [len(split), counts[groups.aligned].sum(), counts[~groups.aligned].sum()]
        numbers += [counts[cell] for cell in cells] if few else []
        table.add_row(name, *(f"{number:,}" for number in numbers))
    return table
