"""From a validated spec to a finished run: launch and resume, which differ only in who makes the directory."""

import secrets
import shlex
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from scale_tune.datasets.ahead import load_with_progress
from scale_tune.datasets.preparation import identity
from scale_tune.errors import NoResultError, UserError
from scale_tune.ledger.studies import create_studies, read_trials
from scale_tune.search.cluster import check_cluster, cluster, nodes_with_room, where
from scale_tune.search.hopeless import in_vain
from scale_tune.search.overview import duration
from scale_tune.search.progress import Progress
from scale_tune.search.run import run_search
from scale_tune.search.state import Search
from scale_tune.search.stopping import Stop
from scale_tune.spec import usercode
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.space import RunSpec
from scale_tune.steps import Steps
from scale_tune.storage.database import Database, check_database
from scale_tune.storage.full import what_is_full
from scale_tune.storage.location import Location
from scale_tune.storage.lock import only_driver
from scale_tune.storage.provenance import changes, provenance
from scale_tune.storage.rundir import RunDir, check_new_run, create_run
from scale_tune.tracking.beside import Beside
from scale_tune.tracking.tracker_registry import check_trackers
from scale_tune.workflows.confirm import DIRECTORY, confirmation_of, confirmation_spec, unconfirmed
from scale_tune.workflows.whole import check_whole


def launch(
    spec: RunSpec,
    storage: Location,
    name: str,
    address: str | None,
    ledger: str | None,
    budget: float | None,
    steps: Steps,
    *,
    priors: Sequence[Mapping[str, Any]] = (),
) -> bool:
    """Start a new run and drive it.

    Args:
        spec: what to search.
        storage: what the run's directory goes into.
        name: the directory's name.
        address: the Ray cluster; None starts Ray on this machine.
        ledger: the URL of the database that holds the ledger; None: a file in the run's directory.
        budget: seconds after which to stop.
        steps: told what is done.
        priors: from which trials of which runs its points to try first are, for its provenance.

    Returns:
        Whether every trial has ended; otherwise the run was stopped and can be resumed.

    Raises:
        UserError: what was asked for can't be run; nothing was written then.
        NoResultError: no trial can be selected, or will ever be.
    """
    with Stop(budget) as stop:
        check_trackers(spec.track, check_new_run(storage, name))
        database = _new_database(storage, name, ledger)
        if address is None:  # here its progress can be shown
            for dataset in _any_config(spec).datasets.values():
                load_with_progress(dataset, steps)
        with _connected(address, stop, steps) as reconnect:
            steps.doing("trying a step of each method on the workers")
            one_disk = address is None and storage.local is not None
            data = check_cluster(spec, None if one_disk else storage, steps)
            with stop.noted():  # a run is made as a whole or not at all
                if database is not None:
                    create_studies(database, spec.methods)
                run = create_run(storage, name, spec, data, database, priors)
            with only_driver(run):
                return _drive(run, spec, stop, reconnect, steps)


@contextmanager
def _connected(address: str | None, stop: Stop, steps: Steps) -> Iterator[Callable[[], None]]:
    """Ray, and which: before anything waits for it."""
    steps.doing("starting Ray" if address is None else f"connecting to Ray at {address}")
    with cluster(address, stop) as reconnect:
        if address is not None:
            steps(f"connected to {where()}")
        yield reconnect


def _new_database(storage: Location, name: str, url: str | None) -> Database | None:
    if url is None:
        if storage.local is None:
            raise UserError(
                f"--storage {storage} is an object store, which can't hold a ledger that is written line by line; "
                "give a database for it, as --ledger postgresql://user@host/database"
            )
        return None
    check_database(url)
    return Database(url, f"{name}-{secrets.token_hex(4)}")


def resume(
    run: RunDir, spec: RunSpec, address: str | None, budget: float | None, steps: Steps, *, retry_failed: bool = False
) -> bool:
    """Go on with a run; see :func:`launch`.

    Args:
        run: its directory.
        spec: what it searches, with a larger ``num_samples`` or other resources if asked for.
        address: the Ray cluster.
        budget: seconds after which to stop.
        steps: told what is done.
        retry_failed: whether failed trials are tried again.

    Raises:
        NoResultError: no trial can be selected, or will ever be.
        UserError: another driver works on it, the ledger is gone or damaged, or the data has changed.
    """
    with Stop(budget) as stop:
        stop.how_to_go_on = _how_to_go_on(run)
        check_trackers(spec.track, run)
        usercode.provide(run.sources())
        with only_driver(run):
            # What is wrong with the ledger is an error before anything is started.
            steps.doing("checking the ledger and the records")
            check_whole(run, spec)
            now = provenance()
            if changed := changes(run.provenance(), now):
                steps(f"warning: not what the run was started with: {'; '.join(changed)}")
            # On this machine alone, what a worker found at the launch need not be found again: that takes seconds.
            here = None if address else _data_here(run, spec, steps)
            with _connected(address, stop, steps) as reconnect:
                steps.doing("checking the workers")
                nodes_with_room(spec.resources)
                _check_same_data(run, here or check_cluster(spec, run.path, steps))
                run.note_resumed(spec, now)
                return _drive(run, spec, stop, reconnect, steps, retry_failed=retry_failed)


