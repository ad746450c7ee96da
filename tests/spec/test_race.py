"""The race of seeds, a scheduler's option."""

import pytest

from scale_tune.errors import UserError
from scale_tune.spec.config import Race
from scale_tune.spec.loading import validate_spec

ASHA = {"name": "asha", "grace_period": 3, "reduction_factor": 3, "first_seeds": 1}


def validated(scheduler, **fields):
    return validate_spec({"methods": {"erm": {}}, "epochs": 27, "scheduler": scheduler} | fields, {}, "space.yaml")


@pytest.mark.parametrize(
    ("scheduler", "fields", "message"),
    [
        ({"name": "none", "first_seeds": 1}, {}, "none has no last rung"),
        ({"name": "median", "first_seeds": 1}, {}, "leave it out (null), or take asha or hyperband"),
        (ASHA | {"first_seeds": 4}, {}, "4 seeds are to begin, but a trial has 3"),
        (ASHA | {"first_seeds": 0}, {}, "greater than or equal to 1"),
        (ASHA, {"epochs": 3}, "erm has no rung, after which the other seeds could join, before its last epoch 3"),
        (ASHA, {"methods": {"erm": {}, "scale": {"epochs": 2}}}, "scale has no rung"),
    ],
)
def test_a_race_that_can_not_be_is_one_error_with_its_place(scheduler, fields, message):
    with pytest.raises(UserError) as error:
        validated(scheduler, **fields)
    (line,) = str(error.value).splitlines()
    assert line.startswith("space.yaml: scheduler.first_seeds: ")
    assert message in line


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_seeds_join_after_the_last_rung_before_the_end(name):
    spec = validated(ASHA | {"name": name}, methods={"erm": {}, "scale": {"epochs": 28}, "jtt": {"epochs": 4}})
    assert spec.race("erm") == Race(first_seeds=1, join_after=9)
    assert spec.race("scale") == Race(first_seeds=1, join_after=27)
    config = spec.trial_config("jtt", {})
    assert config.race == Race(first_seeds=1, join_after=3)
    assert [config.seeds_in(epoch) for epoch in range(1, 5)] == [1, 1, 1, 3]


def test_where_all_seeds_begin_there_is_no_race():
    assert validated(ASHA | {"first_seeds": 3}).race("erm") is None
    assert validated(ASHA | {"first_seeds": None}).race("erm") is None
