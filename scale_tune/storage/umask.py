"""Who may write what this process makes."""

import os

OTHERS_WRITE = 0o002


def umask() -> int:
    """This process's, which can only be read by setting another."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def keep_from_all() -> None:
    """Let nobody but the user and the group write what this process makes, nor what those do that it starts."""
    os.umask(umask() | OTHERS_WRITE)
