"""The lookup says what the tables say, and what can't be told from it, with the reason."""

import numpy as np
import pytest

from scale_tune.analysis.counts import measured, rows_of_trial
from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import select_best
from scale_tune.economy.lookup import Curves, Refused, curves_of, mean_over_seeds
from tests.support.curves import curves_from
from tests.support.reports import spec_of, state_of, tables_of

WHOLE = {"sampler": "random", "scheduler": {"name": "none"}}
POINTS = [{"lr": lr, "batch_size": 16} for lr in (0.1, 0.03, 0.01, 0.003, 1e-3, 3e-4, 1e-4, 0.05)]


def run_of(spec, **options) -> RunTables:
    return RunTables(name="run", spec=spec, tables=tables_of(spec, **({"states": lambda n: "complete"} | options)))


def lookups(run: RunTables) -> dict[str, Curves | Refused]:
    return {found.method: found for found in curves_of(run)}


@pytest.fixture(scope="module")
def whole() -> RunTables:
    return run_of(spec_of(**WHOLE))


def test_it_has_what_the_tables_have_of_every_trial(whole):
    trials = whole.tables["trials"].set_index("trial")
    found = lookups(whole)
    assert list(found) == ["erm", "erm_target", "scale"]
    for method, curves in found.items():
        assert curves.trials == tuple(f"{method}-{n:05d}" for n in range(12))
        assert curves.val.shape == (12, 3, 4)
        assert curves.final == pytest.approx(trials.loc[list(curves.trials), "objective"].to_numpy())
        assert (np.diff(curves.val, axis=2) >= 0).all(), "the best so far never falls"
        assert curves.trials[curves.winner] == select_best(whole.tables["trials"])[method]
        assert curves.selectable.all()
        assert (curves.trained == 4).all()
        assert (curves.seconds == 1).all()
        assert (curves.no_fidelity, curves.no_replay, curves.no_budgets) == (None, None, None)
        for i, trial in enumerate(curves.trials):
            rows = measured(rows_of_trial(whole.tables["groups"], trial))["test"]
            assert curves.test[i] == pytest.approx(rows.accuracies["worst_group"])
            assert curves.params[i]["lr"] == trials.at[trial, "config.lr"]
        assert (curves.images, curves.groups) == ({"val": 80, "test": 80}, {"val": 2, "test": 2})


def test_its_objectives_are_those_of_a_search_to_the_last_bit():
    val = np.random.default_rng(0).uniform(0, 1, (50, 3, 1))
    assert mean_over_seeds(val)[:, 0].tolist() == [sum(config) / 3 for config in val[:, :, 0].tolist()]


def test_the_standard_error_is_that_of_the_best_configs_whose_seeds_may_agree_by_luck_in_one_of_them():
    spreads = np.array([0.0, 0.01, 0.02, 0.01, 0.03, *[0.2] * 13, 0.0])
    val = np.linspace(0.9, 0.5, 19)[:, None, None] + spreads[:, None, None] * np.array([-1, 0, 1])[:, None]
    val[-1] = 0.99
    curves = curves_from(val, selectable=np.arange(19) < 18)
    assert curves.winner == 0
    best = [*spreads[:5], 0.2]
    assert curves.standard_error == pytest.approx((np.square(best).mean() / 3) ** 0.5)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"sampler": "random"}, (None, None, None)),
        ({"sampler": "qmc"}, (None, None, "the configs are no random draws (sampler qmc)")),
        ({"sampler": "tpe"}, (None, *["the sampler tpe drew configs by what earlier ones had reached"] * 2)),
        ({"sampler": "random", "num_samples": 4}, ["4 complete trials are too few; 5 are needed"] * 3),
        ({"sampler": "random", "try_first": POINTS}, (None, None, "4 of the configs were drawn at random")),
    ],
)
def test_what_can_be_told_depends_on_how_configs_were_drawn(options, refused):
    curves = lookups(run_of(spec_of(**({"methods": ["erm"]} | WHOLE | options))))["erm"]
    for told, reason in zip((curves.no_fidelity, curves.no_replay, curves.no_budgets), refused, strict=True):
        assert (told is None) if reason is None else told.startswith(reason), told


def test_a_grid_can_be_replayed_but_is_no_random_draw():
    lr = {"type": "choice", "values": [1e-4, 1e-3, 1e-2]}
    batch_size = {"type": "choice", "values": [16, 32]}
    curves = lookups(run_of(spec_of(sampler="grid", methods=["erm"], space={"lr": lr, "batch_size": batch_size})))[
        "erm"
    ]
    assert curves.no_replay is None
    assert "sampler grid" in curves.no_budgets


