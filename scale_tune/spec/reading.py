"""Reading what people write: search spaces and Python files, which are small."""

import errno
from pathlib import Path

MOST_BYTES = 2**20
"""Of one file."""


def read_text(path: Path) -> str:
    """A file in UTF-8.

    Raises:
        OSError: it can't be read, or is too large for anything that somebody wrote, as a device without an end.
        ValueError: its name or its content is no text.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES:,} bytes", str(path))
    return content.decode()


def why(error: Exception) -> str:
    """What kept a file from being read, without its name."""
    return getattr(error, "strerror", None) or str(error)
