"""Preparing the data of a search ahead of it: download, build the cache, show the groups."""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from rich.table import Table

from scale_tune.datasets.contract import Dataset
from scale_tune.datasets.planning import plan_of
from scale_tune.datasets.preparation import load_splits
from scale_tune.datasets.registry import dataset_of
from scale_tune.datasets.splits import SPLIT_NAMES, DatasetSplits, Split, SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.spec.config import WITH_TARGET, DatasetConfig, Splits, TrialConfig
from scale_tune.spec.frozen import Scalar
from scale_tune.spec.parameters import Choice, Constant, Parameter
from scale_tune.spec.space import DATASET, RunSpec
from scale_tune.steps import Steps


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


def data_corners(spec: RunSpec) -> list[TrialConfig]:
    """A trial of each method at the ends of what is searched of its data: if these can be trained, others can."""
    found: list[TrialConfig] = []
    for method in spec.methods:
        space = spec.method_space(method)
        of_data = {n: p for n, p in space.items() if n.startswith(DATASET) or n == WITH_TARGET}
        any_other = {n: p.extremes()[0] for n, p in space.items() if n not in of_data}
        for point in product(*(_ends(parameter) for parameter in of_data.values())):
            found.append(spec.trial_config(method, any_other | dict(zip(of_data, point, strict=True))))
    return found


def planned(corners: Iterable[TrialConfig]) -> Iterator[tuple[TrialConfig, Dataset, dict[SplitName, SplitPlan]]]:
    """Each trial with its dataset and the plan of it, which is made once for each dataset.

    Raises:
        UserError: a dataset can't be made.
    """
    plans: dict[str, tuple[Dataset, dict[SplitName, SplitPlan]]] = {}
    for config in corners:
        key = config.dataset.model_dump_json()
        if key not in plans:
            dataset = dataset_of(config.dataset)
            plans[key] = dataset, plan_of(dataset)
        yield config, *plans[key]


def _ends(parameter: Parameter) -> list[Scalar]:
    """Of numbers the lowest and the highest; every value of what has no order."""
    values = list(parameter.extremes())
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return sorted({min(numbers), max(numbers)}) if len(numbers) == len(values) else values


def prepare(spec: RunSpec, steps: Steps) -> None:
    """Download what may be downloaded, build every variant's cache, and print its groups.

    Raises:
        UserError: source files are missing or broken; the message says what to put where.
    """
    for config in dataset_variants(spec):
        _download(dataset_of(config), config.name, steps)
        splits = load_with_progress(config, steps)
        steps(f"{splits.name} {splits.options}, fingerprint {splits.fingerprint}")
        steps.console.print(groups_table(splits))


def _download(dataset: Dataset, name: str, steps: Steps) -> None:
    try:
        dataset.files()
    except UserError as missing:
        steps.doing(f"downloading {name}")
        try:
            dataset.download()
        except UserError as error:
            raise UserError(str(missing) if str(error) == str(missing) else f"{error}\n{missing}") from None


def load_with_progress(config: DatasetConfig, steps: Steps) -> DatasetSplits:
    """Load a dataset; while it is being built, show how far that is."""
    text = f"preparing {config.name}"
    steps.doing(text)
    return load_splits(config, lambda done, total: steps.doing(text, done, total))


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
