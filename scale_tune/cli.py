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
from scale_tune.stopping import STOPPED

if TYPE_CHECKING:
    from rich.console import Console

    from scale_tune.rundir import RunDir
    from scale_tune.space import RunSpec

_settings: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
tune_app = typer.Typer(**_settings)
analyze_app = typer.Typer(**_settings)
ablation_app = typer.Typer(**_settings)

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
    resume: Annotated[str | None, typer.Option(metavar="RUN_DIR", help="Go on with the run in this directory.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. [default: the file's name and the time]")] = None,
    storage: Annotated[
        str | None, typer.Option(help="Directory, or s3://bucket/path, that holds the run's. [default: runs]")
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(metavar="URL", help="PostgreSQL database for the ledger. [default: a file of the run]")
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Methods to compare, as erm,scale.")] = None,
    num_samples: Annotated[int | None, typer.Option(help="Trials of each method; with --resume, more of them.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each trial.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds of each trial, as 0,1,2.")] = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Trials at once. [default: as many as fit]")] = None,
    cpus_per_trial: Annotated[float | None, typer.Option(help="CPU cores of each trial.")] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(help="GPUs of each trial, as 1 or 0.25.")] = None,
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="Ray cluster, as auto or ray://host:10001. [default: start Ray here]"),
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this time, as 90m or 2h; to be resumed later.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: try failed trials again.")
    ] = False,
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
        if address is not None and address.startswith("ray://") and not (dry_run or prepare):
            raise typer.Exit(_run_on_head(address, space, resume, storage))
        options = {key: value for key, value in locals().items() if key in OVERRIDES and value is not None}
        overrides: dict[str, Any] = {OVERRIDES[key]: value for key, value in options.items()}
        if resume is not None:
            fixed = {"SPACE": space, "--name": name, "--storage": storage, "--ledger": ledger, "--methods": methods}
            _refuse_with_resume({**fixed, "--epochs": epochs, "--seeds": seeds, "--set": settings})
            done = _resume(resume, overrides, address, dry_run, time_budget, retry_failed)
        elif space is None:
            raise UserError("give a search space, as search_spaces/digits.yaml, or --resume RUN_DIR; see --help")
        elif retry_failed:
            raise UserError("--retry-failed goes with --resume RUN_DIR: a new run has no failed trials")
        else:
            from scale_tune.specfile import load_spec

            overrides |= _settings_by_key(settings or [])
            if seeds is not None:
                overrides["seeds"] = _parse_value(f"[{seeds}]", "--seeds")
            chosen = None if methods is None else [method.strip() for method in methods.split(",")]
            spec = load_spec(space, overrides, chosen, epochs)
            if prepare:
                done = _prepare(spec)
            else:
                name = _default_name(space) if name is None else name
                done = _launch(spec, storage or "runs", name, address, dry_run, ledger, time_budget)
    except UserError as error:
        _exit_with(error)
    except KeyboardInterrupt:
        typer.echo("stopped before there was a run; start it again by the same command")
        done = False
    raise typer.Exit(0 if done else STOPPED)


@analyze_app.command()
def analyze(
    run_dirs: Annotated[list[str], typer.Argument(metavar="RUN_DIR…", help="Directories of runs.")],
    top_k: Annotated[
        int, typer.Option(min=1, help="Refit the last layer (DFR) of this many of the best ERM trials.")
    ] = 3,
    dfr: Annotated[str, typer.Option(help="Protocols of DFR: scale, dfr, both, or none.")] = "scale,dfr",
    export: Annotated[str | None, typer.Option(help="Where to write the tables. [default: RUN_DIR/results]")] = None,
    format_: Annotated[
        Literal["parquet", "csv"], typer.Option("--format", help="Of the tables; the comparison has all formats.")
    ] = "parquet",
    latex: Annotated[bool, typer.Option("--latex", help="Print the comparison as LaTeX as well.")] = False,
    report: Annotated[str | None, typer.Option(help="HTML file to write. [default: RUN_DIR/report.html]")] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Train the best --top-k configs of each method again on fresh seeds.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="Ray cluster, as auto or ray://host:10001. [default: start Ray here]"),
    ] = None,
) -> None:
    """Compare the methods of runs: select, refit the last layer (DFR), print a comparison, write tables and report.

    Several runs, as one per method or per dataset, make one comparison, which needs --export to be written:

      python analyze.py runs/erm runs/scale --export tables

    The winner of a search is overestimated. Its best configs, trained again on fresh seeds, stand beside it:

      python analyze.py RUN_DIR --confirm

    A grid over two parameters as a table and a figure:

      python analyze.py ablation RUN_DIR --rows spurious_strength --cols val_target_size
    """
    from scale_tune.evaluation import evaluate, parse_protocols
    from scale_tune.files import Location
    from scale_tune.formats import comparison_latex, comparison_tables, difference_lines
    from scale_tune.reporting import check_report, write_reports
    from scale_tune.rundir import RunDir

    console = _console()
    try:
        if address is not None and address.startswith("ray://"):
            raise typer.Exit(_analyze_on_head(address, run_dirs, export, report))
        runs = [RunDir(path) for path in run_dirs]
        where, page = (None if given is None else Location.of(given) for given in (export, report))
        check_report(runs, page)
        if confirm and not _confirm(runs, top_k, address):
            raise typer.Exit(STOPPED)
        found = evaluate(runs, top_k, parse_protocols(dfr), where, console.print, format_, address)
        found.written.extend(write_reports(runs, found, page))
    except UserError as error:
        _exit_with(error)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on: what was refitted is kept, and nothing else was written")
        raise typer.Exit(STOPPED) from None
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


