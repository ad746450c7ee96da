"""Real searches: what must hold of every one of them however it was interrupted."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import torch

from scale_tune import datasets
from scale_tune.ledger.studies import LedgerState, LedgerTrial, read_trials
from scale_tune.storage.location import Location, is_temporary
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables.files import write_tables
from scale_tune.training.records import TrialRecord
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import read_record


def ledger_of(directory: Path | str) -> list[LedgerTrial]:
    return read_trials(RunDir(directory).ledger)


def epochs_in_ledger(directory: Path) -> int:
    """Counted in the journal's text: it may be read at any moment."""
    ledger = directory / "ledger.log"
    return ledger.read_text().count('"intermediate_value"') if ledger.exists() else 0


def assert_search_is_whole(directory: Path | str, samples: dict[str, int], scratch: Path) -> list[LedgerTrial]:
    """Exactly the trials asked for, all ended, as if nothing had ever interrupted them.

    Every history is 1..n, early stops are at rungs alone, no objective is NaN, no suggestion is doubled, the parquet
    files agree with the ledger, and each trial equals the same config trained in one go.
    """
    run, trials = RunDir(directory), ledger_of(directory)
    assert Counter(trial.method for trial in trials) == samples
    assert all(trial.state.ended for trial in trials), [t for t in trials if not t.state.ended]
    drawn = [(trial.method, *sorted(trial.params.items())) for trial in trials]
    assert len(set(drawn)) == len(drawn), "a suggestion was doubled"
    write_tables(results.collect(run), Location.of(scratch / "tables"))
    rows = pq.read_table(scratch / "tables" / "trials.parquet").to_pandas().set_index("trial")
    assert sorted(rows.index) == sorted(trial.name for trial in trials)
    epochs = pq.read_table(scratch / "tables" / "epochs.parquet").to_pandas()
    for trial in trials:
        assert all(math.isfinite(value) and 0 <= value <= 1 for value in trial.objectives)
        row = rows.loc[trial.name]
        assert (row["state"], row["epochs"], row["objective"]) == (
            trial.state.value,
            len(trial.objectives),
            trial.objective,
        )
        for _, history in epochs[epochs["trial"] == trial.name].groupby(["seed", "split"]):
            assert history["epoch"].tolist() == list(range(1, len(trial.objectives) + 1))
        assert_stopped_where_it_may(run, trial)
        assert_trained_as_if_never_interrupted(run, trial, scratch)
    return trials


def assert_stopped_where_it_may(run: RunDir, trial: LedgerTrial) -> None:
    spec, n = run.read_spec(), len(trial.objectives)
    if trial.state is LedgerState.COMPLETE:
        assert n == spec.method_epochs(trial.method)
    elif spec.scheduler.name == "asha" and trial.state is LedgerState.PRUNED:
        rung = spec.scheduler.grace_period
        while rung < n:
            rung *= spec.scheduler.reduction_factor
        assert n == rung


def assert_trained_as_if_never_interrupted(run: RunDir, trial: LedgerTrial, scratch: Path) -> None:
    """The same config trained here, in one go, on the same device, has the same history to the last bit."""
    config = run.read_spec().trial_config(trial.method, trial.params)
    splits, where = datasets.splits_by_seed(config), Location.of(scratch / "again" / trial.name)
    trained = read_record(run.trial(trial.name))
    again = Trial(trial.name, config, splits, torch.device(trained.device), where)
    while again.record.epoch < len(trial.objectives):
        again.train_epoch()
    assert again.record.objectives() == trial.objectives
    assert timeless(again.record) == timeless(trained)


def timeless(record: TrialRecord) -> dict:
    """A record without what depends on the clock and the machine."""
    fields = record.model_dump(exclude={"started", "node", "device", "threads"})
    for replica in fields["replicas"]:
        for epoch in replica["history"]:
            del epoch["seconds"]
    return fields


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below one, by their ids."""
    parents, commands = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(process.name)] = (process / "cmdline").read_text().rstrip("\0").replace("\0", " ")
        except OSError:  # it has just ended
            continue
    found: dict[int, str] = {}
    below = {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found |= {child: commands[child] for child in below if child in commands}
    return found


def listening(pids: Iterable[int]) -> dict[str, str]:
    """Where these processes listen: command lines by address and port, both in hexadecimal."""
    owners: dict[str, int] = {}
    for pid in pids:
        with suppress(OSError):  # it, or what it had opened, is gone
            for opened in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    owners[str(opened.readlink())] = pid
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in owners:
                found[address] = Path(f"/proc/{owners[f'socket:[{inode}]']}/cmdline").read_text()
    return found


LOOPBACK = ("0100007F:", "0000000000000000FFFF00000100007F:", "00000000000000000000000001000000:")
"""127.0.0.1, the same as IPv6 has it, and ::1, as Linux lists them."""


AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "dashboard/agent.py", "runtime_env/agent/main.py")
"""Ray's on each node. They try for a minute to tell the head, which is dead as well, that the node has died."""


def wait_for_end(pids: dict[int, str], limit: float = 60, but: tuple[str, ...] = AGENTS) -> None:
    """All of these processes, but for some, end by themselves."""

    def living() -> dict[int, str]:
        return {pid: name for pid, name in pids.items() if is_alive(pid) and not any(of in name for of in but)}

    wait_for(lambda: not living(), limit, lambda: f"they live on: {living()}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], limit: float, otherwise: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"nothing after {limit} s: {otherwise()}"
        time.sleep(0.05)


def workers_below(pid: int) -> Iterator[int]:
    """Processes below a driver that train a trial at the moment."""
    return (
        child for child, name in descendants(pid).items() if "ray::" in name and "train" in name and is_alive(child)
    )


def half_written(directory: Path) -> bool:
    """Whether some checkpoint is being written right now."""
    trials = directory / "trials"
    files = [file for trial in trials.iterdir() for file in trial.iterdir()] if trials.exists() else []
    return any(is_temporary(file.name) for file in files)
