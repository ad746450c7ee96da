"""One sentence for what is the same on many kinds of data."""

import re
from collections.abc import Sequence

LISTED = 3
"""Kinds of data that a sentence names."""
_NUMBER = re.compile(r"\d+(\.\d+)?")


def grouped(sentences: Sequence[str], datasets: Sequence[str]) -> list[str]:
    """The sentences, those that differ in the data they are about, or in numbers, as one.

    Args:
        sentences: any of them may name one of the datasets.
        datasets: their names.

    Returns:
        A sentence stands where the first that it stands for stood, and says of how many datasets, and of which, it
        holds. What is only alike is told of the first of them, as an example. Sentences of one dataset stay as many.
    """
    if len(datasets) < 2:
        return list(sentences)
    kinds: dict[str, list[tuple[str, str]]] = {}
    for sentence in sentences:
        dataset = _dataset_of(sentence, datasets)
        kinds.setdefault(_NUMBER.sub("#", _without(sentence, dataset)), []).append((sentence, dataset))
    found: dict[str, str] = {}
    for kind in kinds.values():
        of = [dataset for _, dataset in kind]
        alone = len(kind) == 1 or len(set(of)) < len(of)
        found |= {s: s for s, _ in kind} if alone else {kind[0][0]: _as_one(kind, len(datasets))}
    return [found[sentence] for sentence in dict.fromkeys(sentences) if sentence in found]


def _dataset_of(sentence: str, datasets: Sequence[str]) -> str:
    """The dataset that a sentence is about; empty if it names none or several."""
    by_length = sorted(datasets, key=len, reverse=True)  # a name may begin with another
    named, rest = [], sentence
    for name in by_length:
        if re.search(rf"(^|\bon ){re.escape(name)}(?=\W|$)", rest):
            named.append(name)
            rest = rest.replace(name, "")
    return named[0] if len(named) == 1 else ""


def _without(sentence: str, dataset: str) -> str:
    """What is left of a sentence without its dataset."""
    if not dataset:
        return sentence
    return sentence.removeprefix(f"{dataset}: ").replace(f" on {dataset}", "")


def _as_one(kind: Sequence[tuple[str, str]], datasets: int) -> str:
    texts = [_without(sentence, dataset) for sentence, dataset in kind]
    names = [dataset for _, dataset in kind]
    where = f"on {len(names)} of {datasets} datasets"
    if len(names) < datasets:
        where += f" ({', '.join(names[:LISTED])}{f' and {len(names) - LISTED} more' * (len(names) > LISTED)})"
    if len(set(texts)) == 1:
        return f"{where}: {texts[0]}"
    return f"{where}, as on {names[0]}: {texts[0]}"
