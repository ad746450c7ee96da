"""What a search would do, printed before anything is started."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from scale_tune.spec.config import Splits
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from scale_tune.spec.space import RunSpec
from scale_tune.steps import Screen

WHOSE_SPLITS = {Splits.SHARED: "one for all seeds", Splits.PER_SEED: "each seed draws its own"}


def print_plan(spec: RunSpec, preparation: Mapping[str, Sequence[int]]) -> None:
    """Print the methods, their spaces, and how much there is to train.

    Args:
        spec: what is to be searched.
        preparation: of each method, how many epochs its trials may prepare before those that count.
    """
    console = Screen()
    table = Table()
    for column in ("method", "trials", "seeds", "epochs", "parameter", "values"):
        number = column in ("trials", "seeds", "epochs")
        table.add_column(column, justify="right" if number else "left", no_wrap=column != "values")
    for method in spec.methods:
        cells = [method, str(spec.method_samples(method)), str(len(spec.seeds))]
        cells.append(_epochs(spec.method_epochs(method), preparation[method]))
        for name, parameter in spec.method_space(method).items():
            table.add_row(*cells, name, describe_parameter(parameter))
            cells = [""] * 4
        if not spec.method_space(method):
            table.add_row(*cells, "", "")
        table.add_section()
    console.print(table)
    most = {method: max(preparation[method]) + spec.method_epochs(method) for method in spec.methods}
    epochs = sum(spec.method_samples(method) * len(spec.seeds) * most[method] for method in spec.methods)
    dataset = spec.dataset.model_dump(mode="json", exclude_none=True)
    for line in (
        f"dataset    {' '.join(f'{name}={value}' for name, value in dataset.items())}",
        f"model      {spec.model.name}, weights {spec.model.weights}",
        f"splits     {spec.splits}: {WHOSE_SPLITS[spec.splits]}",
        f"objective  {spec.objective} accuracy on val",
        f"sampler    {spec.sampler}",
        f"scheduler  {spec.scheduler.name}{_scheduler_settings(spec)}",
        *(f"try first  {line}" for line in _points(spec)),
        f"each trial {_units(spec.resources.cpus_per_trial, 'CPU')}, {_units(spec.resources.gpus_per_trial, 'GPU')}",
        f"in all     {spec.total_samples} trials, at most {epochs} epochs of single replicas",
    ):
        console.print(line, soft_wrap=True)


def _epochs(epochs: int, preparation: Sequence[int]) -> str:
    """As ``5…10 + 50``, where an epoch or more prepare those that count."""
    ends = sorted({min(preparation), max(preparation)})
    return "…".join(map(str, ends)) + f" + {epochs}" if max(preparation) else str(epochs)


def _scheduler_settings(spec: RunSpec) -> str:
    """The settings that the scheduler heeds."""
    scheduler = spec.scheduler
    go_on = f"best 1/{scheduler.reduction_factor} go on"
    if (first := scheduler.first_seeds) is not None:
        go_on += f"; {first} seed{'s' * (first != 1)} up to the last rung, then all"
    match scheduler.name:
        case "asha":
            return f" (from epoch {scheduler.grace_period}, {go_on})"
        case "hyperband":
            brackets = {m: ", ".join(map(str, scheduler.brackets(spec.method_epochs(m)))) for m in spec.methods}
            by_method = "; ".join(f"{method}: {rungs}" for method, rungs in brackets.items())
            return f" (brackets from epoch {by_method}; {go_on})"
        case "median":
            return f" (from epoch {scheduler.grace_period}, above the median of the complete trials go on)"
        case "none":
            return ""


def _units(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'s' * (number != 1)}"


def _points(spec: RunSpec) -> list[str]:
    """As ``erm, scale: lr=0.001 batch_size=16``; methods with the same points share a line."""
    methods: dict[str, list[str]] = {}
    for method in spec.methods:
        for point in spec.method_points(method):
            methods.setdefault(" ".join(f"{n}={v}" for n, v in point.items()), []).append(method)
    return [f"{', '.join(names)}: {point}" for point, names in methods.items()]


def describe_parameter(parameter: FloatRange | IntRange | Choice | Constant) -> str:
    """As ``1e-05 … 0.1, log``."""
    match parameter:
        case FloatRange() | IntRange():
            return f"{parameter.low:g} … {parameter.high:g}{', log' if parameter.log else ''}"
        case Choice():
            return ", ".join(map(str, parameter.values))
        case Constant():
            return f"{parameter.value} (fixed)"
