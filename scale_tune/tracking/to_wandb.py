"""Weights & Biases: a run for each seed, written to the disk as an offline run once its trial has ended, and then sent.

W&B gives each writer of a run a file of its own and drops points out of order, so it is told of a trial once and whole:
an offline run is made under another name, and renamed when it is complete. What is sent is up to W&B's own ``wandb
sync``, which marks what has arrived; whatever fails, or waits for a login, is in the run's ``wandb/``, or in
``$WANDB_DIR/wandb``, and is sent the next time. ``$WANDB_MODE=offline`` leaves it there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from scale_tune.tracking.curves import Curve
from scale_tune.tracking.tracker import Tracker

MODE, PROJECT = "WANDB_MODE", "WANDB_PROJECT"
DIGEST = "scale-tune.digest"
"""The file in an offline run that says of which curve it is."""
SENDING_SECONDS = 600


class Wandb(Tracker):
    """See the module."""

    package = "wandb"
    place = "WANDB_DIR"
    of_running = False

    def how_to_look(self) -> str:
        """The files, and how to send them."""
        return f"wandb sync {self._directory}" if self._offline else f"W&B's project {self._project}"

    def write(self, curves: Sequence[Curve]) -> None:
        """An offline run for each seed."""
        for curve in curves:
            began = datetime.fromtimestamp(curve.started, UTC)
            place = self._directory / f"offline-run-{began:%Y%m%d_%H%M%S}-{self.id_of(curve)}"
            before = list(self._directory.glob(f"offline-run-*-{self.id_of(curve)}"))
            if before == [place] and (place / DIGEST).is_file() and (place / DIGEST).read_text() == curve.digest:
                continue
            with tempfile.TemporaryDirectory(prefix=".writing-", dir=self._made_directory()) as scratch:
                self._write(curve, Path(scratch))
                (made,) = Path(scratch).glob("wandb/offline-run-*")
                (made / DIGEST).write_text(curve.digest)
                for other in before:
                    shutil.rmtree(other)
                made.rename(place)

    def send(self) -> None:
        """Send what hasn't arrived; the marks of W&B say what has."""
        waiting = [file.parent for file in self._directory.glob("offline-run-*/*.wandb") if not _arrived(file)]
        if self._offline or not waiting:
            return
        command = [sys.executable, "-m", "wandb", "sync", *map(str, waiting)]
        sent = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SENDING_SECONDS,
            check=False,
        )
        left = [file for directory in waiting for file in directory.glob("*.wandb") if not _arrived(file)]
        if left:
            why = " ".join(sent.stdout.split())[-300:]
            raise OSError(f"{len(left)} runs in {self._directory} could not be sent: {why}")

    @property
    def _directory(self) -> Path:
        named = self.named_place()
        return Path(named) / "wandb" if named else self.directory

    def _made_directory(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory

    @property
    def _offline(self) -> bool:
        return os.environ.get(MODE) in ("offline", "dryrun", "disabled")

    @property
    def _project(self) -> str:
        return os.environ.get(PROJECT) or self.project

    def _write(self, curve: Curve, directory: Path) -> None:
        import wandb

        settings = wandb.Settings(
            mode="offline",
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
            x_start_time=curve.started,
        )
        run = wandb.init(
            dir=directory,
            id=self.id_of(curve),
            project=self._project,
            name=curve.name,
            group=curve.trial,
            job_type=curve.method,
            tags=[curve.state],
            config=dict(curve.config),
            settings=settings,
        )
        try:
            for point in curve.points:
                run.log(point.values | {"_timestamp": point.time}, step=point.epoch)
            run.summary.update((curve.end.values if curve.end else {}) | {"state": curve.state})
            if curve.error:
                run.summary["error"] = curve.error
        finally:
            run.finish(exit_code=int(curve.state == "failed"))


def _arrived(file: Path) -> bool:
    return file.with_suffix(".wandb.synced").exists()
