"""A ledger in a database: where it is, and whether it can be there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy

from scale_tune.errors import UserError
from scale_tune.shown import is_secret, masked

DATABASE_SCHEMES = ("postgresql",)
"""Databases with locks that end with their session."""


@dataclass(frozen=True)
class Database:
    """A ledger in a database that many runs may share: the studies of this one are named ``<run>/<method>``."""

    url: str
    run: str

    def __str__(self) -> str:
        return f"{self.run} in {masked(self.url)}"

    @property
    def driver_url(self) -> str:
        """With the driver that this package installs, whichever is SQLAlchemy's own first choice."""
        return self.url.replace("postgresql://", "postgresql+psycopg://", 1)

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Say what is wrong with a database that can't be opened.

        Raises:
            UserError: SQLAlchemy raised an error, or has no driver for PostgreSQL.
        """
        try:
            yield
        except ImportError:
            raise UserError("a ledger in PostgreSQL needs its driver: pip install 'scale-tune[postgresql]'") from None
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise UserError(f"can't open the ledger {self}: {masked(str(error))}") from None


def check_database(url: str) -> None:
    """See that a database can hold a ledger, as far as its URL tells.

    Raises:
        UserError: it is of a kind that can't, or the URL holds a secret, which the run would keep in plain text.
    """
    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise UserError(f"--ledger: must be a URL, as postgresql://user@host/database, got {masked(url)!r}") from None
    if parsed.get_backend_name() not in DATABASE_SCHEMES:
        raise UserError(
            "--ledger: must be a PostgreSQL database, as postgresql://user@host/database, got "
            f"{parsed.set(query={})!r}; leave it out, and the ledger is a file in the run's directory"
        )
    by_name = sorted(name for name in parsed.query if is_secret(name))
    if parsed.password is not None or by_name:
        what = "a password" if parsed.password is not None else f"a secret ({', '.join(by_name)})"
        raise UserError(
            f"--ledger: {parsed.set(query={})!r} holds {what}, which the run's spec.yaml would show; leave it out, and "
            "put it into ~/.pgpass or $PGPASSWORD (that of a key: have the key without one)"
        )
