"""A file that holds a digest of itself tells any change of itself."""

import pytest

from scale_tune.storage.seal import blank, check_seal, sealed


def seal(content: bytes, kind: str = "thing") -> bytes:
    return b"".join(sealed(content, kind))


WHOLE = seal(f'{{"a": 0.5, "seal": "{blank("thing")}", "b": [1]}}'.encode())


def test_what_is_as_it_was_sealed_passes():
    check_seal(WHOLE, "thing")


def test_every_bit_counts_those_of_the_digest_too():
    for at in range(len(WHOLE)):
        with pytest.raises(ValueError, match="damaged"):
            check_seal(WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :], "thing")
        with pytest.raises(ValueError, match="damaged"):
            check_seal(WHOLE[:at], "thing")


def test_what_was_never_sealed_or_is_of_another_kind_is_refused():
    for content in (b"", b"{}", blank("thing").encode(), WHOLE.replace(b"thing", b"other")):
        with pytest.raises(ValueError, match="damaged"):
            check_seal(content, "thing")


def test_a_seal_in_a_sealed_content_is_content():
    outer = seal(WHOLE + blank("outer").encode(), "outer")
    check_seal(outer, "outer")
    check_seal(outer[: len(WHOLE)], "thing")
    with pytest.raises(ValueError, match="damaged"):
        check_seal(outer.replace(b"0.5", b"0.6"), "outer")
