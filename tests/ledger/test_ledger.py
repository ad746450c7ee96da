"""The ledger without Ray: a search in which a loop here takes the part of the workers."""

from collections import Counter

import pytest

from scale_tune.errors import UserError
from scale_tune.ledger.ledger import Ledger
from scale_tune.ledger.studies import LedgerState, LedgerTrial, best_trials_first, create_studies, read_trials
from scale_tune.spec.space import RunSpec
from scale_tune.storage.database import Database

EPOCHS = 9


SCALE = {"scale": {"space": {"group_size": {"type": "choice", "values": [1, 4, 16]}}}}


def spec(**options) -> RunSpec:
    fields = {
        "methods": {"erm": {}, **SCALE},
        "space": {
            "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "batch_size": {"type": "int", "low": 8, "high": 64},
        },
        "num_samples": 6,
        "epochs": EPOCHS,
        "scheduler": {"name": "asha", "grace_period": 1, "reduction_factor": 3},
    }
    return RunSpec.model_validate(fields | options)


def objectives(trial: LedgerTrial) -> list[float]:
    """What training would give: a function of the config alone."""
    return [min(1.0, trial.params["lr"] * (1 + epoch / EPOCHS)) for epoch in range(1, EPOCHS + 1)]


def train(ledger: Ledger, trial: LedgerTrial) -> None:
    curve = objectives(trial)
    for epoch in range(len(trial.objectives) + 1, EPOCHS + 1):
        if ledger.report(trial.name, curve[:epoch]):
            return
    ledger.complete(trial.name)


def run_all(ledger: Ledger) -> list[str]:
    names = []
    while (trial := ledger.next_trial()) is not None:
        names.append(trial.name)
        train(ledger, trial)
    return names


def test_every_method_gets_its_trials_side_by_side(path):
    names = run_all(Ledger(path, spec()))
    assert names == [f"{method}-{number:05d}" for number in range(6) for method in ("erm", "scale")]
    assert Ledger(path, spec()).done


def test_each_method_draws_from_its_own_space(path):
    ledger = Ledger(path, spec())
    run_all(ledger)
    for trial in ledger.trials():
        own = {"group_size"} if trial.method == "scale" else set()
        assert set(trial.params) == {"lr", "batch_size"} | own
        assert 1e-4 <= trial.params["lr"] <= 1e-1
        assert isinstance(trial.params["batch_size"], int)


def test_an_interrupted_trial_is_issued_again_under_its_number_with_its_config(path):
    ledger = Ledger(path, spec())
    first, second = ledger.next_trial(), ledger.next_trial()
    ledger.report(first.name, [0.1, 0.2])
    again = Ledger(path, spec())
    reissued = [again.next_trial(), again.next_trial()]
    assert [(t.name, t.params) for t in reissued] == [(t.name, t.params) for t in (first, second)]
    assert reissued[0].objectives == [0.1, 0.2]
    assert again.next_trial().name == "erm-00001"


def test_a_trial_that_is_put_back_is_the_next_one_issued(path):
    ledger = Ledger(path, spec())
    first = ledger.next_trial()
    ledger.report(first.name, [0.1])
    ledger.put_back(first.name)
    again = ledger.next_trial()
    assert (again.name, again.params, again.objectives) == (first.name, first.params, [0.1])
    assert ledger.next_trial().name == "scale-00000"


def test_a_restart_at_any_point_ends_with_exactly_the_trials_asked_for(path):
    while True:
        ledger = Ledger(path, spec())
        if ledger.done:
            break
        trial = ledger.next_trial()  # the driver dies after one report of one trial, again and again
        curve = objectives(trial)
        epoch = len(trial.objectives) + 1
        if not ledger.report(trial.name, curve[:epoch]) and epoch == EPOCHS:
            ledger.complete(trial.name)
    trials = ledger.trials()
    assert Counter(t.method for t in trials) == {"erm": 6, "scale": 6}
    for trial in trials:
        assert trial.objectives == objectives(trial)[: len(trial.objectives)]
        assert trial.state is (LedgerState.COMPLETE if len(trial.objectives) == EPOCHS else LedgerState.PRUNED)


