"""What a reader of a comparison would otherwise be misled about, in plain sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from scale_tune.analysis import unsupported
from scale_tune.analysis.comparison import dataset_names
from scale_tune.analysis.entries import Entry, RunTables, entries
from scale_tune.analysis.grouped import LISTED, Note, grouped, listed
from scale_tune.analysis.intervals import paired_seeds
from scale_tune.analysis.selection import eligible, ranked
from scale_tune.ranking import best_first
from scale_tune.spec.parameters import Choice, FloatRange, IntRange, Parameter
from scale_tune.tables.labels import shortened
from scale_tune.tables.schemas import rows_of

NEAR = 0.01
"""Of a range, on its own scale: what counts as its end."""
TOLD = 3
"""Pairs of methods whose order on val and on test is told to disagree; of others, how many."""

Named = tuple[Entry, str]
"""What was selected for a method, and the method's name, with its run's where there are several."""


def caveats(runs: Sequence[RunTables]) -> list[str]:
    """Sentences with the method and the numbers; none if nothing is amiss.

    Of every run: what is not finished, failed or diverged, or that there is nothing at all. Of every selected config:
    whether it lies at an end of the space, lacks seeds, was beaten by a trial that can't be selected, was one of few,
    has not learned what it was trained on, or is worse than a guess. Of every dataset: methods whose order on val is
    not that on test, and groups of test with few images. What holds of several methods, or on several datasets, is one
    sentence.
    """
    found = entries(runs)
    several_runs = len(runs) > 1
    named = [(entry, entry.method + f" of {entry.run.name}" * several_runs) for entry in found]
    names = dataset_names(found)
    on = names if len(names) > 1 else dict.fromkeys(names, "")  # the only one need not be named
    notes = [Note(subject=run.name * several_runs, text=text) for run in runs for text in _of_run(run)]
    for entry, name in named:
        notes += [Note(subject=name, dataset=on[entry.data], text=text) for text in _of_entry(entry)]
    by_data = {data: [(entry, name) for entry, name in named if entry.data == data] for data in names}
    for data, of_data in by_data.items():
        small = unsupported.small_groups([entry for entry, _ in of_data])
        of_all = (*_other_objectives(of_data), *_not_compared(of_data), *small)
        notes += [Note(dataset=names[data], text=text) for text in of_all]
    notes += _orders_that_disagree({on[data]: of_data for data, of_data in by_data.items()})
    with_data = [(entry, " on ".join(filter(None, (name, on[entry.data])))) for entry, name in named]
    notes += [Note(text=text) for text in unsupported.few_trials(with_data)]
    return grouped(notes, len(names))


def _of_run(run: RunTables) -> Iterator[str]:
    trials = run.tables["trials"]
    if trials.empty:
        yield "the run has no trials yet"
    for method, of_method in trials.groupby("method", sort=False):
        counts = of_method["state"].value_counts()
        not_finished = int(counts.get("running", 0) + counts.get("waiting", 0))
        parts = {"not finished": not_finished, "failed": int(counts.get("failed", 0))}
        parts["diverged"] = int((of_method["diverged"] > 0).sum())
        parts["complete, but without its record (record.json is gone)"] = int(_lacks_record(of_method).sum())
        if any(parts.values()):
            text = ", ".join(f"{n} {what}" for what, n in parts.items() if n)
            yield f"of the {len(of_method)} {method} trials, {text}: not selectable"
    asked = {method: run.spec.method_samples(method) for method in run.spec.methods}
    fewer = {method: (trials["method"] == method).sum() for method in asked}
    missing = [f"{fewer[method]} of {n} {method}" for method, n in asked.items() if fewer[method] < n]
    if missing:
        yield f"the search has not issued all trials yet: {', '.join(missing)}"


def _of_entry(entry: Entry) -> Iterator[str]:
    if not entry.measured and entry.run.confirms is not None and entry.trial is not None:
        yield f"the selected config is confirmed by {entry.trial}, but that one's last layer was not refitted"
        return
    if not entry.measured and entry.run.confirms is not None:
        yield (
            "the selected config is not confirmed: no trial of it has ended with a result of every fresh seed; "
            "--confirm goes on, or says what it lacks"
        )
        return
    if not entry.measured:
        yield f"none of {len(entry.trials)} trials can be selected: none ended with a result of every seed"
        return
    yield from unsupported.of_entry(entry)
    if entry.run.confirms is not None:
        yield from _better_on_fresh_seeds(entry)
    elif entry.protocol is None:  # what suits ERM was searched for ERM, not for a refitted layer
        yield from _at_an_end(entry)
        yield from _beaten(entry)
        yield from _data_from_a_range(entry)


def _at_an_end(entry: Entry) -> Iterator[str]:
    """Parameters of the selected config at an end of what was searched. Data is not chosen for being good."""
    row = entry.selected()
    for name, parameter in entry.run.spec.method_space(row["method"]).items():
        if not name.startswith("dataset.") and (end := end_of(parameter, row[f"config.{name}"])):
            yield f"the selected {name} = {shortened(row[f'config.{name}'])} is {end}; better ones may lie beyond"


def end_of(parameter: Parameter, value: float | str) -> str:
    """Which end of the parameter a value lies at, in words; empty if at none, or if there is no order.

    A range ends within a hundredth of its length, on its own scale; a choice has ends if it is of three or more
    numbers. Where nothing lies beyond, there is no end: below 0, since rates, penalties and probabilities aren't
    negative, and below 1 if all are whole numbers, which count something.
    """
    if isinstance(parameter, FloatRange | IntRange):
        position = parameter.position(float(value))
        text = f"{shortened(parameter.low)} … {shortened(parameter.high)}"
        return _end(
            not _is_least(parameter.low) and position <= NEAR,
            position >= 1 - NEAR,
            f" end of its range {text}",
            "at the lower",
            "at the upper",
        )
    if isinstance(parameter, Choice):
        numbers = sorted(v for v in parameter.values if isinstance(v, int | float) and not isinstance(v, bool))
        if len(numbers) == len(parameter.values) > 2:
            text = ", ".join(map(shortened, numbers))
            least = numbers[0] if all(isinstance(v, int) for v in numbers) else float(numbers[0])
            return _end(
                value == least and not _is_least(least),
                value == numbers[-1],
                f" of {text}",
                "the lowest",
                "the highest",
            )
    return ""


def _is_least(value: float) -> bool:
    """Whether nothing lies below it; an int is one of whole numbers."""
    return value == 0 or (isinstance(value, int) and value == 1)


def _end(low: bool, high: bool, text: str, lower: str, upper: str) -> str:
    return f"{lower}{text}" if low else f"{upper}{text}" if high else ""


def _beaten(entry: Entry) -> Iterator[str]:
    objective = entry.selected()["objective"]
    others = entry.trials.drop(eligible(entry.trials).index)
    if (race := entry.run.spec.race(entry.method)) is not None:
        others = others[others["epochs"] > race.join_after]  # of the first seeds alone, an objective tells less
    better = others[others["objective"] > objective]
    if better.empty:
        return
    better = better.iloc[best_first(better["objective"])]
    named = [f"{r['trial']} ({_state(r)}, {r['objective']:.3f})" for r in rows_of(better)]
    yield (f"{listed(named)} had more on val than the selected {entry.trial} ({objective:.3f}), but can't be selected")


def _better_on_fresh_seeds(entry: Entry) -> Iterator[str]:
    """Of the other configs that were confirmed, the best, if it is better than the selected one."""
    if entry.protocol is None:
        objective = entry.selected()["objective"]
        best = ranked(entry.trials).iloc[0]
        if best["objective"] > objective:
            yield (
                f"on fresh seeds another of the best configs, {best['trial']} of {entry.run.name}, has more on val "
                f"({best['objective']:.3f}) than the selected one ({objective:.3f})"
            )


def _lacks_record(trials: pd.DataFrame) -> "pd.Series[bool]":
    """A record has a fingerprint."""
    return (trials["state"] == "complete") & trials["fingerprint"].isna()


def _state(row: dict[Any, Any]) -> str:
    if row["state"] != "complete":
        return f"{row['state']} after epoch {int(row['epochs'])}"
    return "its record is gone" if pd.isna(row["fingerprint"]) else "a seed diverged"


def _data_from_a_range(entry: Entry) -> Iterator[str]:
    space = entry.run.spec.method_space(entry.selected()["method"])
    drawn = [n for n, p in space.items() if n.startswith("dataset.") and isinstance(p, FloatRange | IntRange)]
    if drawn:
        yield f"trials differ in their data ({', '.join(drawn)} is drawn from a range), which selection overlooks"


def _other_objectives(of_data: Sequence[Named]) -> Iterator[str]:
    selecting = {entry.selected_by: name for entry, name in reversed(of_data) if entry.measured}
    if len(selecting) > 1:
        text = ", ".join(f"{name} by {accuracy}" for accuracy, name in selecting.items())
        yield f"methods were selected by different accuracies on val ({text}), which order them"


def _not_compared(of_data: Sequence[Named]) -> Iterator[str]:
    """Pairs of which there is no difference. The pretrained baseline has no seeds that could be paired."""
    other_images, other_seeds = [], []
    trained = [(entry, name) for entry, name in of_data if "test" in entry.measured and entry.trial is not None]
    for (one, name), (other, other_name) in combinations(trained, 2):
        if one.run.seeds_kind != other.run.seeds_kind:
            continue
        if not set(one.seeds) & set(other.seeds):
            other_seeds.append(f"{name} and {other_name}")
        elif not paired_seeds(one.measured["test"], other.measured["test"]):
            other_images.append(f"{name} and {other_name}")
    for pairs, why in ((other_images, "were judged on different images"), (other_seeds, "have no seed in common")):
        if pairs:
            more = f", and {len(pairs) - LISTED} more pairs" * (len(pairs) > LISTED)
            yield f"no difference is shown between {', '.join(pairs[:LISTED])}{more}, which {why}"


@dataclass(frozen=True, kw_only=True)
class _Disagreement:
    pair: frozenset[str]
    size: float
    """By how much the first is above the second on val, and below it on test, together."""
    note: Note


def _orders_that_disagree(by_data: Mapping[str, Sequence[Named]]) -> Iterator[Note]:
    """The pairs of methods that disagree most, the largest first, wherever they do; and how many others do."""
    found = [each for on, of_data in by_data.items() for each in _disagreements(on, of_data)]
    found.sort(key=lambda each: -each.size)
    pairs = list(dict.fromkeys(each.pair for each in found))
    yield from (each.note for each in found if each.pair in pairs[:TOLD])
    if (more := len(pairs) - TOLD) > 0:
        yield Note(text=f"val and test disagree on the order of {more} more pair{'s' * (more > 1)} of methods, by less")


def _disagreements(on: str, of_data: Sequence[Named]) -> Iterator[_Disagreement]:
    with_test = [(entry, name) for entry, name in of_data if "test" in entry.measured]
    for (above, upper), (below, lower) in combinations(with_test, 2):
        # Rounded, since a mean of equal numbers may differ from them in its last digit.
        on_val, on_test = ([round(e.mean(split), 9) for e in (above, below)] for split in ("val", "test"))
        if above.run.seeds_kind != below.run.seeds_kind:
            continue
        if above.selected_by == below.selected_by and on_val[0] > on_val[1] and on_test[0] < on_test[1]:
            text = (
                f"val and test disagree: {upper} is above {lower} on val ({on_val[0]:.3f} against {on_val[1]:.3f}), "
                f"but below on test ({on_test[0]:.3f} against {on_test[1]:.3f})"
            )
            yield _Disagreement(
                pair=frozenset((upper, lower)),
                size=on_val[0] - on_val[1] + on_test[1] - on_test[0],
                note=Note(dataset=on, text=text),
            )
