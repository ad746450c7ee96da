"""Warm starts: the best configs of earlier runs are the first points that a new search tries.

They become points to try first like any that a search space lists, so that a resume needs nothing else. From where they
came is noted beside the spec. Earlier runs may be of other data, which is what a warm start is for: it costs a few
trials if what was best there is not here, and the sampler learns from them either way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scale_tune.analysis.selection import best_configs, data_of
from scale_tune.economy.warm_starts import MOST_FIRST
from scale_tune.errors import UserError
from scale_tune.ledger.studies import read_trials
from scale_tune.spec.parameters import Constant
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir, plain_spec
from scale_tune.tables.collect import load_results

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A config of an earlier run that did well."""

    run: RunDir
    then: RunSpec
    """What that run searched."""
    trial: str
    method: str
    rank: int
    """Among its method's on its data; 0 is the best."""
    values: dict[str, Any]
    """Of every parameter and option."""
    drawn: frozenset[str]
    """Those of them that were searched."""


def parse_priors(text: str) -> list[RunDir]:
    """The runs of an option's value.

    Raises:
        UserError: one stands twice, or an address can't be used.
    """
    runs = [RunDir(path.strip()) for path in text.split(",")]
    places = [run.path.resolved() for run in runs]
    for run, place in zip(runs, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"--prior: {run.path} stands twice; list it once")
    return runs


def with_priors(spec: RunSpec, priors: Sequence[RunDir], say: Say) -> tuple[RunSpec, list[dict[str, Any]]]:
    """A search that tries the best configs of earlier runs first, after the points that it lists itself.

    Each method gets at most :data:`~scale_tune.economy.warm_starts.MOST_FIRST` points. The objectives of different runs
    can't be compared, so these take turns: the best config of each, then the second best of each.

    A config is taken over by the parameters that this search draws. One that the earlier run did not have is left to be
    drawn, and so is one whose value there lies outside of this space.

    Args:
        spec: what is to be searched, resolved.
        priors: the earlier runs, those that go first first.
        say: told what is taken over, and what is not.

    Returns:
        The search, and for its provenance from which trials of which runs its points are.

    Raises:
        UserError: an earlier run is none, or has no completed trial; nothing can be taken over; or the sampler tries
            points of its own and no others.
    """
    if spec.sampler in ("grid", "points"):
        raise UserError(
            f"--prior goes with a sampler that draws, and {spec.sampler} tries a list of points; leave --prior out, or "
            "take another sampler, as --set sampler=tpe"
        )
    candidates = [candidate for run in priors for candidate in _candidates(run)]
    candidates.sort(key=lambda candidate: candidate.rank)  # of equal ones the earlier run's
    for run in priors:
        for line in _differences(spec, run.path, run.read_spec()):
            say(line)
    points: dict[str, list[dict[str, Any]]] = {}
    taken: list[_Candidate] = []
    said: dict[str, None] = {}
    for candidate in candidates:
        if not _same_method(spec, candidate.then, candidate.method):
            continue
        of_method = points.setdefault(candidate.method, [])
        own = spec.method_points(candidate.method)
        if len(of_method) == min(MOST_FIRST, spec.num_samples - len(own)):
            continue
        said |= dict.fromkeys(_left_out(spec, candidate))
        point = _point(spec, candidate)
        if point and point not in [*own, *of_method]:
            of_method.append(point)
            taken.append(candidate)
    for line in said:
        say(line)
    if not taken:
        runs = ",".join(str(run.path) for run in priors)
        raise UserError(f"--prior {runs}: no config of an earlier run can be tried first in this search; leave it out")
    without = [method for method in spec.methods if not points.get(method)]
    if without:
        say(f"note: {', '.join(without)}: no point from --prior; a method with some has a head start, if they are good")
    plain = plain_spec(spec)
    for method, found in points.items():
        plain["methods"][method]["try_first"] = [*map(dict, spec.method_points(method)), *found]
    return RunSpec.model_validate(plain), [_noted(run, taken, say) for run in priors]