def test_pruned_trials_are_said_to_be_unknown():
    curves = lookups(run_of(spec_of(methods=["erm"]), states=state_of))["erm"]
    assert curves.no_fidelity.startswith("7 of 11 trials were pruned, and what they would have reached is not known")
    assert curves.no_fidelity == curves.no_replay == curves.no_budgets
    assert curves.left_out == ("7 pruned", "1 failed")


def test_failed_and_unfinished_trials_are_left_out_and_said():
    states = {3: "failed", 9: "running", 10: "running", 11: "waiting"}
    curves = lookups(run_of(spec_of(**WHOLE, methods=["scale"]), states=lambda n: states.get(n, "complete")))["scale"]
    assert curves.no_replay is None
    assert curves.left_out == ("1 failed", "3 not ended")
    assert len(curves.trials) == 8
    assert "scale-00003" not in curves.trials


def test_of_a_method_without_a_complete_trial_nothing_is_told():
    found = lookups(run_of(spec_of(**WHOLE, methods=["scale"]), states=lambda n: "failed" if n % 2 else "running"))[
        "scale"
    ]
    assert isinstance(found, Refused)
    assert found.reason == "no trial has run to its end: 6 failed, 6 not ended"


def test_a_trial_without_a_record_is_left_out(whole):
    gone = {name: table[table["trial"] != "erm-00002"] for name, table in whole.tables.items() if name != "trials"}
    curves = lookups(RunTables(name="run", spec=whole.spec, tables=whole.tables | gone))["erm"]
    assert curves.left_out == ("1 without a record of all seeds",)
    assert len(curves.trials) == 11


def test_a_diverged_seed_keeps_what_it_had_and_can_not_win(whole):
    best = lookups(whole)["erm"].trials[lookups(whole)["erm"].winner]
    tables = {name: table.copy() for name, table in whole.tables.items()}
    epochs, trials = tables["epochs"], tables["trials"]
    ended = (epochs["trial"] == best) & (epochs["seed"] == 1) & (epochs["epoch"] > 2)
    never = (epochs["trial"] == best) & (epochs["seed"] == 2)
    tables["epochs"] = epochs[~(ended | never)]
    trials.loc[trials["trial"] == best, ["seeds", "diverged"]] = [1, 2]
    curves = lookups(RunTables(name="run", spec=whole.spec, tables=tables))["erm"]
    i = curves.trials.index(best)
    assert curves.trained[i].tolist() == [4, 2, 0]
    assert (curves.val[i, 1, 2:] == curves.val[i, 1, 1]).all()
    assert (curves.val[i, 2] == 0).all()
    assert (curves.seconds[i, 1, 2:] == 0).all()
    assert not curves.selectable[i]
    assert curves.winner != i


def test_one_seed_has_no_standard_error():
    curves = lookups(run_of(spec_of(**WHOLE, methods=["erm"], seeds=[0])))["erm"]
    assert curves.no_replay is None
    assert curves.standard_error is None


def test_each_kind_of_data_is_looked_up_alone():
    strengths = {"type": "choice", "values": [0.9, 1.0]}
    spec = spec_of(**WHOLE, methods=["erm"], num_samples=24, space={"dataset.spurious_strength": strengths, "lr": 0.1})
    found = list(curves_of(run_of(spec)))
    assert [curves.dataset for curves in found] == [
        "digits (spurious_strength=0.9)",
        "digits (spurious_strength=1)",
    ] or [curves.dataset for curves in found] == ["digits (spurious_strength=1)", "digits (spurious_strength=0.9)"]
    assert sum(len(curves.trials) for curves in found) == 24
    assert not set(found[0].trials) & set(found[1].trials)


@pytest.mark.parametrize("objective", ["average", "minority", "train_weighted", "worst_class"])
def test_it_is_of_the_objective_that_selects(objective):
    run = run_of(spec_of(**WHOLE, methods=["erm"], objective=objective))
    curves = lookups(run)["erm"]
    rows = measured(rows_of_trial(run.tables["groups"], "erm-00004"))["test"]
    assert curves.test[4] == pytest.approx(rows.accuracies[objective])
    assert curves.groups["test"] == (2 if objective == "worst_class" else 1)