def test_a_restart_remembers_the_rungs(path):
    def until_pruned(*, restart: bool) -> list[tuple[LedgerState, list[float]]]:
        path.write_bytes(b"")
        ledger = Ledger(path, spec(methods=["erm"], sampler="random"))
        for curve in ([0.5] * EPOCHS, [0.6] * EPOCHS, [0.4] * EPOCHS, [0.55] * EPOCHS, [0.7] * EPOCHS):
            trial = ledger.next_trial()
            for epoch in range(1, EPOCHS + 1):
                if ledger.report(trial.name, curve[:epoch]):
                    break
                if restart:
                    ledger = Ledger(path, spec(methods=["erm"], sampler="random"))
                    ledger.next_trial()
            else:
                ledger.complete(trial.name)
        return [(t.state, t.objectives) for t in ledger.trials()]

    through = until_pruned(restart=False)
    assert Counter(state for state, _ in through) == {LedgerState.COMPLETE: 3, LedgerState.PRUNED: 2}
    assert until_pruned(restart=True) == through


def test_a_driver_that_dies_before_it_decides_decides_again(path):
    options = {"methods": ["erm"], "sampler": "random"}
    ledger = Ledger(path, spec(**options))
    good, bad = ledger.next_trial(), ledger.next_trial()
    ledger.report(good.name, [0.5])
    assert ledger.report(bad.name, [0.1])
    lines = path.read_bytes().splitlines(keepends=True)
    told = max(i for i, line in enumerate(lines) if b'"state":2' in line)
    path.write_bytes(b"".join(lines[:told]))  # noted at the rung, but not yet stopped
    again = Ledger(path, spec(**options))
    assert again.trial(bad.name).state is LedgerState.RUNNING
    assert again.report(bad.name, [0.1])
    assert again.trial(bad.name).state is LedgerState.PRUNED


def test_a_rung_that_a_report_jumps_over_counts(path):
    ledger = Ledger(path, spec(methods=["erm"]))
    good, late = ledger.next_trial(), ledger.next_trial()
    ledger.report(good.name, [0.5])
    assert ledger.report(late.name, [0.1, 0.6]), "0.1 lost the rung at epoch 1"
    assert ledger.trial(late.name).objectives == [0.1, 0.6]


def test_a_promotion_is_not_taken_back_when_better_trials_come(path):
    ledger = Ledger(path, spec(methods=["erm"]))
    first, second = ledger.next_trial(), ledger.next_trial()
    assert not ledger.report(first.name, [0.5])
    assert not ledger.report(second.name, [0.9])
    assert not ledger.report(first.name, [0.5, 0.5])


def test_a_trial_with_nothing_left_to_train_is_not_stopped(path):
    ledger = Ledger(path, spec(methods=["erm"]))
    good, diverged = ledger.next_trial(), ledger.next_trial()
    ledger.report(good.name, [0.5])
    assert not ledger.report(diverged.name, [0.0], finished=True)
    ledger.complete(diverged.name)
    assert ledger.trial(diverged.name).state is LedgerState.COMPLETE


def test_methods_have_rungs_of_their_own(path):
    ledger = Ledger(path, spec())
    erm, scale = ledger.next_trial(), ledger.next_trial()
    assert not ledger.report(scale.name, [0.9])
    assert not ledger.report(erm.name, [0.1]), "erm is far below scale, and is not compared with it"


def test_without_a_scheduler_nothing_is_stopped(path):
    ledger = Ledger(path, spec(scheduler={"name": "none"}))
    run_all(ledger)
    assert {t.state for t in ledger.trials()} == {LedgerState.COMPLETE}


def test_a_finished_search_is_extended_by_exactly_the_difference(path):
    run_all(Ledger(path, spec()))
    before = Ledger(path, spec()).trials()
    extended = Ledger(path, spec(num_samples=9))
    assert not extended.done
    assert run_all(extended) == [f"{m}-{n:05d}" for n in range(6, 9) for m in ("erm", "scale")]
    after = {t.name: t for t in extended.trials()}
    assert all(after[t.name] == t for t in before)


