"""What the commands share: how they look and how they end."""

import io
import re
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer

from scale_tune.cli.usage import Command
from scale_tune.errors import UserError
from scale_tune.shown import shown

if TYPE_CHECKING:
    from rich.console import Console

    from scale_tune.steps import Steps

COMMAND: dict[str, Any] = {"cls": Command}
"""Of every command."""
APP: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
"""Settings of every command."""
LONGEST = 2000
"""Of a message's lines, in characters."""


def checked_address(given: str | None) -> str | None:
    """An address without the blanks around it.

    Raises:
        typer.BadParameter: it is none.
    """
    address = None if given is None else given.strip()
    if address is not None and not re.fullmatch(r"\S+", address):
        raise typer.BadParameter(f"must be an address, as host:6379, [::1]:6379 or auto, got {address!r}")
    if address is not None and address.count(":") > 1 and not re.search(r"//|\]", address):
        raise typer.BadParameter(f"an IPv6 address stands in brackets, as [::1]:6379, got {address!r}")
    if address is not None and address.startswith("ray://"):
        host = urlsplit(address).hostname or "head"
        raise typer.BadParameter(
            f"{address} is for Ray's client, which can't drive a search; give the address of the cluster's dashboard, "
            f"as http://{host}:8265"
        )
    return address


Address = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        callback=checked_address,
        help="Ray cluster, as auto or host:port; from outside it, as http://head:8265. [default: start Ray here]",
    ),
]


def begin() -> None:
    """What every command does first."""
    from scale_tune.storage.umask import keep_from_all

    keep_from_all()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character is shown its number
            stream.reconfigure(errors="backslashreplace")


def exit_with(error: UserError) -> NoReturn:
    """The message, and the error's exit code, which is 2 for bad input."""
    typer.echo(shown("\n".join(map(_brief, f"error: {error}".split("\n")))), err=True)
    raise typer.Exit(error.exit_code) from None


def _brief(line: str) -> str:
    """A line without the middle of what somebody has made too long to be read."""
    return (
        line
        if len(line) <= LONGEST
        else f"{line[: LONGEST // 2]} [… {len(line) - LONGEST:,} more …] {line[-LONGEST // 2 :]}"
    )


def shown_steps(context: typer.Context) -> "Steps":
    """What a command tells of its steps, until it ends."""
    from scale_tune.steps import Steps  # a tenth of a second, which --help need not wait for

    steps: Steps = context.with_resource(Steps(console_of()))
    return steps


def console_of() -> "Console":
    """Where tables are printed: as wide as the terminal, or 120 columns where there is none."""
    from scale_tune.steps import Screen

    return Screen(width=None if sys.stdout.isatty() else 120)


def say(console: "Console", line: str) -> None:
    """Print a line: on a terminal wrapped between words, the rest set in; whole elsewhere, so that grep works."""
    if console.file.isatty():
        line = textwrap.fill(
            line, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    console.print(line, soft_wrap=True)


def say_written(console: "Console", files: Iterable[object]) -> None:
    """Print what was written: a line for each directory, as ``wrote runs/demo/results: trials.parquet, …``."""
    of_directory: dict[str, list[str]] = {}
    for file in map(str, files):
        of_directory.setdefault(file.rpartition("/")[0], []).append(file)
    for directory, of_it in of_directory.items():
        names = ", ".join(file.rpartition("/")[2] for file in of_it)
        say(console, f"wrote {of_it[0]}" if len(of_it) == 1 else f"wrote {directory}: {names}")
