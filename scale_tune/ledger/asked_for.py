"""A ledger held against the spec of its run: what was drawn must be what the spec asks for."""

from collections.abc import Iterable

from scale_tune.errors import UserError
from scale_tune.ledger.studies import LedgerTrial
from scale_tune.spec.parameters import Choice, Constant
from scale_tune.spec.space import RunSpec
from scale_tune.storage.location import Location


def check_asked_for(file: Location, spec: RunSpec, trials: Iterable[LedgerTrial]) -> None:
    """See that a spec, which somebody may have edited, is that of the trials.

    Args:
        file: the spec's.
        spec: what it says.
        trials: of the ledger.

    Raises:
        UserError: a trial is of a method, or has a parameter or a value, that the spec lacks.
    """
    for trial in trials:
        if (why := _lacks(spec, trial)) is not None:
            raise UserError(
                f"{file} was changed since {trial.name} was drawn: it has no {why}; restore it from a copy, and start "
                "a new run for another space"
            )


def _lacks(spec: RunSpec, trial: LedgerTrial) -> str | None:
    if trial.method not in spec.methods:
        return f"method {trial.method}"
    space = spec.method_space(trial.method)
    for name, value in trial.params.items():
        parameter = space.get(name)
        if parameter is None or isinstance(parameter, Constant):
            return f"parameter {name} to draw for {trial.method}"
        if isinstance(parameter, Choice) and not parameter.holds(value):
            return f"choice {value!r} of {name} for {trial.method}"
    drawn = {name for name, parameter in space.items() if not isinstance(parameter, Constant)}
    missing = sorted(drawn - set(trial.params))
    return f"fixed value of {missing[0]} for {trial.method}, as the trial had" if trial.params and missing else None
