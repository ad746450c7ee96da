"""What a reader of a comparison would otherwise be misled about, in plain sentences."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from scale_tune.analysis import unsupported
from scale_tune.analysis.comparison import dataset_names
from scale_tune.analysis.entries import Entry, RunTables, entries
from scale_tune.analysis.grouped import grouped
from scale_tune.analysis.intervals import paired_seeds
from scale_tune.analysis.selection import eligible, ranked
from scale_tune.ranking import best_first
from scale_tune.spec.parameters import Choice, FloatRange, IntRange, Parameter
from scale_tune.tables.labels import shortened

NEAR = 0.01
"""Of a range, on its own scale: what counts as its end."""
LISTED = 3
"""Trials that a sentence names."""


def caveats(runs: Sequence[RunTables]) -> list[str]:
    """Sentences with the method and the numbers; none if nothing is amiss.

    Of every run: what is not finished, failed or diverged, or that there is nothing at all. Of every selected config:
    whether it lies at an end of the space, lacks seeds, was beaten by a trial that can't be selected, was one of few,
    has not learned what it was trained on, or is worse than a guess. Of every dataset: methods whose order on val is
    not that on test, and groups of test with few images. What holds on several datasets is one sentence.
    """
    found = entries(runs)
    labels = _labels(found, several_runs=len(runs) > 1)
    sentences = [sentence for run in runs for sentence in _of_run(run, several=len(runs) > 1)]
    for entry, label in zip(found, labels, strict=True):
        sentences += [f"{label}: {sentence}" for sentence in _of_entry(entry)]
    names = dataset_names(found)
    for data, name in names.items():
        of_data = [(entry, label) for entry, label in zip(found, labels, strict=True) if entry.data == data]
        sentences += [*_other_objectives(name, of_data), *_not_compared(name, of_data), *_orders_that_disagree(of_data)]
        sentences += unsupported.small_groups(name, [entry for entry, _ in of_data])
    sentences += unsupported.few_trials(list(zip(found, labels, strict=True)))
    return grouped(sentences, list(names.values()))


def _labels(found: Sequence[Entry], *, several_runs: bool) -> list[str]:
    names = dataset_names(found)
    on_data = len(names) > 1
    return [
        entry.method + f" of {entry.run.name}" * several_runs + f" on {names[entry.data]}" * on_data for entry in found
    ]


def _of_run(run: RunTables, *, several: bool) -> Iterator[str]:
    trials = run.tables["trials"]
    where = f"{run.name}: " * several
    if trials.empty:
        yield f"{where}the run has no trials yet"
    for method, of_method in trials.groupby("method", sort=False):
        counts = of_method["state"].value_counts()
        not_finished = int(counts.get("running", 0) + counts.get("waiting", 0))
        parts = {"not finished": not_finished, "failed": int(counts.get("failed", 0))}
        parts["diverged"] = int((of_method["diverged"] > 0).sum())
        parts["complete, but without its record (record.json is gone)"] = int(_lacks_record(of_method).sum())
        if any(parts.values()):
            text = ", ".join(f"{n} {what}" for what, n in parts.items() if n)
            yield f"{where}of the {len(of_method)} {method} trials, {text}: not selectable"
    asked = {method: run.spec.method_samples(method) for method in run.spec.methods}
    fewer = {method: (trials["method"] == method).sum() for method in asked}
    missing = [f"{fewer[method]} of {n} {method}" for method, n in asked.items() if fewer[method] < n]
    if missing:
        yield f"{where}the search has not issued all trials yet: {', '.join(missing)}"


def _of_entry(entry: Entry) -> Iterator[str]:
    if not entry.measured and entry.run.confirms is not None and entry.trial is not None:
        yield f"its selected config is confirmed by {entry.trial}, but that one's last layer was not refitted"
        return
    if not entry.measured and entry.run.confirms is not None:
        yield (
            "its selected config is not confirmed: no trial of it has ended with a result of every fresh seed; "
            "--confirm goes on, or says what it lacks"
        )
        return
    if not entry.measured:
        yield f"none of its {len(entry.trials)} trials can be selected: none ended with a result of every seed"
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
    numbers.
    """
    if isinstance(parameter, FloatRange | IntRange):
        position = parameter.position(float(value))
        text = f"{shortened(parameter.low)} … {shortened(parameter.high)}"
        return _end(position <= NEAR, position >= 1 - NEAR, f" end of its range {text}", "at the lower", "at the upper")
    if isinstance(parameter, Choice):
        numbers = sorted(v for v in parameter.values if isinstance(v, int | float) and not isinstance(v, bool))
        if len(numbers) == len(parameter.values) > 2:
            text = ", ".join(map(shortened, numbers))
            return _end(value == numbers[0], value == numbers[-1], f" of {text}", "the lowest", "the highest")
    return ""


