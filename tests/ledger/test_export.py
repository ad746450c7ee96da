"""The copy of a ledger for Optuna's tools."""

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from scale_tune.errors import UserError
from scale_tune.ledger.export import export_studies
from scale_tune.ledger.ledger import Ledger
from tests.support.ledgers import SCALE, advance, spec

SPEC = spec(methods={"erm": {}} | SCALE, num_samples=3)


def exported(file, method: str) -> list:
    return optuna.load_study(study_name=method, storage=JournalStorage(JournalFileBackend(str(file)))).trials


@pytest.fixture
def ledger(path) -> Ledger:
    """Of each method, a trial that is complete, one that failed, and one that runs."""
    ledger = Ledger(path, SPEC)
    while (trial := ledger.next_trial()) is not None:
        for _ in range((3, 2, 1)[trial.number]):
            advance(ledger, trial, SPEC.epochs)
        if trial.number == 1:
            ledger.fail(trial.name, "Traceback …")
    return ledger


def test_a_failed_trial_is_failed_and_all_else_is_as_it_was(ledger, path, tmp_path):
    before = path.read_bytes()
    export_studies(path, tmp_path / "copy.log")
    assert path.read_bytes() == before
    for method in SPEC.methods:
        copies, originals = exported(tmp_path / "copy.log", method), exported(path, method)
        assert [trial.state for trial in copies] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]
        assert copies[1].user_attrs["error"] == "Traceback …"
        assert [trial.user_attrs["trial"] for trial in copies] == [f"{method}-0000{n}" for n in range(3)]
        for copy, original in zip(copies, originals, strict=True):
            for what in ("number", "params", "distributions", "values", "intermediate_values", "datetime_start"):
                assert getattr(copy, what) == getattr(original, what)


def test_a_file_that_is_there_is_not_replaced(ledger, path, tmp_path):
    (tmp_path / "copy.log").write_text("notes")
    with pytest.raises(UserError, match=r"copy.log is there already; choose another file, or delete it"):
        export_studies(path, tmp_path / "copy.log")
    with pytest.raises(UserError, match="is there already"):
        export_studies(path, path)
    assert (tmp_path / "copy.log").read_text() == "notes"
