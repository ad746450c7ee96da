"""Text as it may be shown and kept: without secrets, and without what a terminal would obey."""

import re

MASK = "***"
NAMES = r"(?:password|passwd|passphrase|secret|token|(?:access|secret|client|server|api)_?key)"
"""The end of the names under which secrets stand in URLs."""

_OF_USER = re.compile(r"//([^:/\s@]*):\S*@")
_BY_NAME = re.compile(rf"""(?i)([\w.%-]*{NAMES})(=|%3d)('[^']*'|"[^"]*"|[^&\s'",;)]+)""")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def masked(text: str) -> str:
    """The text with ``***`` for each password in a URL, before the host or in the query, wherever in it URLs stand."""
    return _BY_NAME.sub(rf"\1\2{MASK}", _OF_USER.sub(rf"//\1:{MASK}@", text))


def is_secret(name: str) -> bool:
    """Whether what stands in a URL under this name is for nobody else to see."""
    return re.search(rf"{NAMES}$", name, re.IGNORECASE) is not None


def printable(text: str) -> str:
    r"""The text with ``\x1b`` and the like for what moves a cursor, rings, recolours or reorders, or has no encoding.

    Tabs and ends of lines are kept.
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def shown(text: str) -> str:
    """The text as any may see it, on any terminal and in any log."""
    return printable(masked(text))