def confirm(run: RunDir, top_k: int, address: str | None, steps: Steps) -> bool:
    """Train the best configs of a run again on fresh seeds, or go on with that (:mod:`scale_tune.workflows.confirm`).

    Those whose refitted last layer was selected are among them, if the run has been analysed.

    Args:
        run: its directory.
        top_k: how many configs of each method on each dataset. A confirmation that was begun keeps those that it
            has; a warning says so where they are not these.
        address: the Ray cluster.
        steps: told what is done.

    Returns:
        Whether every trial has ended.

    Raises:
        UserError: as :func:`launch` and :func:`resume`, or no trial has run to its end with all its seeds.
    """
    from scale_tune.analysis.entries import RunTables
    from scale_tune.analysis.selection import best_configs
    from scale_tune.tables import collect as results  # pandas takes its time

    usercode.provide(run.sources())
    confirmation = confirmation_of(run)
    searched = run.read_spec()
    tables = results.load_results(run.path)
    best = best_configs(tables["trials"], searched, top_k)["trial"].tolist()
    # DFR may prefer another network than the best ones of its method.
    of_refits = [entry.trial for entry in RunTables(name="", spec=searched, tables=tables).entries if entry.protocol]
    trials = {trial.name: trial for trial in read_trials(run.ledger)}
    chosen = dict.fromkeys([*best, *filter(None, of_refits)])
    spec = confirmation_spec(searched, [trials[name] for name in chosen])
    if confirmation.spec.is_file():
        begun = confirmation.read_spec()
        if lacking := unconfirmed(begun, spec):
            steps(
                f"warning: {confirmation.path} was begun with other configs, and lacks {lacking} of the best {top_k} "
                "of each method of now; to confirm these, move that directory out of the run's and repeat the command"
            )
        return resume(confirmation, begun, address, None, steps)
    ledger = run.ledger.url if isinstance(run.ledger, Database) else None
    return launch(spec, run.path, DIRECTORY, address, ledger, None, steps)


def _check_same_data(run: RunDir, now: dict[str, str]) -> None:
    for kind, then in run.data().items():
        if now.get(kind) != then:
            raise UserError(
                f"the {kind} is not what the run {run.path} was started with: its fingerprint was {then}, and is "
                f"{now.get(kind)}; restore the files it was started with, or start a new run"
            )


def _any_config(spec: RunSpec) -> TrialConfig:
    return spec.first_config(next(iter(spec.methods)))


def _data_here(run: RunDir, spec: RunSpec, steps: Steps) -> dict[str, str]:
    config = _any_config(spec)
    try:
        return identity(config, load_with_progress(next(iter(config.datasets.values())), steps))
    except OSError as error:
        raise UserError(f"can't read what the run {run.path} was started with: {error}") from None


def _drive(
    run: RunDir,
    spec: RunSpec,
    stop: Stop,
    reconnect: Callable[[], None],
    steps: Steps,
    *,
    retry_failed: bool = False,
) -> bool:
    steps(f"run {run.path}")
    steps.pause()
    stop.how_to_go_on = _how_to_go_on(run)
    progress = Progress(steps.console, spec)
    sources = usercode.provided(spec.files)
    search = Search(run=run, spec=spec, progress=progress, stop=stop, retry_failed=retry_failed, sources=sources)
    try:
        done = _searched(search, reconnect, steps)
        why = search.hopeless or (in_vain(search.ledger.trials(), run) if done else None)
        if why is not None:
            raise NoResultError(why)
        if not done:
            return _stopped(run, stop, steps)
        path = shlex.quote(str(run.path))
        steps(f"done in {duration(progress.elapsed)}; compare the methods by\n  python analyze.py {path}")
        return True
    finally:
        steps.doing("ending Ray")


def _searched(search: Search, reconnect: Callable[[], None], steps: Steps) -> bool:
    """Whether every trial has ended."""
    try:
        with search.progress as progress, Beside(search.run, search.spec.track, progress.say) as trackers:
            done = run_search(search, reconnect)
            if done:
                with search.stop.interrupting():
                    trackers.finish()
            return done
    except Exception as error:  # Ray ends a search by errors of many kinds; the ledger and checkpoints are whole
        if (full := what_is_full(error)) is not None:
            search.stop.wish(f"there is no space left {full}")
            return False
        steps(f"the search broke off: {error!r:.500}")
        _write_error(search.run, traceback.format_exc(), steps)
        return False


def _write_error(run: RunDir, text: str, steps: Steps) -> None:
    file = run.path / "error.log"
    try:
        file.write(text.encode())
        steps(f"the whole traceback is in {file}")
    except OSError:  # perhaps what broke off the search: a full disk
        steps(text)


def _stopped(run: RunDir, stop: Stop, steps: Steps) -> bool:
    why = f", as {stop.reason}" if stop.reason else ""
    steps(f"stopped{why}; {_how_to_go_on(run)}")
    return False


def _how_to_go_on(run: RunDir) -> str:
    return f"go on by\n  python tune.py --resume {shlex.quote(str(run.path))}"
