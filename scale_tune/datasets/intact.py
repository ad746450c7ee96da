"""Whether prepared data are as they were written, without reading them each time: they may be larger than memory.

Whoever loads them first after the node was started, or after a file has changed, reads and hashes them in full, one
process at a time. It leaves the files' stamps (size, times of change) in a file, and others compare those alone; one of
the times is set by the system and by no program. Whoever prepares the data leaves such a file as well.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from scale_tune.storage.location import write_atomically

MARK = "intact-"
"""Begins the name of the file with the stamps; the rest tells one start of one node from all others."""


def check_once(directory: Path, check: Callable[[], None]) -> None:
    """Call ``check``, which raises an error if files in the directory are damaged, unless it is known that none is.

    Where nothing can be written, nothing can be known of it either.
    """
    if _is_known(directory):
        return
    try:
        held = FileLock(f"{directory}.lock").acquire()
    except OSError:
        check()
        return
    with held:
        if not _is_known(directory):
            check()
            note_intact(directory)


def note_intact(directory: Path) -> None:
    """Leave a note that the files are now as they were written."""
    with suppress(OSError):
        write_atomically(directory / f"{MARK}{_start_of_node()}", json.dumps(_stamps(directory)).encode())


def _is_known(directory: Path) -> bool:
    try:
        known: object = json.loads((directory / f"{MARK}{_start_of_node()}").read_bytes())
    except (OSError, ValueError):
        return False
    return known == _stamps(directory)


def _stamps(directory: Path) -> dict[str, list[int]]:
    """Of every file: its size, when its content was changed, and when anything of it was."""
    found = {path.name: path.stat() for path in sorted(directory.iterdir()) if not path.name.startswith((MARK, "."))}
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for name, stat in found.items()}


def _start_of_node() -> str:
    """Changes when the machine is started, on Linux; elsewhere always the same."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "node"
