"""Methods that go by train's groups are refused, before anything starts, where train has none to tell apart."""

import pytest

from scale_tune.datasets import dataset_of
from scale_tune.datasets.groups import Groups
from scale_tune.datasets.planning import info_of, plan_of
from scale_tune.errors import UserError
from scale_tune.methods import registered_methods
from scale_tune.methods.defined import check_defined
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig, TrialConfig
from scale_tune.workflows.rehearsal import rehearse
from tests.support.runs import fast_spec

GOES_BY_GROUPS = [name for name, cls in registered_methods() if "train" in cls.attributes_of]
ALIGNED, MIXED = (
    DatasetConfig(name="digits", spurious_strength=1.0),
    DatasetConfig(name="digits", spurious_strength=0.9),
)


@pytest.fixture(scope="module")
def plans():
    found = {}
    for dataset in (ALIGNED, MIXED):
        found[dataset.model_dump_json()] = plan_of(dataset_of(dataset)), info_of(dataset_of(dataset)).groups
    return found


def checked(plans, config: TrialConfig) -> None:
    check_defined(config, *plans[config.dataset.model_dump_json()])


def test_these_are_the_ones():
    assert {"rwg", "subg", "group_dro", "lisa"} <= set(GOES_BY_GROUPS)
    assert not {"erm", "rwy", "suby", "jtt", "afr", "mixup", "scale", "finetune"} & set(GOES_BY_GROUPS)


@pytest.mark.parametrize("method", GOES_BY_GROUPS)
def test_they_need_a_conflicting_sample_in_train_or_targets_samples(method, plans):
    with pytest.raises(UserError) as error:
        checked(plans, TrialConfig(method=method, dataset=ALIGNED))
    assert str(error.value) == (
        f"{method} goes by the groups of train, but on digits (spurious_strength=1.0) train has no conflicting sample: "
        f"every attribute is known from the label. Take data that has some, or set with_target to true in "
        f"methods.{method}.space, so that it learns from target's as well"
    )
    checked(plans, TrialConfig(method=method, dataset=ALIGNED, options={"with_target": True}))
    checked(plans, TrialConfig(method=method, dataset=MIXED))


@pytest.mark.parametrize("method", [name for name, _ in registered_methods() if name not in GOES_BY_GROUPS])
def test_all_others_are_defined_on_any_data(method, plans):
    checked(plans, TrialConfig(method=method, dataset=ALIGNED))


def test_one_conflicting_sample_is_enough(plans):
    plan, groups = plans[ALIGNED.model_dump_json()]
    assert isinstance(groups, Groups)
    train = plan["train"]
    attributes = train.attributes.copy()
    attributes[7] = (attributes[7] + 1) % 10
    one = dict(plan) | {"train": type(train)(**{**vars(train), "attributes": attributes})}
    check_defined(TrialConfig(method="rwg", dataset=ALIGNED), one, groups)


@pytest.mark.parametrize("method", GOES_BY_GROUPS)
def test_target_must_have_a_conflicting_sample_where_train_has_none(method, plans):
    plan, groups = plans[ALIGNED.model_dump_json()]
    target = plan["target"]
    all_aligned = groups.aligned.argmax(axis=1)[target.labels]
    neither = dict(plan) | {"target": type(target)(**{**vars(target), "attributes": all_aligned})}
    config = TrialConfig(method=method, dataset=ALIGNED)
    for options in ({"with_target": True}, {}):
        with pytest.raises(UserError, match=f"Take data that has some, or leave {method} out$") as error:
            check_defined(config.model_copy(update={"options": options}), neither, groups)
    check_defined(config.model_copy(update={"options": {"with_target": True}}), plan, groups)
    with pytest.raises(UserError) as error:
        check_defined(config.model_copy(update={"options": {"with_target": True}}), neither, groups)
    assert str(error.value).startswith(
        f"{method} goes by the groups of train and target, but on digits (spurious_strength=1.0) neither has a "
        "conflicting sample: every attribute is known from the label."
    )
    mixed_train, _ = plans[MIXED.model_dump_json()]
    with_own = neither | {"train": mixed_train["train"]}
    check_defined(config.model_copy(update={"options": {"with_target": True}}), with_own, groups)


OWN = """
from torch.nn.functional import cross_entropy
from scale_tune import Method, Step, descend

class Mine(Method):
    learns_from = ("train",)
    attributes_of = ("train",)

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())

    def step(self, batches):
        descend(cross_entropy(self.network(batches["train"].images), batches["train"].labels), self.optimizer)
        return Step()
"""


def test_a_method_that_cannot_learn_from_target_is_to_be_left_out(plans):
    usercode.provide({"mine.py": OWN})
    with pytest.raises(UserError, match="Take data that has some, or leave mine out$"):
        checked(plans, TrialConfig(method="mine", file="mine.py", dataset=ALIGNED))


def rehearsed(methods: dict, dataset: dict | None = None, **options) -> list[str]:
    said: list[str] = []
    rehearse(fast_spec(methods=methods, dataset={"name": "digits"} | (dataset or {}), **options), said.append)
    return said


def test_a_dry_run_refuses_what_would_not_be_defined():
    with pytest.raises(UserError, match=r"group_dro goes by .* set with_target to true in methods\.group_dro\.space"):
        rehearsed({"erm": {}, "group_dro": {}})
    both = {"group_dro": {"space": {"with_target": {"type": "choice", "values": [True, False]}}}}
    with pytest.raises(UserError, match="group_dro goes by the groups of train"):
        rehearsed(both)


def test_a_dry_run_takes_a_step_of_what_learns_from_target_too():
    said = rehearsed({"group_dro": {"space": {"with_target": True}}})
    assert "  of group_dro with small_cnn" in said


@pytest.mark.parametrize("values", [{"type": "choice", "values": [0.9, 1.0]}, {"type": "float", "low": 0.8, "high": 1}])
def test_a_searched_strength_is_refused_for_the_value_that_leaves_none(values):
    with pytest.raises(UserError, match=r"spurious_strength=1(\.0)?[,)].* train has no conflicting sample"):
        rehearsed({"rwg": {"space": {"dataset.spurious_strength": values}}})
    rehearsed({"rwg": {"space": {"dataset.spurious_strength": values, "with_target": True}}})
