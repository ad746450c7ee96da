"""Commands that run on the head node of a cluster, for ``ray://``; paths are then those of the cluster."""

import sys
from pathlib import Path

import typer

from scale_tune.errors import UserError


def tune_on_head(address: str, space: Path | None, resume: str | None, storage: str | None) -> int:
    """Have the cluster's head node run it, and return its exit code."""
    from scale_tune.search.remote import SPACE, run_on_head
    from scale_tune.spec.loading import load_spec

    if space is not None:
        load_spec(space)  # what is wrong with it is said before anything is connected
    _refuse_relative(address, {"--storage": [storage or "runs"]} if resume is None else {"--resume": [resume]})
    given = [SPACE if space is not None and argument == str(space) else argument for argument in sys.argv[1:]]
    return run_on_head("tune", address, _without_address(given), space, typer.echo)


def analyze_on_head(address: str, run_dirs: list[str], export: str | None, report: str | None) -> int:
    """Have the cluster's head node run it, and return its exit code."""
    from scale_tune.search.remote import run_on_head

    _refuse_relative(address, {"RUN_DIR": run_dirs, "--export": [export or "/"], "--report": [report or "/"]})
    return run_on_head("analyze", address, _without_address(sys.argv[1:]), None, typer.echo)


def _refuse_relative(address: str, paths: dict[str, list[str]]) -> None:
    for option, given in paths.items():
        for path in given:
            if not path.startswith(("/", "s3:/")):
                raise UserError(
                    f"{option} {path} is relative, but with {address} this command runs on the cluster's head node; "
                    "give a path that all of its nodes share, or s3://bucket/path"
                )


def _without_address(arguments: list[str]) -> list[str]:
    remaining, given = [], iter(arguments)
    for argument in given:
        if argument == "--address":
            next(given)
        elif not argument.startswith("--address="):
            remaining.append(argument)
    return remaining
