"""The command ``tune.py``: launch, resume, prepare; ``init`` is in :mod:`scale_tune.cli.init`."""

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scale_tune.cli.as_job import arguments, run_as_job, runs_as_job
from scale_tune.cli.common import APP, COMMAND, Address, begin, exit_with, shown_steps
from scale_tune.cli.init import init_app
from scale_tune.errors import UserError
from scale_tune.search.stopping import STOPPED

if TYPE_CHECKING:
    from scale_tune.spec.space import RunSpec
    from scale_tune.steps import Steps

tune_app = typer.Typer(**APP)

OVERRIDES = {
    "num_samples": "num_samples",
    "max_concurrent": "resources.max_concurrent",
    "cpus_per_trial": "resources.cpus_per_trial",
    "gpus_per_trial": "resources.gpus_per_trial",
}
"""Which key of a search space each option sets."""


def main() -> None:
    """The command ``tune.py``: a new search space if its first argument is ``init``, else a search."""
    begin()
    if sys.argv[1:2] == ["init"]:
        init_app(sys.argv[2:], prog_name=f"{Path(sys.argv[0]).name} init")
    else:
        tune_app()


@tune_app.command(**COMMAND)
def tune(
    context: typer.Context,
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
    address: Address = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this time, as 90m or 2h; to be resumed later.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: try failed trials again.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key, as scheduler.name=none.")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="RUN_DIR,…", help="Try the best configs of earlier runs first: three of each method."),
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="RUN_DIR", help="Show how far a run is, whoever drives it; change nothing.")
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

      python tune.py --status runs/demo

    A search space of your own is begun by init, and docs/keys.md explains all of its keys:

      python tune.py init --dataset celeba --methods erm,scale my.yaml

    Exit codes: 0 done; 2 bad input; 3 stopped, by a signal, its time, a full disk or a Ray that is gone, and can be
    resumed, or started again where there was no run yet; 4 ended without a usable result, as the first trials of a
    method failed alike or none completed: --resume RUN_DIR --retry-failed, once that is mended.
    """
    steps = shown_steps(context)
    try:
        as_job = runs_as_job(address) and not (dry_run or prepare)
        options = {key: value for key, value in locals().items() if key in OVERRIDES and value is not None}
        overrides: dict[str, Any] = {OVERRIDES[key]: value for key, value in options.items()}
        if status is not None:
            _refuse_with_status(context)
            steps.doing(f"reading the run {status}")
            from scale_tune.workflows.status import show_status

            show_status(status, steps)
            done = True
        elif resume is not None:
            fixed = {"SPACE": space, "--name": name, "--storage": storage, "--ledger": ledger, "--methods": methods}
            _refuse_with_resume({**fixed, "--epochs": epochs, "--seeds": seeds, "--set": settings, "--prior": prior})
            if as_job:
                raise typer.Exit(_resume_as_job(context, resume))
            done = _resume(resume, overrides, address, dry_run, time_budget, retry_failed, steps)
        elif space is None:
            raise UserError("give a search space, as search_spaces/digits.yaml, or --resume RUN_DIR; see --help")
        elif retry_failed:
            raise UserError("--retry-failed goes with --resume RUN_DIR: a new run has no failed trials")
        else:
            steps.doing(f"checking {space}")
            from scale_tune.spec.loading import load_spec
            from scale_tune.spec.usercode import places
            from scale_tune.workflows.resolving import resolved

            overrides |= _settings_by_key(settings or [])
            if seeds is not None:
                overrides["seeds"] = [_whole_number(seed.strip()) for seed in seeds.split(",")]
            chosen = None if methods is None else [method.strip() for method in methods.split(",")]
            spec = load_spec(space, overrides, chosen, epochs, check=resolved)
            if ledger is not None:
                from scale_tune.storage.database import check_database

                check_database(ledger)  # before it is sent anywhere
            if prepare:
                done = _prepare(spec, steps)
            else:
                name = _default_name(space) if name is None else name
                if as_job:
                    raise typer.Exit(_launch_as_job(context, storage or "runs", name, places(spec.files)))
                done = _launch(spec, storage or "runs", name, address, dry_run, ledger, time_budget, prior, steps)
    except UserError as error:
        exit_with(error)
    raise typer.Exit(0 if done else STOPPED)


def _refuse_with_resume(given: dict[str, Any]) -> None:
    refused = [option for option, value in given.items() if value is not None]
    if refused:
        raise UserError(
            f"{', '.join(refused)} can't be given with --resume: a run goes on as it was started. "
            "Only --num-samples, the resources and --address may change; start a new run for anything else"
        )


def _refuse_with_status(context: typer.Context) -> None:
    others = [p for p in context.command.params if p.name not in ("status", "address")]
    sources = {p.opts[0]: context.get_parameter_source(p.name or "") for p in others}
    if refused := [option for option, source in sources.items() if source and source.name == "COMMANDLINE"]:
        raise UserError(f"{', '.join(refused)} can't be given with --status, which shows a run as it is; leave it out")


def _default_name(space: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", space.stem).strip("-")
    return f"{stem or 'run'}-{datetime.now():%Y%m%d-%H%M%S}"


def _prepare(spec: "RunSpec", steps: "Steps") -> bool:
    from scale_tune.datasets.ahead import prepare

    prepare(spec, steps)
    return True


def _launch(
    spec: "RunSpec",
    storage: str,
    name: str,
    address: str | None,
    dry_run: bool,
    ledger: str | None,
    time_budget: str | None,
    prior: str | None,
    steps: "Steps",
) -> bool:
    from scale_tune.search.stopping import parse_budget
    from scale_tune.spec.plan import print_plan
    from scale_tune.storage.location import Location
    from scale_tune.storage.rundir import check_new_run

    where = Location.of(storage)
    run = check_new_run(where, name)
    budget = None if time_budget is None else parse_budget(time_budget)
    priors: list[dict[str, Any]] = []
    if prior is not None:
        from scale_tune.workflows.priors import parse_priors, with_priors  # pandas takes its time

        steps.doing(f"reading {prior}")
        spec, priors = with_priors(spec, parse_priors(prior), steps)
    if dry_run:
        from scale_tune.tracking.tracker_registry import check_trackers
        from scale_tune.workflows.rehearsal import rehearse
        from scale_tune.workflows.resolving import preparation

        check_trackers(spec.track, run)
        print_plan(spec, preparation(spec))
        rehearse(spec, steps)
        return True
    steps.doing("loading Ray")
    from scale_tune.workflows.driver import launch

    return launch(spec, where, name, address, ledger, budget, steps, priors=priors)


def _launch_as_job(context: typer.Context, storage: str, name: str, files: list[Path]) -> int:
    from scale_tune.storage.location import Location
    from scale_tune.storage.rundir import check_name

    check_name(name)
    prior = context.params["prior"]
    return run_as_job(
        context.params["address"],
        command="tune",
        arguments=arguments(context, {"name": name}),
        paths={"--storage": [storage], **({"--prior": prior.split(",")} if prior else {})},
        works_on=str(Location.of(storage) / name),
        files=files,
        once=True,
    )


def _resume_as_job(context: typer.Context, run_dir: str) -> int:
    from scale_tune.storage.location import Location

    given = arguments(context, {})
    return run_as_job(
        context.params["address"],
        command="tune",
        arguments=given,
        paths={"--resume": [run_dir]},
        works_on=str(Location.of(run_dir)),
        plain=given == ["--resume", run_dir],
    )


def _resume(
    run_dir: str,
    overrides: dict[str, Any],
    address: str | None,
    dry_run: bool,
    time_budget: str | None,
    retry_failed: bool,
    steps: "Steps",
) -> bool:
    steps.doing(f"reading the run {run_dir}")
    from scale_tune.search.stopping import parse_budget
    from scale_tune.spec import usercode
    from scale_tune.spec.plan import print_plan
    from scale_tune.storage.rundir import RunDir
    from scale_tune.workflows.resolving import resolved

    run = RunDir(run_dir)
    has = run.read_spec().num_samples
    if overrides.get("num_samples", has) < has:
        steps(f"--num-samples {overrides.pop('num_samples')} changes nothing: the run has {has} of each method")
    usercode.provide(run.sources())
    spec = run.read_spec(overrides, check=resolved)
    budget = None if time_budget is None else parse_budget(time_budget)
    if dry_run:
        from scale_tune.tracking.tracker_registry import check_trackers
        from scale_tune.workflows.resolving import preparation

        check_trackers(spec.track, run)
        print_plan(spec, preparation(spec))
        return True
    steps.doing("loading Ray")
    from scale_tune.workflows.driver import resume

    return resume(run, spec, address, budget, steps, retry_failed=retry_failed)


def _settings_by_key(settings: list[str]) -> dict[str, Any]:
    by_key: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UserError(f"--set: must be KEY=VALUE, as scheduler.name=none, got {setting!r}")
        by_key[key] = _parse_value(value, f"--set {setting}")
    return by_key


def _whole_number(text: str) -> int | str:
    """The number, or the text, which validation then refuses."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,40}", text) else text


def _parse_value(text: str, option: str) -> Any:
    from scale_tune.spec.yamlfile import parse_yaml

    return parse_yaml(text, option)[0]
