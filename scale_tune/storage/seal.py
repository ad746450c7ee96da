"""Files that hold a digest of themselves, so that what was changed since they were written is not believed.

The digest stands where a format has room for a word: a key of JSON, the header of tensors, the footer of a table. It is
SHA-256 over every byte of the file, in which its own 64 digits count as zeros. It tells damage, other files' content
and edits by hand; not somebody who makes the digest anew.
"""

import hashlib

DIGITS = 64


def blank(kind: str) -> str:
    """What stands in a file of this kind in the place of its digest until it is sealed."""
    return _mark(kind) + "0" * DIGITS


def sealed(content: bytes, kind: str) -> tuple[memoryview, bytes, memoryview]:
    """A file's content that holds the :func:`blank`, with its digest there; in parts, as it may be large."""
    before, digits, after = _parts(content, kind)
    if bytes(digits) != b"0" * DIGITS:
        raise ValueError(f"there is no place for the digest of a {kind}")
    return before, _digest(before, after), after


def check_seal(content: bytes, kind: str) -> None:
    """See that a file's content is as it was sealed.

    Raises:
        ValueError: it is not.
    """
    before, digits, after = _parts(content, kind)
    if bytes(digits) != _digest(before, after):
        raise ValueError("its content is not what its digest is of, so it was damaged or edited")


def _mark(kind: str) -> str:
    return f"scale-tune-{kind}-sha256:"


def _parts(content: bytes, kind: str) -> tuple[memoryview, memoryview, memoryview]:
    """What is before the digest, it, and what is after it."""
    mark = _mark(kind).encode()
    found = content.find(mark)
    if found < 0:
        raise ValueError("it holds no digest of itself, so it was damaged, edited or not written by scale-tune")
    start, view = found + len(mark), memoryview(content)
    return view[:start], view[start : start + DIGITS], view[start + DIGITS :]


def _digest(before: memoryview, after: memoryview) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(b"0" * DIGITS)
    digest.update(after)
    return digest.hexdigest().encode()
