"""What the commands share: how they look and how they end."""

from typing import Annotated, Any, NoReturn

import typer

from scale_tune.errors import UserError

APP: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}
"""Settings of every command."""

Address = Annotated[
    str | None,
    typer.Option(envvar="RAY_ADDRESS", help="Ray cluster, as auto or ray://host:10001. [default: start Ray here]"),
]


def exit_with(error: UserError) -> NoReturn:
    """Bad input: the message, and exit code 2."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2) from None
