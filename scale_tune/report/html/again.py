"""The command that trains a trial again, alone: the run's own spec, with the trial's config as its only point."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from scale_tune.report.html.data import Analysis


def command(analysed: Analysis, method: str, trial: str, config: Mapping[str, Any]) -> str:
    """A line for a shell, which trains the trial's config on its seeds to the end, as a run of its own.

    Args:
        analysed: the run.
        method: the trial's.
        trial: its name.
        config: a value for each parameter that is searched, as the search drew it.
    """
    # A JSON value is one of YAML, too, with every text in quotes.
    points = json.dumps([config] if config else [], ensure_ascii=False)
    all_seeds = ("scheduler.first_seeds=null",) * (analysed.spec.scheduler.first_seeds is not None)
    settings = ("sampler=points", f"methods.{method}.try_first={points}", "scheduler.name=none", *all_seeds)
    words = ["python", "tune.py", spec_file(analysed), "--methods", method, "--name", _name(analysed, trial)]
    return shlex.join([*words, *(word for setting in settings for word in ("--set", setting))])


def spec_file(analysed: Analysis) -> str:
    """The run's spec for the command line, which takes no address of an object store: a copy of it."""
    return "spec.yaml" if "://" in analysed.where else f"{analysed.where}/spec.yaml"


def _name(analysed: Analysis, trial: str) -> str:
    """As ``demo-scale-00017``, of what a run may be called."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{analysed.name}-{trial}").lstrip("-._")
    return plain if len(plain) <= 100 else trial


def note(analysed: Analysis) -> str:
    """What else has to be known of these commands."""
    copied = ""
    if "://" in analysed.where:
        code = " and its directory code" * bool(analysed.spec.files)
        copied = f"The run’s spec.yaml{code} ({analysed.where}) must be copied here before. "
    return f"{copied}It trains every seed to the end, as a run of its own; add --dry-run to see it first."
