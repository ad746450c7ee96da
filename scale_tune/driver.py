"""From a validated spec to a finished run: launch and resume, which differ only in who makes the directory."""

import os
import shlex
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from scale_tune.prepare import load_with_progress
from scale_tune.progress import Progress, duration
from scale_tune.rundir import RunDir, check_new_run, create_run
from scale_tune.search.cluster import check_cluster, cluster
from scale_tune.search.run import run_search
from scale_tune.space import RunSpec

console = Console(markup=False, highlight=False, soft_wrap=True)


def launch(spec: RunSpec, storage: Path, name: str, address: str | None) -> bool:
    """Start a new run and drive it.

    Returns:
        Whether every trial has ended; otherwise the run was stopped and can be resumed.

    Raises:
        UserError: what was asked for can't be run; nothing was written then.
    """
    check_new_run(storage, name)
    _prepare_here(spec, address)
    with cluster(address):
        check_cluster(spec, console.print)
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
    _prepare_here(spec, address)
    with run.only_driver(), cluster(address):
        check_cluster(spec, console.print)
        if spec != run.read_spec():
            run.rewrite_spec(spec)
        return _drive(run, spec)


def _prepare_here(spec: RunSpec, address: str | None) -> None:
    """On this machine alone, prepare the data before Ray starts, where its progress can be shown."""
    if address is None:
        load_with_progress(spec.dataset, console)


def _drive(run: RunDir, spec: RunSpec) -> bool:
    console.print(f"run {run.path}")
    path = shlex.quote(str(run.path))
    progress = Progress(Console(markup=False, highlight=False))
    try:
        with _terminated_as_interrupted(), progress:
            done = run_search(run, spec, progress.show)
    except KeyboardInterrupt:
        done = False
    except Exception as error:  # Ray ends a search by errors of many kinds; the ledger and checkpoints are whole
        (run.path / "error.log").write_text(traceback.format_exc())
        console.print(f"the search broke off: {error!r:.500}\nthe whole traceback is in {run.path}/error.log")
        done = False
    if done:
        console.print(f"done in {duration(progress.elapsed)}; compare the methods by\n  python analyze.py {path}")
    else:
        console.print(f"stopped; go on by\n  python tune.py --resume {path}")
    return done


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Take SIGTERM, which schedulers send, for Ctrl-C, which Ray Tune knows to end gracefully."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
