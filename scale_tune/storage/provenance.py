"""How a run was made: when, by which command, code and packages; and what has changed since."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scale_tune.shown import masked

PACKAGES = ("scale-tune", "torch", "torchvision", "ray", "optuna", "cmaes", "numpy", "scipy", "scikit-learn")
"""The packages whose versions a result may depend on."""
COMMAND_VARIABLE, COMMIT_VARIABLE = "SCALE_TUNE_COMMAND", "SCALE_TUNE_COMMIT"
"""In the environment of a command that was carried here from elsewhere: how it was given there, and its commit."""


def provenance() -> dict[str, Any]:
    """Of the command that is running."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": masked(os.environ.get(COMMAND_VARIABLE) or " ".join(sys.argv)),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
    }


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a result may depend on and is no longer what it was, as ``torch 2.6.0, now 2.7.0``."""
    named = [(key, then.get(key), now.get(key)) for key in ("git_commit", "python")]
    before, after = then.get("versions") or {}, now["versions"]
    named += [(package, before.get(package), after.get(package)) for package in sorted({*before, *after})]
    return [f"{name} {old or 'unknown'}, now {new or 'unknown'}" for name, old, new in named if old != new]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """The commit of the checkout that this package is from, with ``-dirty`` if it was changed; None without one."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return os.environ.get(COMMIT_VARIABLE)
    described = subprocess.run(
        ["git", "-C", str(source), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None
