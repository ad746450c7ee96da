import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from scale_tune.analysis.caveats import caveats
from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.entries import CONFIRMED, SEARCHED
from scale_tune.analysis.selection import ranked
from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import read_trials
from scale_tune.report.text import difference_lines
from scale_tune.spec.loading import validate_spec
from scale_tune.spec.space import RunSpec
from scale_tune.storage.rundir import RunDir, plain_spec
from scale_tune.tables import collect as results
from scale_tune.training.trialdir import close_trial, read_final_record
from scale_tune.workflows.confirm import DIRECTORY, confirmation_of, confirmation_spec, fresh_seeds, unconfirmed
from scale_tune.workflows.evaluate import Evaluation, evaluate
from scale_tune.workflows.reporting import write_reports
from tests.support.runs import fast_spec, make_run
from tests.support.tables import dfr_row, make_spec, make_tables, trial

KINDS = (SEARCHED, CONFIRMED)


def ended(ledger: Ledger) -> list:
    """All trials of a search that trains nothing."""
    while (trial := ledger.next_trial()) is not None:
        ledger.report(trial.name, [0.5], finished=True)
        ledger.complete(trial.name)
    return ledger.trials()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.log"
    path.touch()
    return path


def test_the_best_configs_and_no_others_are_trained_on_fresh_seeds(path, tmp_path):
    spec = fast_spec()
    trials = {t.name: t for t in ended(Ledger(path, spec))}
    best = [trials[name] for name in ("erm-00002", "erm-00000", "erm_target-00001")]
    confirmation = confirmation_spec(spec, best)
    assert confirmation.seeds == (2, 3)
    assert confirmation.scheduler.name == "none"
    assert confirmation.keep_top == 2
    assert {m: confirmation.method_epochs(m) for m in confirmation.methods} == {"erm": 1, "erm_target": 3}
    assert validate_spec(plain_spec(confirmation), {}, "") == confirmation

    again = tmp_path / "again.log"
    again.touch()
    trained = ended(Ledger(again, confirmation))
    assert [(t.name, t.params) for t in trained] == [
        ("erm-00000", best[0].params),
        ("erm-00001", best[1].params),
        ("erm_target-00000", best[2].params),
    ]
    assert Ledger(again, confirmation).done


def test_a_confirmation_that_was_begun_with_other_configs_lacks_those_of_now(path):
    spec = fast_spec()
    trials = {t.name: t for t in ended(Ledger(path, spec))}

    def confirmation(*names: str) -> RunSpec:
        return confirmation_spec(spec, [trials[name] for name in names])

    begun = validate_spec(plain_spec(confirmation("erm-00002", "erm-00000")), {}, "")
    assert unconfirmed(begun, confirmation("erm-00002", "erm-00000")) == 0
    assert unconfirmed(begun, confirmation("erm-00000")) == 0
    assert unconfirmed(begun, confirmation("erm-00001", "erm-00002")) == 1
    assert unconfirmed(begun, confirmation("erm-00002", "erm_target-00000", "erm_target-00001")) == 2


def test_a_method_without_anything_to_draw_has_one_config(path):
    spec = RunSpec.model_validate({"methods": ["erm"], "space": {"lr": 0.1}, "num_samples": 1})
    confirmation = confirmation_spec(spec, ended(Ledger(path, spec)))
    assert confirmation.total_samples == 1


def test_seeds_are_fresh_and_as_many():
    assert fresh_seeds((0, 1, 2)) == (3, 4, 5)
    assert fresh_seeds((7, 3)) == (8, 9)


def test_where_there_is_nothing_to_confirm_that_is_said():
    with pytest.raises(UserError, match="nothing to confirm yet"):
        confirmation_spec(fast_spec(), [])


def erm_target_spec() -> RunSpec:
    return fast_spec(methods=["erm_target"], num_samples=3, epochs=1, scheduler={"name": "none"})


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory) -> RunDir:
    """A run with its confirmation of the best two configs."""
    run = make_run(tmp_path_factory.mktemp("runs"), erm_target_spec())
    best = ranked(results.load_results(run.path)["trials"])["trial"].head(2)
    trials = {trial.name: trial for trial in read_trials(run.ledger)}
    spec = confirmation_spec(run.read_spec(), [trials[name] for name in best])
    make_run(run.path.local, spec, name=DIRECTORY)
    return run


def compared(run: RunDir) -> Evaluation:
    return evaluate([run], [], None, lambda line: None)


def test_the_selected_config_on_fresh_seeds_stands_beside_the_searched(confirmed):
    found = compared(confirmed)
    searched, fresh = (found.comparison[found.comparison["seeds_kind"] == kind].iloc[0] for kind in KINDS)
    assert len(found.comparison) == 2
    assert (searched["method"], searched["config"]) == (fresh["method"], fresh["config"])
    assert fresh["run"] == f"{searched['run']}/confirm"
    assert fresh["confirms"] == searched["run"]
    assert pd.isna(searched["confirms"])
    again = results.load_results(confirmation_of(confirmed).path)["trials"].set_index("trial").loc[fresh["trial"]]
    assert fresh["test_worst_group_mean"] == pytest.approx(again["test_worst_group_mean"])
    seeds = results.load_results(confirmation_of(confirmed).path)["epochs"]["seed"]
    assert set(seeds) == {2, 3}
    assert [run.name for run in found.runs] == [searched["run"]], "the report is of the run"
    assert (confirmed.results / "comparison.parquet").is_file()


