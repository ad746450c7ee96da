"""Commands that run as a job on a cluster, for ``--address http://head:8265``; paths are then those of the cluster."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from scale_tune.errors import UserError
from scale_tune.shown import shown

TOLD = ("SCALE_TUNE_DATA", "SCALE_TUNE_CACHE")
"""What a job is told of the environment here."""


def runs_as_job(address: str | None) -> bool:
    """Whether the address is that of a cluster's dashboard, which takes jobs."""
    return address is not None and address.startswith(("http://", "https://"))


def arguments(context: typer.Context, replaced: Mapping[str, str]) -> list[str | Path]:
    """A command's arguments as it has understood them, without the address.

    Args:
        context: of the command.
        replaced: values by the names of its parameters, instead of what was given.

    Returns:
        Words of a command line. A :class:`~pathlib.Path` is a file on this machine.
    """
    words: list[str | Path] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        value: Any = replaced.get(name, context.params[name])
        if name == "address" or value is None or value == parameter.default:
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            word = one if isinstance(one, Path) else str(one)
            if parameter.param_type_name == "argument":
                words.append(word)
            elif one is True:
                words.append(parameter.opts[0])
            elif str(word).startswith("-"):
                words.append(f"{parameter.opts[0]}={word}")
            else:
                words += [parameter.opts[0], word]
    return words


def run_as_job(
    address: str,
    *,
    command: str,
    arguments: Sequence[str | Path],
    paths: Mapping[str, Sequence[str | None]],
    works_on: str,
    files: Sequence[Path] = (),
    once: bool = False,
    plain: bool = False,
) -> int:
    """Run a command as a job, follow it, and return its exit code; see :class:`scale_tune.search.jobs.Job`.

    Args:
        address: of the cluster's dashboard.
        command: ``tune`` or ``analyze``.
        arguments: of it; see :func:`arguments`.
        paths: those among them that the cluster is to find, by the option that gave them; None where none did.
        works_on: what no two commands may work on at once.
        files: what it needs besides the files among its arguments.
        once: whether nothing is left to do when it has ended well.
        plain: whether it asks for nothing but that somebody works on it.

    Raises:
        UserError: a path is relative, or holds a secret; or as :func:`scale_tune.search.jobs.run_job`.
    """
    environment = {name: value for name in TOLD if (value := os.environ.get(name))}
    _check_paths(address, {**paths, **{f"${name}": [value] for name, value in environment.items()}})

    def say(line: str) -> None:
        typer.echo(shown(line))

    say(f"connecting to {address} …")
    from scale_tune.search.jobs import Job, run_job  # Ray takes its time

    job = Job(
        command=command,
        arguments=arguments,
        works_on=works_on,
        files=files,
        environment=environment,
        once=once,
        plain=plain,
    )
    return run_job(address, job, say)


def _check_paths(address: str, paths: Mapping[str, Sequence[str | None]]) -> None:
    from scale_tune.storage.location import Location

    for option, given in paths.items():
        for path in filter(None, given):
            Location.of(path)  # an address with a key in it goes nowhere
            if not path.startswith(("/", "s3:/")):
                raise UserError(
                    f"{option} {path} is relative, but with {address} this command runs on the cluster's head node; "
                    "give a path that all of its nodes share, or s3://bucket/path"
                )
