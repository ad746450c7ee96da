"""What trackers show of a run, read back by their own readers, and what they should show."""

import json
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import optuna
from optuna.trial import TrialState

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import open_storage
from scale_tune.spec.config import TrackerName
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, create_run
from scale_tune.tables.collect import load_results
from scale_tune.tracking.bringing_up import BringingUp
from scale_tune.training.checkpoint import save_checkpoint
from scale_tune.training.trialdir import close_trial, read_record
from tests.support.records import FINGERPRINT, made_up_record
from tests.support.runs import REASON, fast_spec

Shown = dict[tuple[str, int, str, int], list[float]]
"""By trial, seed, name and epoch, every value that a tracker holds: one, if all is well."""
OPTIONS = {"methods": ["scale"], "num_samples": 4, "epochs": 3, "scheduler": {"name": "none"}}
SPEC = fast_spec(**OPTIONS)


def bring_up(run: RunDir, *names: str, tolerant: bool = False) -> dict[TrackerName, Exception]:
    """As a new process does, and again as one that goes on."""
    with BringingUp(run, map(TrackerName, names)) as trackers:
        for _ in range(2):
            trackers.bring_up()
            assert tolerant or not trackers.failures, trackers.failures
    return trackers.failures


class Life:
    """A search whose trials are made up: it goes on by the epoch, and a trial fails, is tried again, and is pruned."""

    def __init__(self, directory: Path, track: Sequence[str] = ()) -> None:
        spec = fast_spec(**OPTIONS, track=track)
        self.run = create_run(Location.of(directory), f"life-{secrets.token_hex(4)}", spec, {"dataset": FINGERPRINT})
        self.ledger = Ledger(self.run.ledger, SPEC)
        self.names = [self.ledger.next_trial().name for _ in range(4)]

    def stages(self) -> Iterator[None]:
        """Each of them is to be followed."""
        steady, lost, pruned, hopeless = self.names
        self.train(steady, 1)
        self.ledger.fail(hopeless, REASON)
        yield
        self.train(steady, 2)
        self.train(lost, 2)
        self.ledger.fail(lost, REASON)
        yield
        self.ledger = Ledger(self.run.ledger, SPEC)  # a new driver
        self.ledger.retry_failed()
        self.train(lost, 2)
        self.train(steady, 2, seconds=9.0)  # its last checkpoint was damaged, so it trains the epoch again
        yield
        self.ledger.fail(hopeless, REASON)
        self.end(steady)
        self.end(lost)
        self.train(pruned, 2)
        storage = open_storage(self.run.ledger)
        optuna.load_study(study_name="scale", storage=storage).tell(self.names.index(pruned), state=TrialState.PRUNED)
        close_trial(self.run.trial(pruned), read_record(self.run.trial(pruned)))
        yield

    def train(self, name: str, epochs: int, seconds: float = 1.5) -> None:
        """Up to an epoch, the last of which took so long."""
        record = made_up_record(name, SPEC.trial_config("scale", self.ledger.trial(name).params))
        for replica in record.replicas:
            del replica.history[epochs:]
            replica.history[-1].seconds = seconds
            best = max(replica.history, key=lambda epoch: epoch.objective)
            replica.best.epoch, replica.best.objective = best.epoch, best.objective
            if epochs < SPEC.epochs:
                replica.best.test = None
                replica.best.groups.pop("test")
        save_checkpoint(self.run.trial(name), record, {})
        self.ledger.report(name, record.objectives(), finished=True)

    def end(self, name: str) -> None:
        self.train(name, SPEC.epochs)
        self.ledger.complete(name)
        close_trial(self.run.trial(name), read_record(self.run.trial(name)))


def expected(run: RunDir) -> Shown:
    """What the tables hold, which are made from the records on another way."""
    tables, shown = load_results(run.path), {}
    for row in tables["epochs"].to_dict("records"):
        where = row["trial"], row["seed"], row["epoch"]
        values = {f"{row['split']}/{name}": row[name] for name in ("loss", "worst_group", "average", "worst_class")}
        for name, value in (values | {"lr": row["lr"], "seconds": row["seconds"]}).items():
            shown[*where[:2], name, where[2]] = [value]
    for row in tables["diagnostics"].to_dict("records"):
        shown[row["trial"], row["seed"], f"diagnostics/{row['name']}", row["epoch"]] = [row["value"]]
    for (trial, seed), cells in tables["groups"].groupby(["trial", "seed"]):
        test = cells[cells["split"] == "test"]
        if len(test):
            shown[trial, seed, "test/average", test["epoch"].iloc[0]] = [test["correct"].sum() / test["n"].sum()]
    return shown


