"""What may happen to a file: to its bytes, by a disk or a network, and to what it says, by somebody's hand."""

import re
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]


def _flip_a_bit(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def _change_a_byte(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content))
    return content[:at] + random.randbytes(1) + content[at + 1 :]


def _zero_a_block(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:start] + bytes(stop - start) + content[stop:]


def _cut_off(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))]


def _cut_out(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:start] + content[stop:]


def _double(content: bytes, random: Random) -> bytes:
    start, stop = _span(content, random)
    return content[:stop] + content[start:]


def _insert(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + random.randbytes(random.randint(1, 40)) + content[at:]


def _empty(content: bytes, random: Random) -> bytes:
    return b""


def _span(content: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(content))
    return start, min(len(content), start + random.choice([1, 16, 256, 4096]))


def _edit_a_number(content: bytes, random: Random) -> bytes:
    """Which remains one, and the text well-formed."""
    number = random.choice(list(re.finditer(rb"(?<=[:, \[])-?\d+(\.\d+)?(?=[,}\]\s])", content)))
    edited = random.choice([b"0", b"1", b"0.25", number[0] + b"1", number[0][:-1] + b"7"])
    return content[: number.start()] + edited + content[number.end() :]


def _of_lines(change: Callable[[list[bytes], Random], None]) -> Mutation:
    def mutation(content: bytes, random: Random) -> bytes:
        lines = content.splitlines(keepends=True)
        change(lines, random)
        return b"".join(lines)

    mutation.__name__ = change.__name__
    return mutation


def _leave_a_line_out(lines: list[bytes], random: Random) -> None:
    del lines[random.randrange(len(lines))]


def _double_a_line(lines: list[bytes], random: Random) -> None:
    at = random.randrange(len(lines))
    lines.insert(at, lines[at])


def _swap_two_lines(lines: list[bytes], random: Random) -> None:
    at = random.randrange(len(lines) - 1)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


def _move_a_line_to_the_end(lines: list[bytes], random: Random) -> None:
    lines.append(lines.pop(random.randrange(len(lines) - 1)))


def _cut_the_last_lines(lines: list[bytes], random: Random) -> None:
    del lines[-random.randint(1, len(lines)) :]


BYTES: list[Mutation] = [
    *(_flip_a_bit, _change_a_byte, _zero_a_block, _cut_off, _cut_out, _double, _insert, _empty),
]
TEXT: list[Mutation] = [_edit_a_number]
LINES = [
    *map(
        _of_lines,
        (_leave_a_line_out, _double_a_line, _swap_two_lines, _move_a_line_to_the_end, _cut_the_last_lines),
    )
]
