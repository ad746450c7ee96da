"""Disks that are full: which, and of what."""

import errno
import os
import platform
from pathlib import Path


def what_is_full(error: BaseException) -> str | None:
    """Where there is no space left, as ``on host: [Errno 28] … (0 MB of 16 MB are free)``, if an error says so.

    Args:
        error: what was raised where something was to be written.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return f"on {platform.node()}: {error}{_what_is_free(error.filename)}"


def _what_is_free(path: object) -> str:
    if not isinstance(path, str | Path):
        return ""
    try:
        disk = os.statvfs(Path(path).absolute().parent)
    except OSError:
        return ""
    if disk.f_files and not disk.f_favail:
        return f" (no inode of {disk.f_files:,} is free: delete files)"
    free, total = (blocks * disk.f_frsize / 1e6 for blocks in (disk.f_bavail, disk.f_blocks))
    return f" ({free:.0f} MB of {total:.0f} MB are free)"
