"""What a page holds compressed, for its reader's browser to unpack: a data block of gzip in base64."""

import base64
import gzip


def packed(text: str) -> str:
    """The text for ``unpacked`` in ``unpacking.js``; the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()