def test_the_order_of_the_confirmed_trials_selects_nothing(confirmed, tmp_path):
    """Also where another of the best configs does better on the fresh seeds, which is said."""
    shutil.copytree(confirmed.path.local, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    winner = compared(run).comparison.iloc[0]["config"]
    directory = confirmation_of(run)
    directory.ledger.write_bytes(b"")
    ledger = Ledger(directory.ledger, directory.read_spec())
    for objective in (0.1, 0.9):
        trial = ledger.next_trial()
        record = read_final_record(directory.trial(trial.name))
        for replica in record.replicas:
            replica.history[0].objective = replica.best.objective = objective
        ledger.report(trial.name, record.objectives(), finished=True)
        ledger.complete(trial.name)
        close_trial(directory.trial(trial.name), record)
    found = compared(run)
    assert set(found.comparison["config"]) == {winner}
    assert any("on fresh seeds another of the best configs, erm_target-00001 of run/confirm" in n for n in found.notes)


def test_a_selected_config_that_was_not_confirmed_is_said(confirmed, tmp_path):
    shutil.copytree(confirmed.path.local, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    directory = confirmation_of(run)
    record = read_final_record(directory.trial("erm_target-00000"))
    record.replicas[0].diverged_epoch = 1
    close_trial(directory.trial("erm_target-00000"), record)
    found = compared(run)
    row = found.comparison[found.comparison["seeds_kind"] == CONFIRMED].iloc[0]
    assert pd.isna(row["trial"])
    assert row["seeds"] == 0
    assert any("the selected config is not confirmed" in note for note in found.notes)


def test_a_confirmation_is_compared_on_its_own_data_and_protocol():
    spec = make_spec(methods=["erm"], space={"dataset.noise": {"type": "choice", "values": [0.1, 0.5]}, "lr": 0.01})
    noisy, clean = ({"config.dataset.noise": noise} for noise in (0.5, 0.1))
    trials = [trial("erm-00000", 0.3, **noisy), trial("erm-00001", 0.8, **clean)]

    def refitted(name: str, scale: float, balanced: float) -> list[dict]:
        accuracies = {"scale": scale, "dfr": balanced}
        return [dfr_row(name, s, v, v, protocol) for protocol, v in accuracies.items() for s in (0, 1, 2)]

    searched = make_tables(trials, dfr=refitted("erm-00000", 0.4, 0.5), spec=spec)
    swapped = [trial("erm-00000", 0.9, **clean), trial("erm-00001", 0.2, **noisy)]
    fresh = make_tables(swapped, dfr=refitted("erm-00001", 0.6, 0.7), name="run/confirm", spec=spec)
    fresh = replace(fresh, confirms=searched)
    found = compare([searched, fresh])
    found = found[found["seeds_kind"] == CONFIRMED].set_index(["dataset", "method"])
    means = found["val_worst_group_mean"].to_dict()
    assert means == {
        ("digits (noise=0.5)", "dfr (dfr)"): pytest.approx(0.7),
        ("digits (noise=0.5)", "dfr (scale)"): pytest.approx(0.6),
        ("digits (noise=0.5)", "erm"): pytest.approx(0.2),
        ("digits (noise=0.1)", "erm"): pytest.approx(0.9),
    }
    assert set(found["trials"]) == {1}
    assert not [said for said in caveats([searched, fresh]) if "on fresh seeds another" in said]
    bare = replace(fresh, tables=fresh.tables | {"dfr": fresh.tables["dfr"].iloc[:0]})
    assert any(
        "is confirmed by erm-00001, but that one's last layer was not refitted" in said
        for said in caveats([searched, bare])
    )


def test_differences_are_between_seeds_of_one_kind():
    trials = [trial("erm-00000", 0.3), trial("scale-00000", 0.6)]
    searched = make_tables(trials, name="run")
    fresh = replace(make_tables(trials, name="run/confirm"), confirms=searched)
    found = differences([searched, fresh])
    assert set(zip(found["run"], found["other_run"], found["seeds_kind"], strict=True)) == {
        ("run", "run", SEARCHED),
        ("run/confirm", "run/confirm", CONFIRMED),
    }
    lines = difference_lines(found, "worst_group")
    assert [line.partition(":")[0] for line in lines] == [
        "scale of run − erm of run",
        "scale of run/confirm − erm of run/confirm",
    ]


def test_a_confirmation_is_below_its_run(tmp_path):
    assert confirmation_of(RunDir(tmp_path)).path.local == tmp_path / "confirm"


def test_the_report_says_what_the_selected_config_reaches_on_fresh_seeds(confirmed):
    found = compared(confirmed)
    (path,) = write_reports([confirmed], found, None)
    fresh = found.comparison[found.comparison["seeds_kind"] == CONFIRMED].iloc[0]
    page = " ".join(re.sub("<[^>]*>", "", path.read().decode()).split())
    said = page.partition("On fresh seeds, which had no part in the choice, the same config reaches ")[2][:40]
    assert said.startswith(f"{fresh['test_worst_group_mean']:.3f} ± {fresh['test_worst_group_std']:.3f} over 2 seeds.")
