"""A run whose trials race their seeds, from the ledger to the tables."""

from types import SimpleNamespace

import numpy as np
import pytest

from scale_tune import datasets
from scale_tune.analysis.selection import eligible
from scale_tune.ledger.studies import LedgerState, read_trials
from scale_tune.report.html.cost import cost
from scale_tune.search.overview import best_trial, how_far
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.collect import load_results
from scale_tune.tracking.curves import curves_of
from scale_tune.training.records import TrialRecord
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import read_record
from tests.conftest import DEVICE
from tests.support.runs import drive, fast_spec, make_run
from tests.support.searches import assert_search_is_whole

EPOCHS, JOINED, SEEDS = 3, 2, 3
FIRST = "erm_target-00000"
"""The first to reach each rung goes on there, whatever its objective."""
SPEC = {
    "methods": ["erm_target"],
    "space": {"lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}, "batch_size": 200},
    "num_samples": 4,
    "epochs": EPOCHS,
    "seeds": list(range(SEEDS)),
    "sampler": "random",
    "scheduler": {"name": "asha", "grace_period": 1, "reduction_factor": 2, "first_seeds": 1},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDir:
    """Its first trial lost its worker while seeds caught up; meanwhile the others have ended."""
    run = make_run(tmp_path_factory.mktemp("race"), fast_spec(**SPEC), leave_running=FIRST, after=JOINED)
    spec = run.read_spec()
    (left,) = (trial for trial in read_trials(run.ledger) if not trial.state.ended)
    config = spec.trial_config(left.method, left.params)
    killed = Trial(FIRST, config, datasets.splits_by_seed(config), DEVICE, run.trial(FIRST))
    killed.train_epoch()
    assert (killed.record.caught_up, killed.record.catching_up) == (1, True)
    assert how_far(left, spec, {FIRST: (1, JOINED)}) == f"{FIRST} catches up 1/{JOINED}"
    drive(run)
    return run


def record_of(run: RunDir, trial) -> TrialRecord:
    record = read_record(run.trial(trial.name))
    assert record is not None
    return record


def test_what_ends_complete_has_all_seeds_and_what_is_pruned_the_first_ones(run, tmp_path):
    trials = assert_search_is_whole(run.path.local, {"erm_target": 4}, tmp_path)
    rows = load_results(run.path.local)["trials"].set_index("trial")
    pruned = [trial.name for trial in trials if trial.state is LedgerState.PRUNED]
    assert 0 < len(pruned) < len(trials)
    assert FIRST not in pruned, "what has begun to catch up has passed the rung, and is not asked there again"
    for trial in trials:
        row, whole = rows.loc[trial.name], trial.state is LedgerState.COMPLETE
        assert (row["seeds"], row["seeds_asked"]) == (SEEDS if whole else 1, SEEDS)
        assert np.isnan(row["val_worst_group_mean"]) != whole, "the mean of one seed would hide that there are three"
    assert sorted(eligible(rows.reset_index())["trial"]) == sorted(set(rows.index) - set(pruned))
    best = best_trial(trials, run.read_spec())
    assert best is not None
    assert best.objective == max(trial.objective for trial in trials if trial.name not in pruned)


def test_epochs_are_counted_that_were_trained(run):
    tables, trials = load_results(run.path.local), read_trials(run.ledger)
    tables["trials"]["preparation"] = 2
    found = cost(SimpleNamespace(tables=tables, spec=run.read_spec())).iloc[0]
    begun = [SEEDS if len(trial.objectives) > JOINED else 1 for trial in trials]
    assert found["epochs"] == sum(n * len(trial.objectives) for n, trial in zip(begun, trials, strict=True))
    assert found["preparation"] == 2 * sum(begun)


def test_trackers_are_told_of_seeds_that_have_begun_and_of_no_epoch_otherwise_later(run):
    spec = run.read_spec()
    for trial in read_trials(run.ledger):
        config, record = spec.trial_config(trial.method, trial.params), record_of(run, trial)
        curves = curves_of(trial, record, config)
        assert len(curves) == (SEEDS if trial.state is LedgerState.COMPLETE else 1)
        assert [len(curve.points) for curve in curves] == [len(trial.objectives)] * len(curves)
        before = record.model_copy(deep=True)
        for number, replica in enumerate(before.replicas):
            del replica.history[JOINED if number == 0 else 0 :]
        (earlier,) = curves_of(trial, before, config)
        assert earlier.points == curves[0].points[:JOINED]
        times = sorted(point.time for curve in curves for point in curve.points if point.epoch <= JOINED)
        assert times[-1] <= min([p.time for c in curves for p in c.points if p.epoch > JOINED], default=times[-1])
