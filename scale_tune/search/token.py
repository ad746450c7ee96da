"""The token by which Ray knows who may run code in a cluster of this user's."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

TOKEN = Path(".ray") / "auth_token"
"""Where Ray keeps it, in the home directory."""
ELSEWHERE = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Who has set one of these has another."""


def keep_token_private(*, starts_ray: bool) -> None:
    """See that nobody else can read the token: whoever can runs code as this user.

    Ray would make it readable for all. What can't be done here is left to Ray, which says what it lacks.

    Args:
        starts_ray: whether a cluster is started here, for which Ray makes a token if there is none.
    """
    with suppress(OSError, RuntimeError):
        path = Path.home() / TOKEN
        if starts_ray and not path.exists() and _is_used():
            _make(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _is_used() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "token").lower() == "token" and not any(map(os.environ.get, ELSEWHERE))


def _make(path: Path) -> None:
    """As Ray does, but whole and private from the beginning."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        path.hardlink_to(new)  # another driver may have made one meanwhile
    finally:
        new.unlink()
