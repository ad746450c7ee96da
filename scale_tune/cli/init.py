"""The command ``tune.py init``: a search space to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from scale_tune.cli.common import APP, COMMAND, exit_with
from scale_tune.errors import UserError
from scale_tune.shown import printable

init_app = typer.Typer(**APP)


@init_app.command(**COMMAND)
def init(
    file: Annotated[Path | None, typer.Argument(help="File to write. [default: print it]")] = None,
    dataset: Annotated[str, typer.Option(help="Dataset, as waterbirds.")] = "",
    methods: Annotated[str, typer.Option(help="Methods to compare, as erm,scale.")] = "",
    csv: Annotated[str | None, typer.Option(help="With --dataset table: the CSV that lists the pictures.")] = None,
) -> None:
    """Write a search space for a dataset and methods, with every option of theirs and what it means.

      python tune.py init --dataset celeba --methods erm,scale my.yaml

      python tune.py init --dataset table --csv list.csv --methods erm my.yaml

    docs/methods.md has the methods, and docs/keys.md every key of a search space. A search space that is called init is
    searched by tune.py ./init.
    """
    try:
        from scale_tune.workflows.new_space import new_space

        names = [name.strip() for name in methods.split(",") if name.strip()]
        text = new_space(
            dataset, names, {} if csv is None else {"csv": csv}, "my.yaml" if file is None else printable(str(file))
        )
        if file is None:
            typer.echo(text, nl=False)
            return
        _write_new(file, text)
    except UserError as error:
        exit_with(error)
    typer.echo(f"wrote {printable(str(file))}\nsee what it would do:  python tune.py {file} --dry-run")


def _write_new(file: Path, text: str) -> None:
    try:
        new = file.open("x", encoding="utf-8")
    except FileExistsError:
        raise UserError(f"{file} is there already, and is left as it is; give another name") from None
    except FileNotFoundError:
        raise UserError(
            f"can't write {file}: there is no directory {file.parent}; make it, or give another name"
        ) from None
    except OSError as error:
        raise UserError(f"can't write {file}: {error.strerror}; give another name") from None
    try:
        with new:
            new.write(text)
    except OSError as error:
        file.unlink()
        raise UserError(f"can't write {file}: {error.strerror}") from None
