"""What a result can't support, in plain sentences: too little was trained, learned or judged."""

from collections.abc import Iterator, Sequence

import numpy as np

from scale_tune.analysis.counts import group_sizes, rows_of_trial
from scale_tune.analysis.entries import Entry
from scale_tune.analysis.grouped import listed
from scale_tune.analysis.intervals import FEWEST_SEEDS
from scale_tune.spec.parameters import Constant

SMALL_GROUP = 20
"""Images below which the accuracy of a group says little."""
FEWEST_TRIALS = 3
"""Selectable trials below which the best is hardly better than a draw."""


def of_entry(entry: Entry) -> Iterator[str]:
    """Of what was selected for a method: few seeds, networks that learned nothing or are worse than guesses."""
    if entry.trial is not None:  # the pretrained baseline was not trained from a seed
        yield from _seeds(entry)
        yield from _not_learned(entry)
    yield from _below_chance(entry)


def few_trials(labelled: Sequence[tuple[Entry, str]]) -> Iterator[str]:
    """Methods whose hyperparameters were searched, with hardly a trial to select. A confirmation selects none."""
    few = [
        f"{label} ({entry.eligible})"
        for entry, label in labelled
        if entry.trial is not None
        and entry.run.confirms is None
        and entry.eligible < FEWEST_TRIALS
        and _is_searched(entry)
    ]
    if few:
        yield (
            f"fewer than {FEWEST_TRIALS} selectable trials, of which the best is hardly better than a draw: "
            f"{listed(few)}"
        )


def small_groups(of_data: Sequence[Entry]) -> Iterator[str]:
    """Groups of test with few images."""
    sizes: dict[str, int] = {}
    for entry in of_data:
        if entry.trial is not None:
            sizes |= group_sizes(rows_of_trial(entry.run.tables["groups"], entry.trial), "test")
    small = [f"{name} ({n})" for name, n in sizes.items() if n < SMALL_GROUP]
    if small:
        yield f"groups of test with fewer than {SMALL_GROUP} images: {', '.join(small)}"


def _seeds(entry: Entry) -> Iterator[str]:
    n = len(entry.seeds)
    if n < entry.seeds_asked:
        yield f"{n} of the {entry.seeds_asked} seeds that were asked for"
    if n == 1:
        yield "1 seed: no standard deviation, and an interval that leaves out how much seeds differ"
    elif n < FEWEST_SEEDS:
        yield f"{n} seeds: no interval, which takes {FEWEST_SEEDS} at least"


def _not_learned(entry: Entry) -> Iterator[str]:
    """Accuracy on what it was trained on that is nearer to chance than to 1, at each seed's best epoch.

    The mean of the classes' accuracies is taken, of which chance is 1 / classes also where one class is the most
    frequent. It is that of the split that was learned better: SCALE learns from train only as far as target agrees.
    """
    rows = rows_of_trial(entry.run.tables["groups"], str(entry.trial))
    found = {}
    for split in ("train", "target"):
        of_classes = rows[rows["split"] == split].groupby("label")[["n", "correct"]].sum().query("n > 0")
        if len(of_classes) > 1:
            found[split] = (float((of_classes["correct"] / of_classes["n"]).mean()), 1 / len(of_classes))
    if not found:
        return
    split, (accuracy, chance) = max(found.items(), key=lambda item: item[1][0])
    if accuracy < (1 + chance) / 2:
        whose = "its networks have" if entry.protocol is None else f"the networks of {entry.trial}, its features, have"
        yield (
            f"{whose} not learned what they were trained on: accuracy on {split}, the mean of the classes', is "
            f"{accuracy:.3f}, nearer to chance ({chance:.3f}) than to 1"
        )


def _below_chance(entry: Entry) -> Iterator[str]:
    measured = entry.measured.get("test")
    if measured is None:
        return
    classes = len(np.unique(measured.counts.cells.labels))
    mean = float(measured.accuracies["worst_group"].mean())
    if classes > 1 and mean < 1 / classes:
        yield (
            f"its worst group of test (on average {measured.worst_group}) is below chance: {mean:.3f} against "
            f"{1 / classes:.3f} of {classes} classes"
        )


def _is_searched(entry: Entry) -> bool:
    """Whether its trials differ in more than their data."""
    space = entry.run.spec.method_space(entry.selected()["method"])
    return any(not isinstance(p, Constant) and not name.startswith("dataset.") for name, p in space.items())
