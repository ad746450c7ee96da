import pytest

from scale_tune.confirm import confirmation_of, confirmation_spec, fresh_seeds
from scale_tune.errors import UserError
from scale_tune.ledger import Ledger
from scale_tune.rundir import RunDir, plain_spec
from scale_tune.space import RunSpec, validate_spec
from tests.runs import fast_spec


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
    assert {m.value: confirmation.method_epochs(m) for m in confirmation.methods} == {"erm": 1, "erm_target": 3}
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


def test_a_confirmation_is_below_its_run(tmp_path):
    assert confirmation_of(RunDir(tmp_path)).path.local == tmp_path / "confirm"
