"""Confirming a search: its best configs trained again on fresh seeds.

The winner of a search is overestimated, since it was chosen for its accuracy on the very seeds and epochs that are then
reported (Cawley and Talbot, 2010). The accuracy on seeds that had no part in the choice is not. A confirmation is a run
like any other, below the run that it confirms, and is searched, resumed and analysed like one.
"""

from collections.abc import Iterable
from itertools import count, islice
from typing import Any

from scale_tune.errors import UserError
from scale_tune.ledger.studies import LedgerTrial
from scale_tune.spec.frozen import MOST
from scale_tune.spec.space import RunSpec
from scale_tune.storage.rundir import RunDir, plain_spec

DIRECTORY = "confirm"


def confirmation_of(run: RunDir) -> RunDir:
    """Where the confirmation of a run is, or would be."""
    return RunDir(run.path / DIRECTORY)


def fresh_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """As many seeds that were not searched with."""
    first = max(seeds) + 1 if max(seeds) + len(seeds) <= MOST else 0
    return tuple(islice((seed for seed in count(first) if seed not in seeds), len(seeds)))


def confirmation_spec(spec: RunSpec, best: Iterable[LedgerTrial]) -> RunSpec:
    """What a confirmation trains: these trials' configs, each to its end, on fresh seeds.

    Args:
        spec: what the run searched.
        best: of each method, the best trials, the best first.

    Raises:
        UserError: there is none, since no trial has run to its end with all its seeds.
    """
    points: dict[str, list[dict[str, Any]]] = {}
    for trial in best:
        points.setdefault(trial.method, []).append(trial.params)
    if not points:
        raise UserError("there is nothing to confirm yet: no trial has run to its end with all its seeds")
    plain = plain_spec(spec)
    methods = {method: plain["methods"][method] | {"try_first": found} for method, found in points.items()}
    return RunSpec.model_validate(
        plain
        | {
            "methods": {method: own | {"try_first": _drawn(own["try_first"])} for method, own in methods.items()},
            "sampler": "points",
            "try_first": [],
            "scheduler": {"name": "none"},
            "seeds": list(fresh_seeds(spec.seeds)),
            "keep_top": max(map(len, points.values())),
        }
    )


def unconfirmed(begun: RunSpec, wanted: RunSpec) -> int:
    """How many of the wanted confirmation's configs another one that was begun does not train."""
    return sum(config not in _configs(begun) for config in _configs(wanted))


def _configs(spec: RunSpec) -> list[tuple[str, dict[str, Any]]]:
    return [(method, point) for method in spec.methods for point in spec.method_points(method) or ({},)]


def _drawn(points: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Where all parameters are constants, there is one trial and no point."""
    return [point for point in points if point] or None
