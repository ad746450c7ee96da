"""The directory of a run: where everything is, who made it, and that only one driver works on it."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from scale_tune.errors import UserError
from scale_tune.files import sync_directory, write_atomically
from scale_tune.space import RunSpec, override, validate_spec
from scale_tune.yamlfile import parse_yaml

PACKAGES = ("scale-tune", "torch", "torchvision", "ray", "optuna", "cmaes", "numpy", "scipy", "scikit-learn")
"""The packages whose versions a result may depend on."""


class RunDir:
    """Paths below one run's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.spec = self.path / "spec.yaml"
        self.ledger = self.path / "ledger.log"
        self.results = self.path / "results"
        self.trials = self.path / "trials"

    def trial(self, name: str) -> Path:
        """The directory of one trial."""
        return self.trials / name

    def read_spec(self, overrides: dict[str, Any] | None = None) -> RunSpec:
        """What the run searches.

        Args:
            overrides: values by dotted key that replace those of the run.

        Raises:
            UserError: this is not the directory of a run, or an overriding value is wrong.
        """
        if not self.spec.is_file():
            raise UserError(f"{self.path} is not the directory of a run: it has no spec.yaml")
        data, lines = parse_yaml(self.spec.read_text(), str(self.spec))
        if not isinstance(data, dict) or not isinstance(data.get("spec"), dict):
            raise UserError(f"{self.spec} is not the spec of a run: it has no mapping 'spec'")
        places = {key[1:]: f"{self.spec}:{line}" for key, line in lines.items() if key[:1] == ("spec",)}
        override(data["spec"], places, overrides or {})
        return validate_spec(data["spec"], places, str(self.spec))

    def provenance(self) -> dict[str, Any]:
        """How the run was made: when, by which command, commit and versions."""
        data, _ = parse_yaml(self.spec.read_text(), str(self.spec))
        found: dict[str, Any] = data["provenance"]
        return found

    def rewrite_spec(self, spec: RunSpec) -> None:
        """Replace what the run searches, as when it is extended; how it was made is kept."""
        write_atomically(self.spec, _spec_file(spec, self.provenance()))

    @contextmanager
    def only_driver(self) -> Iterator[None]:
        """Hold the run for this process.

        The operating system drops the lock of a process that dies, so a dead driver blocks nobody.

        Raises:
            UserError: another process holds it; the message names its host and process id.
        """
        driver = self.path / "driver.json"
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            try:
                other = json.loads(driver.read_text())
                who = f"process {other['pid']} on {other['host']}, since {other['since']}"
            except (OSError, ValueError, KeyError):
                who = "another process"
            raise UserError(f"the run {self.path} is already being driven by {who}; wait for it or stop it") from None
        try:
            me = {"host": platform.node(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
            write_atomically(driver, json.dumps(me).encode())
            yield
        finally:
            lock.release()


def check_new_run(storage: Path, name: str) -> Path:
    """Where the run would be.

    Raises:
        UserError: the name can't be a directory's, or is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UserError(
            f"--name {name!r} must be up to 100 letters, digits, '.', '_' and '-', "
            "and start with a letter or digit; "
            "use --storage for the directory it goes into"
        )
    if re.match("[a-z0-9]+:/", str(storage)):
        raise UserError(f"--storage {storage} must be a directory; object storage is not supported yet")
    path = storage / name
    if path.exists():
        raise UserError(
            f"the run {path} exists; go on with it by\n  python tune.py --resume {path}\nor choose another --name"
        )
    return path


def create_run(storage: Path, name: str, spec: RunSpec) -> RunDir:
    """Make the directory of a new run, complete with its spec, or nothing.

    Raises:
        UserError: as :func:`check_new_run`, or the storage can't be written.
    """
    path = check_new_run(storage, name)
    try:
        storage.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=storage))
        try:
            write_atomically(temporary / "spec.yaml", _spec_file(spec, _provenance()))
            # From now on a run without a ledger is one that lost it, and not one that has not begun.
            write_atomically(temporary / "ledger.log", b"")
            temporary.chmod(0o777 & ~_umask())
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_directory(storage)
    except OSError as error:
        raise UserError(f"can't make the run directory {path}: {error}; choose another --storage or --name") from None
    return RunDir(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _spec_file(spec: RunSpec, provenance: dict[str, Any]) -> bytes:
    content = {"provenance": provenance, "spec": plain_spec(spec)}
    text = "# Written by scale-tune: what this run searches, and how it was made.\n"
    return (text + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).encode()


def plain_spec(spec: RunSpec) -> dict[str, Any]:
    """The spec as plain data, which :func:`scale_tune.space.validate_spec` takes back."""
    return spec.model_dump(mode="json")


def _provenance() -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with ``-dirty`` if it was changed; None elsewhere."""
    source = Path(__file__).resolve().parent.parent
    if not (source / ".git").exists():
        return None
    described = subprocess.run(
        ["git", "-C", str(source), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None
