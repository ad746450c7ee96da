"""From a validated spec to a finished run: launch and resume, which differ only in who makes the directory."""

import shlex
from pathlib import Path

from rich.console import Console

from scale_tune.progress import Progress, duration
from scale_tune.rundir import RunDir, check_new_run, create_run
from scale_tune.search.cluster import check_cluster, cluster
from scale_tune.search.run import run_search
from scale_tune.space import RunSpec


def launch(spec: RunSpec, storage: Path, name: str, address: str | None) -> bool:
    """Start a new run and drive it.

    Returns:
        Whether every trial has ended; otherwise the run was stopped and can be resumed.

    Raises:
        UserError: what was asked for can't be run; nothing was written then.
    """
    check_new_run(storage, name)
    with cluster(address):
        check_cluster(spec)
        run = create_run(storage, name, spec)
        with run.only_driver():
            return _drive(run, spec)


def resume(run: RunDir, spec: RunSpec, address: str | None) -> bool:
    """Go on with a run; see :func:`launch`.

    Args:
        run: its directory.
        spec: what it searches, with a larger ``num_samples`` or other resources if asked for.
        address: the Ray cluster.
    """
    with run.only_driver(), cluster(address):
        check_cluster(spec)
        if spec != run.read_spec():
            run.rewrite_spec(spec)
        return _drive(run, spec)


def _drive(run: RunDir, spec: RunSpec) -> bool:
    console = Console()
    console.print(f"run {run.path}", highlight=False, soft_wrap=True)
    with Progress(console) as progress:
        done = run_search(run, spec, progress.show)
    path = shlex.quote(str(run.path))
    if done:
        console.print(
            f"done in {duration(progress.elapsed)}; compare the methods by\n  python analyze.py {path}",
            highlight=False,
            soft_wrap=True,
        )
    else:
        console.print(f"stopped; go on by\n  python tune.py --resume {path}", highlight=False, soft_wrap=True)
    return done