def in_tensorboard(run: RunDir) -> Shown:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown: Shown = {}
    for directory in (run.path.local / "tensorboard").glob("*/seed-*"):
        events = EventAccumulator(str(directory), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
        for name in events.Tags()["scalars"]:
            for scalar in events.Scalars(name):
                key = directory.parent.name, int(directory.name[5:]), name, scalar.step
                shown.setdefault(key, []).append(scalar.value)
    return shown


def in_mlflow(run: RunDir) -> Shown:
    client, shown = mlflow_client(run), defaultdict(list)
    for each in mlflow_runs(run):
        trial, _, seed = each.info.run_name.partition("-seed-")
        for name in each.data.metrics:
            for metric in client.get_metric_history(each.info.run_id, name):
                shown[trial, int(seed), name, metric.step].append(metric.value)
    return shown


def mlflow_client(run: RunDir):
    from mlflow import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.path.local}/mlflow/mlflow.db"
    return MlflowClient(tracking_uri=uri)


def mlflow_runs(run: RunDir) -> list:
    client = mlflow_client(run)
    (experiment,) = [each for each in client.search_experiments() if each.name == run.path.name]
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def in_trackio(run: RunDir) -> Shown:
    from trackio.sqlite_storage import SQLiteStorage

    shown = defaultdict(list)
    for each in SQLiteStorage.get_run_records(run.path.name):
        trial, _, seed = each["name"].partition("-seed-")
        for log in SQLiteStorage.get_logs(run.path.name, each["name"], run_id=each["id"]):
            for name, value in log.items():
                if name not in ("step", "timestamp"):
                    shown[trial, int(seed), name, log["step"]].append(value)
    return shown


def in_wandb(run: RunDir) -> Shown:
    shown = defaultdict(list)
    for records in wandb_runs(run):
        (of_run,) = [record.run for record in records if record.HasField("run")]
        trial, _, seed = of_run.display_name.partition("-seed-")
        summary = {}
        for record in records:
            if record.HasField("history"):
                row = {_key(item): json.loads(item.value_json) for item in record.history.item}
                for name in row.keys() - {"_step", "_timestamp", "_runtime"}:
                    shown[trial, int(seed), name, row["_step"]].append(row[name])
            if record.HasField("summary"):
                summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        for name in filter(lambda name: name.startswith("test/"), summary):
            shown[trial, int(seed), name, summary["best/epoch"]].append(summary[name])
    return shown


def _key(item) -> str:
    return item.key or ".".join(item.nested_key)


def wandb_runs(run: RunDir) -> Iterator[list]:
    """Of each offline run, its records. W&B's reader is a program; the file is LevelDB's log of protobufs."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted((run.path.local / "wandb").glob("offline-run-*/*.wandb")):
        data, records, part, at = file.read_bytes(), [], b"", 7
        while at < len(data):
            if 32768 - at % 32768 < 7:  # a block's end has no room for a header
                at += 32768 - at % 32768
                continue
            length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
            part += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # whole, or its last part
                records.append(Record.FromString(part))
                part = b""
        assert any(record.HasField("exit") for record in records), f"{file} was not finished"
        yield records


READERS: dict[str, Callable[[RunDir], Shown]] = {
    "tensorboard": in_tensorboard,
    "wandb": in_wandb,
    "mlflow": in_mlflow,
    "trackio": in_trackio,
}


def assert_shown_once(run: RunDir, name: str) -> None:
    """Everything that the tables hold is in a tracker, and once; and nothing is there twice."""
    shown, wanted = READERS[name](run), expected(run)
    assert wanted
    doubled = {key: values for key, values in shown.items() if len(values) > 1}
    assert doubled == {}
    assert wanted.keys() - shown.keys() == set()
    # A float32 in TensorBoard's files.
    assert {k: round(shown[k][0], 5) for k in wanted} == {k: round(v[0], 5) for k, v in wanted.items()}