def _candidates(run: RunDir) -> list[_Candidate]:
    spec, trials = run.read_spec(), load_results(run.path)["trials"]
    best = best_configs(trials, spec, MOST_FIRST)
    if best.empty:
        raise UserError(
            f"--prior {run.path}: no trial of it has run to its end with all its seeds; leave it out, or wait for one"
        )
    data = pd.Series(map(repr, data_of(trials, spec)), index=trials.index, dtype=object)
    ranks = best.groupby(["method", data.loc[best.index]]).cumcount()
    drawn = {trial.name: trial.params for trial in read_trials(run.ledger)}
    return [
        _Candidate(
            run=run,
            then=spec,
            trial=trial,
            method=method,
            rank=int(rank),
            values=spec.trial_config(method, drawn[trial]).flat(),
            drawn=frozenset(drawn[trial]),
        )
        for trial, method, rank in zip(best["trial"], best["method"], ranks, strict=True)
    ]


def _same_method(spec: RunSpec, then: RunSpec, method: str) -> bool:
    return method in spec.methods and then.algorithm(method) == spec.algorithm(method)


def _point(spec: RunSpec, candidate: _Candidate) -> dict[str, Any]:
    """What of the config this search can draw."""
    values, space = candidate.values, spec.method_space(candidate.method)
    return {
        name: values[name]
        for name, parameter in space.items()
        if not isinstance(parameter, Constant) and name in values and parameter.holds(values[name])
    }


def _left_out(spec: RunSpec, candidate: _Candidate) -> Iterator[str]:
    """What of the config this search can't draw, or has to draw besides."""
    space = spec.method_space(candidate.method)
    for name, parameter in space.items():
        value = candidate.values.get(name)
        of = f"prior {candidate.run.path}, {candidate.method}: {name}"
        if isinstance(parameter, Constant):
            if name in candidate.drawn and value != parameter.value:
                yield f"{of} was {value}, and is fixed at {parameter.value} here"
        elif name not in candidate.values:
            yield f"{of} did not exist, and is drawn"
        elif not parameter.holds(value):
            yield f"{of} was {value}, which is not {parameter}, and is drawn"
    for name in sorted(candidate.drawn - set(space)):
        yield f"prior {candidate.run.path}, {candidate.method}: there is no {name} here, which was searched"


def _differences(spec: RunSpec, path: Location, then: RunSpec) -> Iterator[str]:
    """In what an earlier run was another search."""
    for what, changed in (
        ("dataset", _changed(then.dataset.model_dump(mode="json"), spec.dataset.model_dump(mode="json"))),
        ("model", _changed(then.model.model_dump(mode="json"), spec.model.model_dump(mode="json"))),
        ("objective", _changed({"name": then.objective.value}, {"name": spec.objective.value})),
    ):
        if changed:
            yield f"note: prior {path} had another {what} ({changed}), so what was best there need not be here"
    for method in then.methods:
        if method not in spec.methods:
            yield f"prior {path}: {method} is not searched here"
        elif not _same_method(spec, then, method):
            yield f"prior {path}: its {method} is another method of the same name"


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """As ``digits, now dominoes``, or which options of the same are others."""
    if then["name"] != now["name"]:
        return f"{then['name']}, now {now['name']}"
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return ", ".join(f"{name} {then.get(name, 'searched')}, now {now.get(name, 'searched')}" for name in names)


def _noted(run: RunDir, taken: Sequence[_Candidate], say: Say) -> dict[str, Any]:
    """Which trials of a run are tried first, for the provenance."""
    trials = [candidate.trial for candidate in taken if candidate.run is run]
    say(f"prior {run.path}: {', '.join(trials) or 'nothing of it'} tried first")
    return {"run": str(run.path), "id": run.identity, "trials": trials}
