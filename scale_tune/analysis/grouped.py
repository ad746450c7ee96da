"""One sentence for what is the same of many methods, or on many kinds of data."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LISTED = 3
"""Things that a sentence names; of more it says how many."""
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Note:
    """What is to be told, apart from what it is about."""

    text: str
    subject: str = ""
    """The method, or run, that it is about; empty if it names none, or several."""
    dataset: str = ""
    """The kind of data that it is about; empty if there is only one, or it is about all."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A note with all the data that it holds on."""

    text: str
    subject: str
    datasets: tuple[str, ...]
    example: str = ""
    """The one whose numbers are in the text, if those of others differ."""


def listed(names: Sequence[str]) -> str:
    """The first names, and how many there are besides, as ``a, b, c and 9 more``."""
    return ", ".join(names[:LISTED]) + f" and {len(names) - LISTED} more" * (len(names) > LISTED)


def grouped(notes: Sequence[Note], datasets: int) -> list[str]:
    """A sentence for each distinct note, with the methods and the data that it holds of.

    Args:
        notes: what is to be told.
        datasets: how many kinds of data there are.

    Returns:
        A sentence stands where the first note that it stands for stood. What is only alike on several kinds of data,
        as its numbers differ, is told of the first of them, as an example.
    """
    kinds: dict[tuple[str, str], list[Note]] = {}
    for note in dict.fromkeys(notes):
        kinds.setdefault((note.subject, _NUMBER.sub("#", note.text)), []).append(note)
    by_text: dict[tuple[str, str], list[_Held]] = {}
    for kind in kinds.values():
        for held in _over_datasets(kind):
            by_text.setdefault((held.text, held.example), []).append(held)
    return [_sentence(of_text, datasets) for of_text in by_text.values()]


def _over_datasets(kind: Sequence[Note]) -> Iterator[_Held]:
    """The notes of one subject that are alike: one if each is about other data, else one for each text."""
    of = tuple(note.dataset for note in kind)
    texts = list(dict.fromkeys(note.text for note in kind))
    if len(set(of)) == len(of):
        example = of[0] if len(texts) > 1 else ""
        yield _Held(text=texts[0], subject=kind[0].subject, datasets=of, example=example)
        return
    for text in texts:
        held_on = tuple(note.dataset for note in kind if note.text == text)
        yield _Held(text=text, subject=kind[0].subject, datasets=held_on)


def _sentence(of_text: Sequence[_Held], datasets: int) -> str:
    first = of_text[0]
    subjects = [held.subject for held in of_text if held.subject]
    if len({held.datasets for held in of_text}) > 1:
        about = listed([_place(held, datasets) for held in of_text])
    elif len(first.datasets) == 1:
        about = " on ".join(filter(None, (listed(subjects), *first.datasets)))
    else:
        named = f" ({listed(first.datasets)})" * (len(first.datasets) < datasets)
        example = f", as on {first.example}" * bool(first.example)
        where = f"on {len(first.datasets)} of {datasets} datasets{named}{example}"
        about = ": ".join(filter(None, (where, listed(subjects))))
    return f"{about}: {first.text}" if about else first.text


def _place(held: _Held, datasets: int) -> str:
    """The subject and its data, in short."""
    many = f"{len(held.datasets)} of {datasets} datasets"
    return " on ".join(filter(None, (held.subject, many if len(held.datasets) > 1 else held.datasets[0])))
