"""The two commands: parse, call the package, exit code.

Exit codes: 0 done; 2 bad input, with one clear message; 3 stopped, and can be resumed. Everything heavy is
imported when it is needed, so that ``--help`` answers at once.
"""

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scale_tune.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from scale_tune.space import RunSpec

STOPPED = 3

_settings: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
tune_app = typer.Typer(**_settings)
analyze_app = typer.Typer(**_settings)

OVERRIDES = {
    "num_samples": "num_samples",
    "max_concurrent": "resources.max_concurrent",
    "cpus_per_trial": "resources.cpus_per_trial",
    "gpus_per_trial": "resources.gpus_per_trial",
}
"""Which key of a search space each option sets."""


@tune_app.command()
def tune(
    space: Annotated[Path | None, typer.Argument(help="Search space, a YAML file. See search_spaces/.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this directory.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. [default: the file's name and the time]")] = None,
    storage: Annotated[Path | None, typer.Option(help="Directory that holds the run's. [default: runs]")] = None,
    methods: Annotated[str | None, typer.Option(help="Methods to compare, as erm,scale.")] = None,
    num_samples: Annotated[int | None, typer.Option(help="Trials of each method; with --resume, more of them.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each trial.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds of each trial, as 0,1,2.")] = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Trials at once. [default: as many as fit]")] = None,
    cpus_per_trial: Annotated[float | None, typer.Option(help="CPU cores of each trial.")] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(help="GPUs of each trial, as 1 or 0.25.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster, as auto. [default: start Ray here]")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key, as scheduler.name=none.")
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Download and prepare the data, print its groups.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the search space, print the plan, start nothing.")
    ] = False,
) -> None:
    """Search hyperparameters of training that is robust to spurious features, on a Ray cluster.

    A run keeps everything in its directory and can be resumed after any interruption, and extended:

      python tune.py search_spaces/digits.yaml --name demo

      python tune.py --resume runs/demo --num-samples 20
    """
    try:
        options = {key: value for key, value in locals().items() if key in OVERRIDES and value is not None}
        overrides: dict[str, Any] = {OVERRIDES[key]: value for key, value in options.items()}
        if resume is not None:
            fixed = {"SPACE": space, "--name": name, "--storage": storage, "--methods": methods}
            _refuse_with_resume({**fixed, "--epochs": epochs, "--seeds": seeds, "--set": settings})
            done = _resume(resume, overrides, address, dry_run)
        elif space is None:
            raise UserError("give a search space, as search_spaces/digits.yaml, or --resume RUN_DIR; see --help")
        else:
            from scale_tune.space import load_spec

            overrides |= _settings_by_key(settings or [])
            if seeds is not None:
                overrides["seeds"] = _parse_value(f"[{seeds}]", "--seeds")
            chosen = None if methods is None else [method.strip() for method in methods.split(",")]
            spec = load_spec(space, overrides, chosen, epochs)
            if prepare:
                done = _prepare(spec)
            else:
                name = _default_name(space) if name is None else name
                done = _launch(spec, storage or Path("runs"), name, address, dry_run)
    except UserError as error:
        _exit_with(error)
    raise typer.Exit(0 if done else STOPPED)


@analyze_app.command()
def analyze(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR…", help="Directories of runs.")],
    top_k: Annotated[
        int, typer.Option(min=1, help="Refit the last layer (DFR) of this many of the best ERM trials.")
    ] = 3,
    export: Annotated[Path | None, typer.Option(help="Where to write the tables. [default: RUN_DIR/results]")] = None,
    format_: Annotated[
        Literal["parquet", "csv"], typer.Option("--format", help="Of the tables; the comparison has all formats.")
    ] = "parquet",
    latex: Annotated[bool, typer.Option("--latex", help="Print the comparison as LaTeX as well.")] = False,
    report: Annotated[Path | None, typer.Option(help="HTML file to write. [default: RUN_DIR/report.html]")] = None,
) -> None:
    """Compare the methods of runs: select, refit the last layer (DFR), print a comparison, write tables and report.

    Several runs, as one per method or per dataset, make one comparison, which needs --export to be written:

      python analyze.py runs/erm runs/scale --export tables

    A grid over two parameters as a table and a figure:

      python analyze.py ablation RUN_DIR --rows spurious_strength --cols val_target_size
    """
    from scale_tune.evaluation import evaluate
    from scale_tune.formats import comparison_latex, comparison_tables, difference_lines
    from scale_tune.reporting import check_report, write_reports
    from scale_tune.rundir import RunDir

    console = _console()
    try:
        runs = [RunDir(path) for path in run_dirs]
        check_report(runs, report)
        found = evaluate(runs, top_k, export, console.print, format_)
        found.written.extend(write_reports(runs, found, report))
    except UserError as error:
        _exit_with(error)
    for table in comparison_tables(found.comparison):
        console.print(table)
    if latex:
        typer.echo(comparison_latex(found.comparison))
    for line in difference_lines(found.differences):
        console.print(line, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)
    for path in found.written:
        console.print(f"wrote {path}", soft_wrap=True)


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, markup=False, highlight=False)


def _exit_with(error: UserError) -> None:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2) from None


def _refuse_with_resume(given: dict[str, Any]) -> None:
    refused = [option for option, value in given.items() if value is not None]
    if refused:
        raise UserError(
            f"{', '.join(refused)} can't be given with --resume: a run goes on as it was started. "
            "Only --num-samples, the resources and --address may change; start a new run for anything else"
        )


def _default_name(space: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", space.stem).strip("-")
    return f"{stem or 'run'}-{datetime.now():%Y%m%d-%H%M%S}"


def _prepare(spec: "RunSpec") -> bool:
    from rich.console import Console

    from scale_tune.prepare import prepare

    prepare(spec, Console(markup=False, highlight=False))
    return True


def _launch(spec: "RunSpec", storage: Path, name: str, address: str | None, dry_run: bool) -> bool:
    from scale_tune.plan import print_plan
    from scale_tune.rundir import check_new_run

    check_new_run(storage, name)
    if dry_run:
        print_plan(spec)
        _say_if_data_is_missing(spec)
        return True
    from scale_tune.driver import launch

    return launch(spec, storage, name, address)


def _say_if_data_is_missing(spec: "RunSpec") -> None:
    from scale_tune.datasets import check_sources

    try:
        check_sources(spec.dataset)
    except UserError as missing:
        typer.echo(f"note: this can't be run yet: {missing}")


def _resume(run_dir: Path, overrides: dict[str, Any], address: str | None, dry_run: bool) -> bool:
    from scale_tune.plan import print_plan
    from scale_tune.rundir import RunDir

    run = RunDir(run_dir)
    has = run.read_spec().num_samples
    if overrides.get("num_samples", has) < has:
        typer.echo(f"--num-samples {overrides.pop('num_samples')} changes nothing: the run has {has} of each method")
    spec = run.read_spec(overrides)
    if dry_run:
        print_plan(spec)
        return True
    from scale_tune.driver import resume

    return resume(run, spec, address)


def _settings_by_key(settings: list[str]) -> dict[str, Any]:
    by_key: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UserError(f"--set {setting!r} must be KEY=VALUE, as --set scheduler.name=none")
        by_key[key] = _parse_value(value, f"--set {setting}")
    return by_key


def _parse_value(text: str, option: str) -> Any:
    from scale_tune.yamlfile import parse_yaml

    return parse_yaml(text, option)[0]
