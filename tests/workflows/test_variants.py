"""A method of the package under a name of its own, with a space of its own."""

import pytest

from scale_tune.errors import UserError
from scale_tune.ledger.studies import read_trials
from scale_tune.methods import class_of, is_refitted
from scale_tune.methods.erm import Erm
from scale_tune.methods.scale import ScaleMethod
from scale_tune.search.worker import TuneTrial
from scale_tune.spec.loading import validate_spec
from scale_tune.tables import collect as results
from scale_tune.training.trialdir import read_record
from scale_tune.workflows.rehearsal import rehearse
from scale_tune.workflows.resolving import resolved
from tests.support.runs import fast_spec, make_run

CONSTANT = {"variant_of": "scale", "space": {"regularize_mode": "constant", "task_weight": 0.5}}
METHODS = {"scale": {"space": {"group_size": 4}}, "scale_constant": CONSTANT, "erm_again": {"variant_of": "erm"}}


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("mine", {"variant_of": "scal"}, "methods.mine.variant_of: there is no method 'scal'; did you mean 'scale'?"),
        (
            "erm",
            {"variant_of": "scale"},
            "methods.erm.variant_of: erm is a method of its own; give the variant another name",
        ),
        (
            "mine",
            {"variant_of": "scale", "file": "mine.py"},
            "methods.mine.variant_of: a file's method may have any name; leave this out",
        ),
        ("mine", {}, "methods.mine: there is no method 'mine'"),
        (
            "mine",
            {"variant_of": "erm", "space": {"group_size": 4}},
            "methods.mine.space.group_size: unknown parameter",
        ),
    ],
)
def test_what_is_no_variant_is_one_error_with_its_place(name, own, message):
    with pytest.raises(UserError) as error:
        validate_spec({"methods": {name: own}}, {}, "space.yaml", resolved)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"space.yaml: {message}")


def test_a_variant_of_a_variant_is_refused():
    methods = {"first": {"variant_of": "scale"}, "second": {"variant_of": "first"}}
    with pytest.raises(UserError, match=r"methods\.second\.variant_of: there is no method 'first'"):
        validate_spec({"methods": methods}, {}, "space.yaml", resolved)


def test_a_variants_options_are_its_methods():
    spec = fast_spec(methods=METHODS)
    assert spec.trial_config("scale_constant", {}).options == {
        "group_size": 64,
        "regularize_mode": "constant",
        "task_weight": 0.5,
    }
    assert spec.trial_config("scale", {}).options == {"group_size": 4, "regularize_mode": "linear"}
    assert spec.algorithm("scale_constant") == ("scale", None)
    assert class_of(spec.trial_config("scale_constant", {})) is ScaleMethod
    assert class_of(spec.trial_config("erm_again", {})) is Erm
    assert not is_refitted(spec.trial_config("erm_again", {})), "the search of erm is refitted, and no other"
    assert validate_spec(spec.model_dump(mode="json"), {}, "spec.yaml", resolved) == spec


def test_a_dry_run_takes_a_step_of_each():
    said: list[str] = []
    rehearse(fast_spec(methods=METHODS), said.append)
    assert [line for line in said if line.startswith("  of ")] == [f"  of {name} with small_cnn" for name in METHODS]


def test_a_worker_trains_a_variant_by_the_class_of_its_method(tmp_path):
    config = fast_spec(methods=METHODS).trial_config("scale_constant", {"lr": 0.01, "batch_size": 64})
    asked = {
        "trial": "scale_constant-00000",
        "config": config.model_dump_json(),
        "directory": str(tmp_path),
        "prepared": None,
        "threads": 1,
        "gpus": 0,
        "sources": {},
    }
    worker = TuneTrial(asked)
    method = worker._trial.replicas[0].method
    assert isinstance(method, ScaleMethod)
    assert method.options.task_weight == 0.5


def test_variants_are_searched_apart_and_stand_in_the_tables_by_their_names(tmp_path):
    methods = {"erm_target": {}, "with_decay": {"variant_of": "erm_target", "space": {"weight_decay": 0.5}}}
    spec = fast_spec(methods=methods, num_samples=1, epochs=1, seeds=[0], scheduler={"name": "none"}, sampler="random")
    run = make_run(tmp_path, spec)
    trials = read_trials(run.ledger)
    assert [trial.name for trial in trials] == ["erm_target-00000", "with_decay-00000"]
    records = [read_record(run.trial(trial.name)) for trial in trials]
    assert [record.config.variant_of for record in records] == [None, "erm_target"]
    for record in records:
        assert list(record.replicas[0].history[0].splits) == ["target", "val"]
    table = results.load_results(run.path)["trials"].set_index("trial")
    assert table.loc["with_decay-00000", ["method", "config.weight_decay"]].tolist() == ["with_decay", 0.5]