def test_a_restart_does_not_repeat_draws(path):
    options = {"methods": ["erm"], "sampler": "random", "num_samples": 20}
    drawn = []
    for _ in range(20):
        trial = None
        ledger = Ledger(path, spec(**options))
        while (trial := ledger.next_trial()) is not None and trial.name in [name for name, _ in drawn]:
            pass
        drawn.append((trial.name, trial.params["lr"]))
    assert len({lr for _, lr in drawn}) == 20


def test_a_grid_is_visited_once_also_over_restarts(path):
    space = {
        "lr": {"type": "choice", "values": [1e-3, 1e-2, 1e-1]},
        "batch_size": {"type": "choice", "values": [16, 32]},
        "momentum": {"type": "constant", "value": 0.5},
    }
    options = {"space": space, "sampler": "grid", "scheduler": {"name": "none"}, "num_samples": 1}
    for _ in range(3):
        ledger = Ledger(path, spec(**options))
        for _ in range(4):
            train(ledger, ledger.next_trial())
        ledger.next_trial()  # is interrupted
    ledger = Ledger(path, spec(**options))
    run_all(ledger)
    assert ledger.done
    points = Counter((t.method, *sorted(t.params.items())) for t in ledger.trials())
    assert set(points.values()) == {1}
    assert Counter(t.method for t in ledger.trials()) == {"erm": 6, "scale": 18}


def test_the_same_seed_draws_the_same_search(tmp_path):
    def search(seed: int) -> Ledger:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.log"
        path.touch()
        return Ledger(path, spec(search_seed=seed))

    first, second, other = search(3), search(3), search(4)
    assert first.next_trial().params == second.next_trial().params != other.next_trial().params


def test_reports_are_noted_once(path):
    ledger = Ledger(path, spec())
    trial = ledger.next_trial()
    ledger.report(trial.name, [0.1])
    ledger.report(trial.name, [0.1, 0.2, 0.3])  # the driver missed one, and is told all
    ledger.report(trial.name, [0.1, 0.2, 0.3])
    assert ledger.trial(trial.name).objectives == [0.1, 0.2, 0.3]


def test_states_and_errors_are_noted(path):
    ledger = Ledger(path, spec(num_samples=2))
    failed, complete, pruned, running = (ledger.next_trial() for _ in range(4))
    ledger.fail(failed.name, "Traceback: of this and that")
    ledger.report(complete.name, [0.5] * EPOCHS)
    ledger.complete(complete.name)
    ledger.report(running.name, [0.1] * 2)
    by_name = {t.name: t for t in read_trials(path)}
    assert by_name[failed.name].state is LedgerState.FAILED
    assert by_name[failed.name].error == "Traceback: of this and that"
    assert by_name[complete.name].state is LedgerState.COMPLETE
    assert by_name[complete.name].objective == 0.5
    assert by_name[pruned.name].state is LedgerState.RUNNING
    assert not ledger.done


def test_an_unfinished_last_line_is_dropped_with_a_word(path, caplog):
    ledger = Ledger(path, spec())
    first = ledger.next_trial()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":8,"worker')
    again = Ledger(path, spec())
    assert "dropped an unfinished last line" in caplog.text
    assert again.next_trial() == first
    run_all(again)
    assert Ledger(path, spec()).trials()[0].name == first.name


def test_a_cut_at_any_byte_loses_no_finished_trial(path):
    ledger = Ledger(path, spec(num_samples=2, methods=SCALE))
    run_all(ledger)
    content = path.read_bytes()
    for cut in range(content.index(b"\n") + 1, len(content), 97):
        path.write_bytes(content[:cut])
        ledger = Ledger(path, spec(num_samples=2, methods=SCALE))
        run_all(ledger)
        assert [t.name for t in ledger.trials()] == ["scale-00000", "scale-00001"]
        assert all(set(t.params) == {"lr", "batch_size", "group_size"} for t in ledger.trials())
        assert ledger.done


