"""A search by real workers ends as the replay of a full-length one says that it does, and tries first what was best."""

import numpy as np
import pytest
import yaml

from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import select_best
from scale_tune.economy.lookup import curves_of
from scale_tune.economy.policy import Policy
from scale_tune.economy.replay import Orders, replay
from scale_tune.ledger.studies import LedgerState
from scale_tune.spec.scheduler import SchedulerSpec
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.collect import load_results
from tests.support.commands import run
from tests.support.runs import fast_spec, make_run
from tests.support.searches import ledger_of

pytestmark = [pytest.mark.ray, pytest.mark.drill]

ASHA = {"name": "asha", "grace_period": 1, "reduction_factor": 2}
SEARCH = {
    "methods": {"erm_target": {}},
    "space": {
        "lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
        "batch_size": {"type": "choice", "values": [32, 64]},
    },
    "num_samples": 10,
    "epochs": 5,
    "seeds": [0, 1],
    "sampler": "random",
}


def test_a_search_with_one_worker_prunes_and_selects_as_its_replay(tmp_path):
    whole = make_run(tmp_path, fast_spec(**SEARCH, scheduler={"name": "none"}), name="whole")
    tables = RunTables(name="whole", spec=whole.read_spec(), tables=load_results(tmp_path / "whole"))
    (curves,) = curves_of(tables)
    orders = Orders(configs=np.arange(10)[None], seeds=np.arange(2)[None])
    replayed = replay(curves, Policy(scheduler=SchedulerSpec.model_validate(ASHA), seeds=2), orders)
    assert 0 < replayed.complete.sum() < 10

    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(SEARCH | {"scheduler": ASHA, "resources": {"max_concurrent": 1}}, sort_keys=False))
    result = run("tune", space, "--name", "asha", "--storage", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    trials = ledger_of(tmp_path / "asha")
    assert [trial.params for trial in trials] == list(curves.params), "the same configs in the same order"
    assert [len(trial.objectives) for trial in trials] == replayed.epochs[0].tolist()
    assert [trial.state is LedgerState.COMPLETE for trial in trials] == replayed.complete[0].tolist()
    selected = select_best(load_results(tmp_path / "asha")["trials"])["erm_target"]
    assert selected == curves.trials[replayed.selected[0]]
    epochs = load_results(tmp_path / "asha")["epochs"].drop_duplicates(["trial", "seed", "epoch"])
    assert len(epochs) == replayed.spent[0]


def test_a_search_tries_the_best_configs_of_an_earlier_run_first(tmp_path):
    make_run(tmp_path, fast_spec(**SEARCH | {"num_samples": 5, "scheduler": {"name": "none"}}), name="earlier")
    ranked = sorted(ledger_of(tmp_path / "earlier"), key=lambda trial: -max(trial.objectives))
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(SEARCH | {"num_samples": 4, "search_seed": 1, "epochs": 1}, sort_keys=False))
    result = run("tune", space, "--name", "next", "--storage", tmp_path, "--prior", tmp_path / "earlier")
    assert result.returncode == 0, result.stdout + result.stderr
    trials = ledger_of(tmp_path / "next")
    assert [trial.params for trial in trials[:3]] == [trial.params for trial in ranked[:3]]
    assert trials[3].params not in [trial.params for trial in ranked]
    (noted,) = RunDir(tmp_path / "next").provenance()["priors"]
    assert noted["trials"] == [trial.name for trial in ranked[:3]]
