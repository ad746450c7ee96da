"""What a search would do, printed before anything is started."""

from rich.console import Console
from rich.table import Table

from scale_tune.space import Choice, Constant, FloatRange, IntRange, RunSpec


def print_plan(spec: RunSpec) -> None:
    """Print the methods, their spaces, and how much there is to train."""
    console = Console(markup=False, highlight=False)
    table = Table()
    for column in ("method", "trials", "seeds", "epochs", "parameter", "values"):
        table.add_column(column, justify="right" if column in ("trials", "seeds", "epochs") else "left")
    for method in spec.methods:
        cells = [method.value, str(spec.method_samples(method)), str(len(spec.seeds)), str(spec.method_epochs(method))]
        for name, parameter in spec.method_space(method).items():
            table.add_row(*cells, name, describe_parameter(parameter))
            cells = [""] * 4
        if not spec.method_space(method):
            table.add_row(*cells, "", "")
        table.add_section()
    console.print(table)
    epochs = sum(spec.method_samples(method) * len(spec.seeds) * spec.method_epochs(method) for method in spec.methods)
    scheduler = spec.scheduler
    rungs = f" (from epoch {scheduler.grace_period}, best 1/{scheduler.reduction_factor} go on)"
    for line in (
        f"dataset    {' '.join(f'{k}={v}' for k, v in spec.dataset.model_dump(mode='json').items())}",
        f"model      {spec.model.name}, weights {spec.model.weights}",
        f"objective  {spec.objective} accuracy on val",
        f"sampler    {spec.sampler}",
        f"scheduler  {scheduler.name}{rungs if scheduler.name == 'asha' else ''}",
        f"each trial {spec.resources.cpus_per_trial:g} CPUs, {spec.resources.gpus_per_trial:g} GPUs",
        f"in all     {spec.total_samples} trials, at most {epochs} epochs of single replicas",
    ):
        console.print(line, soft_wrap=True)


def describe_parameter(parameter: FloatRange | IntRange | Choice | Constant) -> str:
    """As ``1e-05 … 0.1, log``."""
    match parameter:
        case FloatRange() | IntRange():
            return f"{parameter.low:g} … {parameter.high:g}{', log' if parameter.log else ''}"
        case Choice():
            return ", ".join(map(str, parameter.values))
        case Constant():
            return f"{parameter.value} (fixed)"
