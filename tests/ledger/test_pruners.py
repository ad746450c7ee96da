"""Pruners, in ledgers whose driver dies again and again."""

import random
from collections import Counter

import numpy as np
import optuna
import pytest

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.pruners import Hyperband, Median, SuccessiveHalving, pruner
from scale_tune.ledger.studies import LedgerState
from tests.support.ledgers import advance, spec


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median", "none"])
def test_restarts_change_no_decision(tmp_path, scheduler):
    options = spec(
        sampler="random",
        num_samples=30,
        epochs=9,
        scheduler={"name": scheduler, "grace_period": 2, "reduction_factor": 2},
    )

    def states(name: str, probability: float) -> list[tuple[LedgerState, list[float]]]:
        path = tmp_path / name
        path.touch()
        ledger, kill = Ledger(path, options), random.Random(0)
        while (trial := ledger.next_trial()) is not None:
            while not ledger.trial(trial.name).state.ended:
                advance(ledger, trial, options.epochs)
                if kill.random() < probability:
                    ledger = Ledger(path, options)
                    if not ledger.trial(trial.name).state.ended:
                        assert ledger.next_trial().name == trial.name
        return [(t.state, t.objectives) for t in ledger.trials()]

    through = states("through", 0)
    assert states("restarted", 0.3) == through
    stopped = sum(state is LedgerState.PRUNED for state, _ in through)
    assert stopped == 0 if scheduler == "none" else 5 < stopped < 28
    assert all(len(objectives) >= 2 for _, objectives in through)


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median"])
def test_what_a_pruner_remembers_changes_no_decision(path, scheduler):
    """Of trials that run side by side and overtake each other; some fail, and are tried again."""
    options = spec(
        methods=["erm"],
        num_samples=60,
        epochs=9,
        scheduler={"name": scheduler, "grace_period": 1, "reduction_factor": 2},
    )
    ledger, drawn, decided = Ledger(path, options), random.Random(1), Counter()
    study = ledger._studies["erm"]
    running = {}
    while not ledger.done:
        while len(running) < 8 and (trial := ledger.next_trial()) is not None:
            running[trial.name] = list(trial.objectives)
        name = drawn.choice(list(running))
        if drawn.random() < 0.05:
            del running[name]
            ledger.fail(name, "out of luck")
            ledger.retry_failed()
            continue
        curve = running[name]
        curve.append(max([*curve, drawn.random()]))
        stopped = ledger.report(name, curve, finished=len(curve) == options.epochs)
        if len(curve) < options.epochs:
            number = ledger.trial(name).number
            frozen = study.get_trials(deepcopy=False)[number]
            assert pruner(options, "erm").prune(study, frozen) == stopped, f"{name} after {curve}"
            decided[stopped] += 1
        else:
            ledger.complete(name)
        if ledger.trial(name).state.ended:
            del running[name]
    assert min(decided[True], decided[False]) > 20


@pytest.mark.parametrize(("grace", "factor", "rungs"), [(1, 3, [1, 3, 9, 27]), (2, 2, [2, 4, 8, 16]), (5, 4, [5, 20])])
def test_rungs_are_at_powers_of_the_reduction_factor(grace, factor, rungs):
    halving = SuccessiveHalving(grace, factor)
    assert [epoch for epoch in range(1, 31) if halving.is_rung(epoch)] == rungs


@pytest.mark.parametrize(
    ("grace", "factor", "epochs", "brackets"),
    [(1, 3, 81, [1, 3, 9, 27]), (1, 3, 82, [1, 3, 9, 27, 81]), (2, 2, 10, [2, 4, 8]), (5, 4, 5, [5]), (9, 3, 4, [9])],
)
def test_hyperbands_brackets_begin_below_the_methods_epochs(grace, factor, epochs, brackets):
    options = spec(
        methods={"erm": {"epochs": epochs}, "erm_target": {}},
        scheduler={"name": "hyperband", "grace_period": grace, "reduction_factor": factor},
    )
    hyperband = pruner(options, "erm")
    assert isinstance(hyperband, Hyperband)
    assert [halving.grace_period for halving in hyperband.brackets] == brackets


def test_hyperbands_brackets_have_its_proportions_and_take_turns():
    hyperband = Hyperband([1, 3, 9, 27], 3)
    assert Counter(map(hyperband.bracket, range(49))) == {0: 27, 1: 12, 2: 6, 3: 4}
    assert [hyperband.bracket(n) for n in range(20)] == [0, 1, 0, 2, 0, 1, 3, 0, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 3, 0]
    assert [hyperband.bracket(n + 49) for n in range(49)] == [hyperband.bracket(n) for n in range(49)]
    assert [Hyperband([1, 3], 3).bracket(n) for n in range(5)] == [0, 1, 0, 1, 0]


def test_hyperband_compares_a_trial_with_its_bracket_alone(path):
    options = spec(epochs=9, scheduler={"name": "hyperband", "grace_period": 1, "reduction_factor": 3})
    ledger = Ledger(path, options)
    good, other, bad = (ledger.next_trial() for _ in range(3))  # brackets 0, 1, 0
    assert not ledger.report(good.name, [0.5] * 3)
    assert not ledger.report(other.name, [0.1, 0.1, 0.1]), "it is the only one of its bracket"
    assert ledger.report(bad.name, [0.4])


@pytest.mark.parametrize("grace", [1, 3])
def test_median_stops_at_the_grace_period_and_not_before(path, grace):
    ledger = Ledger(path, spec(epochs=9, num_samples=7, scheduler={"name": "median", "grace_period": grace}))
    for _ in range(5):
        trial = ledger.next_trial()
        assert not ledger.report(trial.name, [0.5] * 9, finished=True)
        ledger.complete(trial.name)
    trial = ledger.next_trial()
    assert [ledger.report(trial.name, [0.1] * epoch) for epoch in range(1, grace + 1)] == [False] * (grace - 1) + [True]
    assert not ledger.report(ledger.next_trial().name, [0.6] * 8)


@pytest.mark.parametrize("levels", [5, 1000])
def test_median_decides_as_optunas(levels):
    draws, decided = np.random.default_rng(0), []
    study = optuna.create_study(direction="maximize")
    for number in range(60):
        curve = np.maximum.accumulate(np.round(draws.uniform(0, 1, 8) * levels) / levels)
        trial = study.ask()
        for epoch, value in enumerate(curve.tolist(), 1):
            trial.report(value, epoch)
            frozen = study.get_trials(deepcopy=False)[number]
            theirs = optuna.pruners.MedianPruner(n_warmup_steps=2).prune(study, frozen)
            assert Median(2).prune(study, frozen) == theirs
            decided.append(theirs)
            if theirs and number % 3:  # some train on nevertheless
                break
        study.tell(trial, *((curve[-1],) if epoch == 8 else ()), state=optuna.trial.TrialState(1 if epoch == 8 else 2))
    assert 20 < sum(decided) < len(decided) - 20
