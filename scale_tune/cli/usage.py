"""Commands whose lines are refused in the words, and in the form, in which everything else is refused."""

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from scale_tune.shown import shown

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""Which Typer gives no public name of its own."""


class Command(TyperCommand):
    """A command that says of a wrong command line what is wrong, the value, and where help is."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """As Typer does, which takes the arguments apart here."""
        words = list(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except UsageError as error:
            typer.echo(shown(f"error: {told(error, words)}; see {info_name} --help"), err=True)
            raise typer.Exit(2) from None


def told(error: Any, words: Sequence[str]) -> str:
    """What is wrong with a command line, as ``--epochs: must be a valid integer, got 'many'``."""
    if getattr(error, "option_name", None) and getattr(error, "possibilities", None):
        return f"{error.option_name}: there is no such option; did you mean {', '.join(sorted(error.possibilities))}?"
    param = getattr(error, "param", None)
    if param is None:
        return str(error.format_message()).rstrip(".")
    name = param.opts[0] if param.param_type_name == "option" else (param.metavar or param.name)
    if type(error).__name__ == "MissingParameter":
        return f"{name}: is missing; give it"
    rule = re.sub(r"^Value error, |, unable to parse .*|\.$", "", error.message).replace("Input should be", "must be")
    value = _given(name, words)
    return f"{name}: {rule}" + ("" if value is None or value in rule else f", got {value!r}")


def _given(option: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None