@ablation_app.command()
def ablation(
    run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR", help="Directory of a run.")],
    rows: Annotated[str, typer.Option(help="Parameter of the rows, as spurious_strength.")],
    cols: Annotated[str, typer.Option(help="Parameter of the columns, as val_target_size.")],
    metric: Annotated[str, typer.Option(help="Accuracy to show, as val_average.")] = "test_worst_group",
    by: Annotated[str | None, typer.Option(help="Parameter whose values have tables of their own.")] = None,
    export: Annotated[str | None, typer.Option(help="Where to write. [default: RUN_DIR/results/ablation]")] = None,
) -> None:
    """Show how two parameters of a run matter, for each method, as a table and a figure.

      python analyze.py ablation runs/grid --rows spurious_strength --cols val_target_size --by regularize_mode

    A cell shows the trial with the best validation objective of those that share it. Written are the cells (parquet),
    the tables (LaTeX) and the figure (PDF and SVG). A run in a directory called ablation is compared by ./ablation.
    """
    from scale_tune.evaluation import ablate_run
    from scale_tune.files import Location
    from scale_tune.pivots import pivot_tables
    from scale_tune.rundir import RunDir

    console = _console()
    try:
        where = None if export is None else Location.of(export)
        found, written = ablate_run(RunDir(run_dir), rows, cols, metric, by, where)
    except UserError as error:
        _exit_with(error)
    for table in pivot_tables(found):
        console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)


def _confirm(runs: "list[RunDir]", top_k: int, address: str | None) -> bool:
    from scale_tune.driver import confirm

    return all(confirm(run, top_k, address) for run in runs)


def analyze_main() -> None:
    """The command ``analyze.py``: an ablation if its first argument says so, else a comparison."""
    if sys.argv[1:2] == ["ablation"]:
        ablation_app(sys.argv[2:], prog_name=f"{Path(sys.argv[0]).name} ablation")
    else:
        analyze_app()


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


def _launch(
    spec: "RunSpec",
    storage: str,
    name: str,
    address: str | None,
    dry_run: bool,
    ledger: str | None,
    time_budget: str | None,
) -> bool:
    from scale_tune.files import Location
    from scale_tune.plan import print_plan
    from scale_tune.rundir import check_new_run
    from scale_tune.stopping import parse_budget

    where = Location.of(storage)
    check_new_run(where, name)
    budget = None if time_budget is None else parse_budget(time_budget)
    if dry_run:
        print_plan(spec)
        _say_if_data_is_missing(spec)
        return True
    from scale_tune.driver import launch

    return launch(spec, where, name, address, ledger, budget)


def _say_if_data_is_missing(spec: "RunSpec") -> None:
    from scale_tune.datasets import check_sources

    try:
        check_sources(spec.dataset)
    except UserError as missing:
        typer.echo(f"note: this can't be run yet: {missing}")


def _resume(
    run_dir: str,
    overrides: dict[str, Any],
    address: str | None,
    dry_run: bool,
    time_budget: str | None,
    retry_failed: bool,
) -> bool:
    from scale_tune.plan import print_plan
    from scale_tune.rundir import RunDir
    from scale_tune.stopping import parse_budget

    run = RunDir(run_dir)
    has = run.read_spec().num_samples
    if overrides.get("num_samples", has) < has:
        typer.echo(f"--num-samples {overrides.pop('num_samples')} changes nothing: the run has {has} of each method")
    spec = run.read_spec(overrides)
    budget = None if time_budget is None else parse_budget(time_budget)
    if dry_run:
        print_plan(spec)
        return True
    from scale_tune.driver import resume

    return resume(run, spec, address, budget, retry_failed=retry_failed)


def _run_on_head(address: str, space: Path | None, resume: str | None, storage: str | None) -> int:
    """Have the cluster's head node run this command; paths are then those of the cluster."""
    from scale_tune.search.remote import SPACE, run_on_head
    from scale_tune.specfile import load_spec

    if space is not None:
        load_spec(space)  # what is wrong with it is said before anything is connected
    _refuse_relative(address, {"--storage": [storage or "runs"]} if resume is None else {"--resume": [resume]})
    given = [SPACE if space is not None and argument == str(space) else argument for argument in sys.argv[1:]]
    return run_on_head("tune", address, _without_address(given), space, typer.echo)


def _analyze_on_head(address: str, run_dirs: list[str], export: str | None, report: str | None) -> int:
    """Have the cluster's head node run this command; paths are then those of the cluster."""
    from scale_tune.search.remote import run_on_head

    _refuse_relative(address, {"RUN_DIR": run_dirs, "--export": [export or "/"], "--report": [report or "/"]})
    return run_on_head("analyze", address, _without_address(sys.argv[1:]), None, typer.echo)


def _refuse_relative(address: str, paths: dict[str, list[str]]) -> None:
    for option, given in paths.items():
        for path in given:
            if not path.startswith(("/", "s3:/")):
                raise UserError(
                    f"{option} {path} is relative, but with {address} this command runs on the cluster's head node; "
                    "give a path that all of its nodes share, or s3://bucket/path"
                )


def _without_address(arguments: list[str]) -> list[str]:
    remaining, given = [], iter(arguments)
    for argument in given:
        if argument == "--address":
            next(given)
        elif not argument.startswith("--address="):
            remaining.append(argument)
    return remaining


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
