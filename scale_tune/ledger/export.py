"""A copy of a ledger for Optuna's own tools, as optuna-dashboard, which may write to what they open.

In it, what has failed is failed: the ledger itself has such trials as running, so that they can be tried again.
"""

import tempfile
from copy import deepcopy
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from scale_tune.errors import UserError
from scale_tune.ledger.studies import ERROR, read_studies, trial_name
from scale_tune.storage.database import Database
from scale_tune.storage.location import write_atomically


def check_export(file: Path) -> None:
    """Refuse a place before anything that takes time.

    Raises:
        UserError: there is such a file.
    """
    if file.exists():  # a dashboard may have kept notes in it
        raise UserError(f"--optuna {file} is there already; choose another file, or delete it")


def export_studies(where: Path | Database, file: Path) -> None:
    """Write a ledger's studies as they are now to a new journal file of Optuna's.

    Args:
        where: the ledger, which may be written to meanwhile.
        file: where to.

    Raises:
        UserError: there is such a file, it can't be written, or the ledger can't be read.
    """
    check_export(file)
    with tempfile.TemporaryDirectory(prefix="scale-tune-") as scratch:
        journal = Path(scratch) / "journal.log"
        storage = JournalStorage(JournalFileBackend(str(journal)))
        for method, trials in read_studies(where).items():
            study = optuna.create_study(storage=storage, study_name=method, direction="maximize")
            study.add_trials([_for_optuna(method, trial) for trial in trials])
        try:
            write_atomically(file, journal.read_bytes())
        except OSError as error:
            raise UserError(f"can't write {file}: {error}; choose another --optuna file") from None


def _for_optuna(method: str, trial: FrozenTrial) -> FrozenTrial:
    shown = deepcopy(trial)
    shown.set_user_attr("trial", trial_name(method, trial.number))
    if trial.user_attrs.get(ERROR):
        shown.state = TrialState.FAIL
        shown.datetime_complete = trial.datetime_start  # when it failed is not known
    return shown
