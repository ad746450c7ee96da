"""Trackio: a run for each seed in the project of the run's name, in Trackio's own store on this machine.

``trackio.log`` dates what it gets by the clock and writes it from a thread some time later. What is below it takes a
time and an id for each point, has each id once, and writes all of a call or nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from scale_tune.tracking.curves import Curve, Point
from scale_tune.tracking.tracker import Tracker


class Trackio(Tracker):
    """See the module."""

    package = "trackio"

    def how_to_look(self) -> str:
        """The command."""
        return f"trackio show --project {self.project}"

    def write(self, curves: Sequence[Curve]) -> None:
        """A run for each seed."""
        for curve in curves:
            self._write(curve)

    def _write(self, curve: Curve) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        key = self.id_of(curve)
        # A trial of which nothing is known is there as well.
        points = curve.everything or [Point(epoch=0, time=curve.started, values={})]
        rows = [(point.epoch, point.values) for point in points]
        known = [_row(log) for log in SQLiteStorage.get_logs(self.project, curve.name, run_id=key)]
        if known != rows[: len(known)]:
            SQLiteStorage.delete_run(self.project, curve.name, run_id=key)
        SQLiteStorage.bulk_log(
            self.project,
            curve.name,
            [point.values for point in points],
            steps=[point.epoch for point in points],
            timestamps=[datetime.fromtimestamp(p.time, UTC).isoformat(timespec="milliseconds") for p in points],
            log_ids=[f"{key}-{i}" for i in range(len(points))],
            run_id=key,
            config={**curve.config, "trial": curve.trial, "state": curve.state, "error": curve.error},
        )


def _row(log: dict[str, Any]) -> tuple[int, dict[str, float]]:
    return log["step"], {name: value for name, value in log.items() if name not in ("step", "timestamp")}
