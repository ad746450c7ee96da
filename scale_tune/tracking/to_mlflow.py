"""MLflow: a run for each seed in an experiment of the run's name.

They are where ``$MLFLOW_TRACKING_URI`` says, else in ``mlflow/`` of the run's directory.

MLflow takes whatever is logged, also twice. So a tag says how much of a curve a run has, and while more is logged that
the writer has not come to the end. A run that such a writer has left, or that has something else than the beginning of
the curve, is deleted and written anew.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from scale_tune.storage.rundir import RunDir
from scale_tune.tracking.curves import Curve, Point
from scale_tune.tracking.tracker import Tracker

ID, HAS = "scale_tune.id", "scale_tune.has"
WRITING = "writing"
STATUS = {"running": "RUNNING", "failed": "FAILED", "diverged": "FAILED"}
"""MLflow's word for a state; FINISHED for all others."""
BATCH = 500
"""Metrics at once; MLflow takes 1,000 and 1 MB."""
PARAMS, LONGEST = 100, 500
"""So many parameters at once, and the longest value, as MLflow's servers take them."""

Item = TypeVar("Item")


class MLflow(Tracker):
    """See the module."""

    package = "mlflow"
    place = "MLFLOW_TRACKING_URI"

    def __init__(self, run: RunDir) -> None:
        super().__init__(run)
        self._experiment: str | None = None
        self._known: dict[str, tuple[str, str]] = {}
        """By our ids, MLflow's and the tag, as they are in its store: nobody else writes there."""

    def how_to_look(self) -> str:
        """The command."""
        return self.named_place() or f"mlflow ui --backend-store-uri {self._uri}"

    def write(self, curves: Sequence[Curve]) -> None:
        """A run for each seed."""
        try:
            self._find_runs()
            for curve in curves:
                self._write(curve)
        except BaseException:
            self._experiment = None  # what the store has is asked for again
            raise

    @property
    def _uri(self) -> str:
        return self.named_place() or f"sqlite:///{self.directory}/mlflow.db"

    @property
    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri)

    def _find_runs(self) -> None:
        if self._experiment is not None:
            return
        artifacts = None
        if self.named_place() is None:
            self.directory.mkdir(exist_ok=True)
            artifacts = (self.directory / "artifacts").as_uri()
        found = self._client.get_experiment_by_name(self.project)
        experiment = found.experiment_id if found else self._client.create_experiment(self.project, artifacts)
        self._known, page = {}, None
        while page != "":
            runs = self._client.search_runs([experiment], max_results=1000, page_token=page)
            for run in runs:
                if ID in run.data.tags:
                    self._known[run.data.tags[ID]] = (run.info.run_id, run.data.tags.get(HAS, WRITING))
            page = runs.token or ""
        self._experiment = experiment

    def _write(self, curve: Curve) -> None:
        key, points = self.id_of(curve), curve.everything
        whole = _beginning(curve, len(points)) + curve.state
        run, has = self._known.pop(key, (None, ""))
        if has != whole:
            n = int(has.split()[0]) if has and has != WRITING else 0
            if run is not None and not has.startswith(_beginning(curve, n)):
                self._client.delete_run(run)
                run = None
            if run is None:
                run, n = self._create(curve, key), 0
            self._client.set_tag(run, HAS, WRITING)
            for batch in _batches(_metrics(points[n:]), BATCH):
                self._client.log_batch(run, metrics=batch)
            self._end(run, curve)
            self._client.set_tag(run, HAS, whole)
        self._known[key] = (str(run), whole)

    def _create(self, curve: Curve, key: str) -> str:
        from mlflow.entities import Param

        tags = {ID: key, HAS: WRITING, "trial": curve.trial, "method": curve.method, "run": str(self.run.path)}
        started = round(1000 * curve.started)
        made = self._client.create_run(self._experiment, start_time=started, tags=tags, run_name=curve.name)
        params = [Param(_name(name), str(value)[:LONGEST]) for name, value in curve.config.items()]
        for batch in _batches(params, PARAMS):
            self._client.log_batch(made.info.run_id, params=batch)
        return str(made.info.run_id)

    def _end(self, run: str, curve: Curve) -> None:
        """What the trial came to, or that it trains again."""
        self._client.set_tag(run, "state", curve.state)
        self._client.set_tag(run, "error", (curve.error or "")[-5000:])
        status = STATUS.get(curve.state, "FINISHED")
        if status == "RUNNING":
            self._client.update_run(run, status=status)
        else:
            self._client.set_terminated(run, status, end_time=round(1000 * curve.ended))


def _beginning(curve: Curve, n: int) -> str:
    """What the tag says of a run that has the curve's first ``n`` points, up to the state."""
    has = repr((curve.config, curve.started, curve.everything[:n]))
    return f"{n} {hashlib.sha256(has.encode()).hexdigest()[:16]} "


def _metrics(points: Sequence[Point]) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(_name(name), value, round(1000 * point.time), point.epoch)
        for point in points
        for name, value in point.values.items()
    ]


def _name(name: str) -> str:
    """As MLflow takes it."""
    return re.sub(r"[^\w./ -]", "_", name)


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