def _end(low: bool, high: bool, text: str, lower: str, upper: str) -> str:
    return f"{lower}{text}" if low else f"{upper}{text}" if high else ""


def _beaten(entry: Entry) -> Iterator[str]:
    objective = entry.selected()["objective"]
    others = entry.trials.drop(eligible(entry.trials).index)
    better = others[others["objective"] > objective]
    if better.empty:
        return
    better = better.iloc[best_first(better["objective"])]
    named = [f"{r['trial']} ({_state(r)}, {r['objective']:.3f})" for r in better.head(LISTED).to_dict("records")]
    more = f" and {len(better) - LISTED} more" * (len(better) > LISTED)
    yield (
        f"{', '.join(named)}{more} had more on val than the selected {entry.trial} ({objective:.3f}), "
        "but can't be selected"
    )


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
        yield f"its trials differ in their data ({', '.join(drawn)} is drawn from a range), which selection overlooks"


def _other_objectives(dataset: str, of_data: Sequence[tuple[Entry, str]]) -> Iterator[str]:
    selecting = {entry.selected_by: label for entry, label in reversed(of_data) if entry.measured}
    if len(selecting) > 1:
        text = ", ".join(f"{label} by {accuracy}" for accuracy, label in selecting.items())
        yield f"{dataset}: methods were selected by different accuracies on val ({text}), which order them"


def _not_compared(dataset: str, of_data: Sequence[tuple[Entry, str]]) -> Iterator[str]:
    """Pairs of which there is no difference. The pretrained baseline has no seeds that could be paired."""
    other_images, other_seeds = [], []
    trained = [(entry, label) for entry, label in of_data if "test" in entry.measured and entry.trial is not None]
    for (one, label), (other, other_label) in combinations(trained, 2):
        if one.run.seeds_kind != other.run.seeds_kind:
            continue
        if not set(one.seeds) & set(other.seeds):
            other_seeds.append(f"{label} and {other_label}")
        elif not paired_seeds(one.measured["test"], other.measured["test"]):
            other_images.append(f"{label} and {other_label}")
    for pairs, why in ((other_images, "were judged on different images"), (other_seeds, "have no seed in common")):
        if pairs:
            more = f", and {len(pairs) - LISTED} more pairs" * (len(pairs) > LISTED)
            yield f"{dataset}: no difference is shown between {', '.join(pairs[:LISTED])}{more}, which {why}"


def _orders_that_disagree(of_data: Sequence[tuple[Entry, str]]) -> Iterator[str]:
    with_test = [(entry, label) for entry, label in of_data if "test" in entry.measured]
    for (above, upper), (below, lower) in combinations(with_test, 2):
        # Rounded, since a mean of equal numbers may differ from them in its last digit.
        on_val, on_test = ([round(e.mean(split), 9) for e in (above, below)] for split in ("val", "test"))
        if above.run.seeds_kind != below.run.seeds_kind:
            continue
        if above.selected_by == below.selected_by and on_val[0] > on_val[1] and on_test[0] < on_test[1]:
            yield (
                f"val and test disagree: {upper} is above {lower} on val ({on_val[0]:.3f} against {on_val[1]:.3f}), "
                f"but below on test ({on_test[0]:.3f} against {on_test[1]:.3f})"
            )