def test_the_lock_of_a_killed_writer_does_not_block(path):
    run_all(Ledger(path, spec(num_samples=1)))
    path.with_name(path.name + ".lock").symlink_to(path)
    ledger = Ledger(path, spec(num_samples=2))
    run_all(ledger)
    assert ledger.done


def test_a_ledger_that_cannot_be_read_is_an_error_and_not_an_empty_search(path):
    run_all(Ledger(path, spec(num_samples=1)))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"garbage\n", *lines[2:]]))
    with pytest.raises(UserError, match="can't be read"):
        Ledger(path, spec())
    with pytest.raises(UserError, match="can't be read"):
        read_trials(path)


def test_a_ledger_that_is_gone_is_an_error_and_not_an_empty_search(path):
    path.unlink()
    with pytest.raises(UserError, match="there is no ledger"):
        Ledger(path, spec())
    with pytest.raises(UserError, match="there is no ledger"):
        read_trials(path)
    assert not path.exists()


def test_a_trial_that_has_passed_a_rung_is_not_judged_there_again_when_its_worker_dies(path):
    ledger = Ledger(path, spec(methods=["erm"]))
    first, second = ledger.next_trial(), ledger.next_trial()
    assert not ledger.report(first.name, [0.5])
    assert not ledger.report(second.name, [0.9])
    ledger.put_back(first.name)
    ledger.next_trial()
    assert not ledger.report(first.name, [0.5]), "it had passed before the better one came"


def test_a_failed_trial_is_tried_again_under_its_number_and_no_other_is(path):
    ledger = Ledger(path, spec(num_samples=2))
    failed, *_ = (ledger.next_trial() for _ in range(4))
    ledger.report(failed.name, [0.1])
    ledger.fail(failed.name, "Traceback: a reason")
    again = Ledger(path, spec(num_samples=2))
    for _ in range(3):
        train(again, again.next_trial())
    assert again.next_trial() is None
    assert again.done, "a failed trial has ended"
    assert again.retry_failed() == [failed.name]
    assert not again.done
    issued = again.next_trial()
    assert (issued.name, issued.params, issued.objectives) == (failed.name, failed.params, [0.1])
    train(again, issued)
    assert again.done
    assert [t.error for t in again.trials()] == [None] * 4
    assert again.retry_failed() == []


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_runs_share_a_database_and_each_goes_on_from_its_own_studies(tmp_path, path, sampler):
    options = spec(sampler=sampler, num_samples=9)
    first, second = (Database(f"sqlite:///{tmp_path}/ledgers.db", name) for name in ("first", "second"))
    for database in (first, second):
        with pytest.raises(UserError, match="has no study of erm"):
            Ledger(database, options)
        create_studies(database, options.methods)
    interrupted = Ledger(first, options).next_trial()
    ledger = Ledger(first, options)  # a driver that has not drawn what it goes on with
    assert ledger.next_trial() == interrupted
    train(ledger, interrupted)
    run_all(ledger)
    assert ledger.done
    assert read_trials(second) == []
    run_all(Ledger(path, options))
    assert [(t.name, t.params, t.state) for t in read_trials(first)] == [
        (t.name, t.params, t.state) for t in read_trials(path)
    ]


def test_the_best_trial_has_the_highest_objective_and_of_equal_ones_the_lowest_number(path):
    ledger = Ledger(path, spec(methods=["erm"]))
    assert best_trials_first([ledger.next_trial()]) == []
    for objective, trial in zip([0.5, 0.7, 0.7], [ledger.next_trial() for _ in range(3)], strict=True):
        ledger.report(trial.name, [objective])
    assert [trial.number for trial in best_trials_first(reversed(ledger.trials()))] == [2, 3, 1]


def test_opening_a_ledger_writes_nothing_into_it(tmp_path):
    path = tmp_path / "ledger.log"
    path.touch()
    Ledger(path, spec())
    before = path.read_bytes()
    assert before
    Ledger(path, spec())
    assert path.read_bytes() == before
