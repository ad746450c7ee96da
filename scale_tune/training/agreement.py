"""The record of a trial beside what the ledger says of it: where the two disagree, neither is believed.

The ledger knows a trial's parameters and objectives, the record its config and what the objectives were made of. One
that was changed, or that is of another run, shows by the other.
"""

from scale_tune.errors import UserError
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.records import TrialRecord
from scale_tune.training.trialdir import read_ended_record, read_record

SHOWN = 3
"""Differences that an error names."""


def agreed_record(
    directory: Location, config: TrialConfig, objectives: list[float] | None, ledger: object
) -> TrialRecord | None:
    """What is known of a trial besides the ledger, if anything is.

    Args:
        directory: the trial's.
        config: of the trial, by the run's spec and the ledger.
        objectives: of a trial that has ended, as the ledger has them; None of one that may go on.
        ledger: where it is.

    Raises:
        UserError: the record is damaged, or says something else.
    """
    record = read_record(directory) if objectives is None else read_ended_record(directory, len(objectives))
    if record is None:
        return None
    if record.trial != directory.name:
        raise UserError(f"{directory} holds the record of {record.trial}; restore it from a copy")
    differences = _of_configs(config, record.config)
    if not differences and objectives is not None:
        differences = _of_objectives(objectives, record.objectives())
    if differences:
        more = f"; and {len(differences) - SHOWN} more" * (len(differences) > SHOWN)
        raise UserError(
            f"the ledger {ledger} and the record in {directory} disagree: {'; '.join(differences[:SHOWN])}{more}. One "
            "of them was edited, or is of another run (constants are in spec.yaml); restore it from a copy"
        )
    return record


def _of_configs(ledger: TrialConfig, record: TrialConfig) -> list[str]:
    if ledger == record:
        return []
    of_ledger, of_record = (each.values() | {"method": each.method, "seeds": each.seeds} for each in (ledger, record))
    names = [name for name in (of_ledger | of_record) if of_ledger.get(name) != of_record.get(name)]
    return [_differ(name, of_ledger.get(name), of_record.get(name)) for name in names] or [
        _differ("config", ledger, record)
    ]


def _of_objectives(ledger: list[float], record: list[float]) -> list[str]:
    if len(ledger) != len(record):
        return [_differ("number of epochs", len(ledger), len(record))]
    pairs = enumerate(zip(ledger, record, strict=True), 1)
    return [_differ(f"objective of epoch {epoch}", *pair) for epoch, pair in pairs if pair[0] != pair[1]]


def _differ(what: str, ledger: object, record: object) -> str:
    return f"by the ledger the {what} is {ledger!r}, by the record {record!r}"
