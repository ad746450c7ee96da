"""Samplers and points to try first, in ledgers whose driver dies again and again."""

import math
import random
from collections import Counter
from pathlib import Path

import optuna
import pytest

from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, LedgerTrial
from tests.support.ledgers import SCALE, SPACE, advance, goodness, search, spec

SAMPLERS = ("tpe", "random", "cmaes", "gp", "qmc")


class Kills:
    """Dies often, and then also loses some of the bytes that it wrote last."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.random, self.count = path, random.Random(seed), 0

    def __call__(self, ledger: Ledger) -> bool:
        if self.count == 20 or self.random.random() < 0.4:
            return False
        self.count += 1
        content = self.path.read_bytes()
        self.path.write_bytes(content[: len(content) - self.random.randrange(1500)])
        return True


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_killed_at_any_byte_has_its_trials_and_repeats_no_draw(path, sampler):
    kills = Kills(path, seed=1)
    options = spec(sampler=sampler, methods={"erm": {}, **SCALE}, num_samples=13, epochs=2)
    ledger = search(path, options, kills)
    assert kills.count == 20
    trials = ledger.trials()
    assert Counter(t.method for t in trials) == {"erm": 13, "scale": 13}
    for trial in trials:
        assert trial.state is LedgerState.COMPLETE
        assert set(trial.params) == set(options.method_space(trial.method))
        assert all(options.method_space(trial.method)[name].holds(value) for name, value in trial.params.items())
    # Together, as the best value of one may be an end of its range.
    assert len({(t.params["lr"], t.params["momentum"]) for t in trials}) == len(trials)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_driver_killed_at_each_line_of_a_draw_repeats_no_draw(path, sampler):
    def draw() -> LedgerTrial:
        trial = Ledger(path, spec(sampler=sampler)).next_trial()
        assert trial is not None
        return trial

    trial = draw()
    lines = path.read_bytes().splitlines(keepends=True)
    for n in range(1, len(lines) + 1):  # n lines got through
        path.write_bytes(b"".join(lines[:n]))
        again = draw()
        assert set(again.params) == set(SPACE)
        if sampler == "qmc":
            assert [again.params[n] for n in ("lr", "momentum", "batch_size")] == list(trial.params.values())[:3]
        ledger = Ledger(path, spec(sampler=sampler))
        ledger.next_trial()
        following = ledger.next_trial()
        for name in ("lr", "momentum"):
            assert following.params[name] != again.params[name]
    assert again.params == trial.params


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_restarts_change_no_draw(tmp_path, sampler):
    def params(name: str, probability: float) -> list[dict]:
        path, dies = tmp_path / name, random.Random(0)
        path.touch()
        options = spec(sampler=sampler, num_samples=13, epochs=2)
        return [trial.params for trial in search(path, options, lambda ledger: dies.random() < probability).trials()]

    assert params("restarted", 0.5) == params("through", 0)


def test_qmc_fills_every_range_evenly_from_the_first_trial_also_over_kills(path):
    ledger = search(path, spec(sampler="qmc", num_samples=16), Kills(path, seed=2))
    trials = ledger.trials()
    assert sorted(int((math.log10(t.params["lr"]) + 4) / 3 * 16) for t in trials) == list(range(16))
    assert sorted(int(t.params["momentum"] / 0.99 * 16) for t in trials) == list(range(16))
    assert len({t.params["weight_decay"] for t in trials}) == 2


def test_methods_and_seeds_have_sequences_of_their_own(tmp_path):
    def first(name: str, **options) -> set:
        path = tmp_path / name
        path.touch()
        ledger = Ledger(path, spec(sampler="qmc", methods=["erm", "erm_target"], **options))
        return {ledger.next_trial().params["lr"], ledger.next_trial().params["lr"]}

    assert len(first("a") | first("b", search_seed=1)) == 4


@pytest.mark.parametrize(("sampler", "number"), [("tpe", 40), ("cmaes", 40), ("gp", 20)])
def test_a_sampler_that_learns_is_better_than_chance_through_kills(tmp_path, sampler, number):
    def late(name: str) -> float:
        path = tmp_path / name
        path.touch()
        options = spec(sampler=name, num_samples=number, epochs=1)
        trials = search(
            path, options, lambda ledger: len(ledger.trials()) % 5 == 0 and path.stat().st_size % 2
        ).trials()
        return sum(goodness(t.params) for t in trials[-10:]) / 10

    assert late(sampler) > late("random") + 0.1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trials_that_never_end_do_not_stop_a_sampler(path, sampler):
    ledger = Ledger(path, spec(sampler=sampler, num_samples=22, epochs=1))
    stuck = [ledger.next_trial() for _ in range(5)]
    while (trial := ledger.next_trial()) is not None:
        advance(ledger, trial, 1)
        if trial.number % 4 == 0:
            stuck.append(ledger.next_trial())
    assert len({t.params["lr"] for t in ledger.trials()}) == 22
    assert sum(t.state is LedgerState.RUNNING for t in ledger.trials()) == len(stuck)


def test_cmaes_goes_on_where_it_was(path):
    """The distribution it draws from narrows, and is not begun anew by a restart."""
    space = {"lr": SPACE["lr"], "momentum": SPACE["momentum"], "batch_size": 24}
    options = spec(sampler="cmaes", num_samples=60, epochs=1, space=space)
    trials = search(path, options, lambda ledger: True).trials()

    def spread(some: list[LedgerTrial]) -> float:
        momenta = [t.params["momentum"] for t in some]
        return max(momenta) - min(momenta)

    assert spread(trials[-10:]) < spread(trials[:10]) / 3


def test_cmaes_takes_a_single_range(path):
    options = spec(
        sampler="cmaes", num_samples=48, epochs=1, space={"lr": SPACE["lr"], "momentum": 0.5, "batch_size": 24}
    )
    ledger = Ledger(path, options)
    drawn = []
    while (trial := ledger.next_trial()) is not None:
        drawn.append(trial.params["lr"])
        ledger.report(trial.name, [-abs(math.log10(trial.params["lr"]) + 2)], finished=True)
        ledger.complete(trial.name)
    assert all(0.006 < lr < 0.016 for lr in drawn[-4:])


def test_whole_numbers_are_drawn_evenly_up_to_both_ends(path):
    space = {"batch_size": {"type": "int", "low": 8, "high": 11}}
    ledger = search(path, spec(sampler="qmc", space={**SPACE, **space}, num_samples=16, epochs=1))
    assert Counter(t.params["batch_size"] for t in ledger.trials()) == {8: 4, 9: 4, 10: 4, 11: 4}


POINTS = [
    {"lr": 0.01, "momentum": 0.9, "batch_size": 16, "weight_decay": 1e-3},
    {"lr": 1e-3, "batch_size": 32},
    {"momentum": 0},
]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kill", [False, True])
def test_points_are_tried_first_and_once_whatever_is_killed(path, sampler, kill):
    options = spec(sampler=sampler, try_first=POINTS, methods=["erm", "erm_target"], num_samples=9, epochs=1)
    trials = search(path, options, Kills(path, seed=3) if kill else lambda ledger: False).trials()
    assert len(trials) == 18
    for trial in trials:
        assert set(trial.params) == set(SPACE)
        for i, point in enumerate(POINTS):
            assert (point.items() <= trial.params.items()) == (trial.number == i)
    drawn = [t.params["momentum"] for t in trials if t.number != 0 and t.number != 2]
    assert len(set(drawn)) == len(drawn) == 14


def test_a_point_is_completed_under_its_number_when_its_draw_was_cut_off(path):
    options = spec(try_first=POINTS)
    Ledger(path, options).next_trial()
    lines = path.read_bytes().splitlines(keepends=True)
    for n in range(1, len(lines) + 1):
        path.write_bytes(b"".join(lines[:n]))
        ledger = Ledger(path, options)
        assert ledger.next_trial().params == POINTS[0]
        second = ledger.next_trial()
        assert POINTS[1].items() <= second.params.items()
        assert second.number == 1


def test_a_method_tries_its_own_points_instead_of_the_shared(path):
    methods = {
        "erm": {},
        "erm_target": {"try_first": []},
        "scale": {**SCALE["scale"], "try_first": [{"group_size": 4, "lr": 0.05}]},
    }
    ledger = Ledger(path, spec(methods=methods, try_first=[{"lr": 0.01}]))
    erm, target, scale = (ledger.next_trial() for _ in range(3))
    assert erm.params["lr"] == 0.01
    assert target.params["lr"] not in (0.01, 0.05)
    assert (scale.params["lr"], scale.params["group_size"]) == (0.05, 4)


def test_cmaes_learns_from_points_that_leave_ranges_out(path):
    points = [{"lr": 0.01 + i / 1000} for i in range(10)]
    options = spec(sampler="cmaes", try_first=points, num_samples=50, epochs=1)
    trials = search(path, options).trials()
    assert [t.params["lr"] for t in trials[:10]] == [point["lr"] for point in points]
    assert sum(goodness(t.params) for t in trials[-10:]) / 10 > 0.9


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nothing_is_said_of_what_is_expected(path, sampler, capsys, caplog):
    optuna.logging.enable_propagation()
    search(path, spec(sampler=sampler, try_first=POINTS, num_samples=14, epochs=1))
    optuna.logging.disable_propagation()
    assert caplog.text == capsys.readouterr().err == ""


def test_the_sampler_points_has_its_points_and_no_others(path):
    points = [{"lr": 1e-3, "momentum": 0.5}, {"lr": 1e-2, "momentum": 0.9}, {"lr": 1e-2, "momentum": 0.1}]
    space = {name: SPACE[name] for name in ("lr", "momentum")}
    ledger = search(path, spec(sampler="points", space=space, try_first=points, num_samples=1))
    assert [trial.params for trial in ledger.trials()] == points
    assert ledger.done
