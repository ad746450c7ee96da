"""Whether a run is whole before anything goes on with it."""

from concurrent.futures import ThreadPoolExecutor

from scale_tune.ledger.asked_for import check_asked_for
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerTrial, check_covers
from scale_tune.spec.space import RunSpec
from scale_tune.storage.rundir import RunDir
from scale_tune.training.agreement import agreed_record

READERS = 16
"""Records that are read at once: an object store answers each after a while."""


def check_whole(run: RunDir, spec: RunSpec) -> None:
    """See that a run's ledger is whole, and that it and what trials have left behind tell the same of them.

    Args:
        run: which no driver works on but this one.
        spec: what it searches.

    Raises:
        UserError: it is gone, damaged or cut; a record is damaged, or says something else; or the spec does.
    """
    files = run.trials.names_below()
    trials = Ledger(run.ledger, spec).trials()
    check_covers(run.ledger, trials, files)
    check_asked_for(run.spec, spec, trials)

    def check(trial: LedgerTrial) -> None:
        config = spec.trial_config(trial.method, trial.params)
        agreed_record(run.trial(trial.name), config, trial.final_objectives, run.ledger)

    with ThreadPoolExecutor(READERS) as pool:
        for _ in pool.map(check, (trial for trial in trials if trial.name in files)):
            pass
