"""Which trials of a search may have one first stage."""

from scale_tune.methods import shares_preparation
from tests.support.runs import fast_spec


def spec_of(space: dict, method: str = "jtt", shared: dict | None = None):
    return fast_spec(methods={method: {"space": space}}, space={"lr": 0.01, "batch_size": 8} | (shared or {}))


def test_a_first_stage_is_shared_where_trials_can_agree_in_it():
    choice, whole = {"type": "choice", "values": [1, 2]}, {"type": "int", "low": 1, "high": 9}
    assert shares_preparation(spec_of({"first_epochs": choice, "upweight": whole}), "jtt")
    assert not shares_preparation(spec_of({"first_epochs": whole, "upweight": choice}), "jtt")
    rate = {"type": "float", "low": 1e-3, "high": 1e-1}
    assert not shares_preparation(spec_of({"upweight": choice, "lr": rate}), "jtt")
    assert not shares_preparation(spec_of({}, shared={"lr": rate}), "jtt")
    noise = {"dataset.noise": {"type": "float", "low": 0.1, "high": 0.5}}
    assert not shares_preparation(spec_of(noise), "jtt")
    assert shares_preparation(spec_of({"finetune_lr_factor": rate}, "finetune"), "finetune")
    assert not shares_preparation(spec_of({}, "erm"), "erm"), "it has none"
