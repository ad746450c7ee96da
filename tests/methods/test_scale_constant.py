"""SCALE with a constant task weight; with 0 it is training on target alone."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from scale_tune.errors import UserError
from scale_tune.methods.scale import ScaleOptions
from scale_tune.spec import usercode
from scale_tune.spec.config import ModelOptions
from scale_tune.spec.loading import validate_spec
from scale_tune.workflows.resolving import resolved
from tests.support.small import MOMENTUM, assert_same_bits, observed, parameters, plain_sgd

MADE_UP = Path(__file__).with_name("made_up.py")
NO_BATCHNORM = ModelOptions(name="made_up.py:without_batchnorm")
STEPS = 20


@pytest.fixture(autouse=True)
def _own_network():
    usercode.provide(usercode.read_sources({"made up": MADE_UP}))


def constant(w: float, **fields):
    options = {"regularize_mode": "constant", "task_weight": w, "group_size": 4}
    ours = observed("scale", options=options, **fields).train(2)
    assert len(ours.seen) >= STEPS
    return ours


def target_alone(network: torch.nn.Module, batches) -> torch.nn.Module:
    """SGD on backbone and target head; the train head has no part in it."""
    network.heads.pop("train_head")
    return plain_sgd(network, batches)


@pytest.mark.parametrize("model", [ModelOptions(), NO_BATCHNORM], ids=["BatchNorm", "none"])
def test_a_weight_of_zero_is_training_on_target_alone_bit_for_bit(model):
    """But for BatchNorm's running statistics, which are of both passes, and with them what it predicts."""
    ours = constant(0.0, model=model)
    reference = target_alone(ours.before, ours.batches("target"))
    learned = {name: t for name, t in parameters(ours.method.network).items() if "train_head" not in name}
    assert_same_bits(learned, parameters(reference))
    images = torch.from_numpy(ours.replica.splits.val.images) / 255
    same = torch.equal(ours.method.network.eval()(images), reference.eval()(images))
    assert same == (model == NO_BATCHNORM)


def test_the_train_head_learns_with_any_weight():
    ours = constant(0.0)
    head = ours.method.network.head("train")
    assert not torch.equal(head.weight, ours.before.head("train").weight)


def test_a_weight_between_is_sgd_on_the_weighed_sum_of_both_losses():
    """For the backbone; each head follows its own loss unweighed."""
    ours = constant(0.25, model=NO_BATCHNORM)
    network = ours.before.train()
    shared, heads = (
        torch.optim.SGD(part.parameters(), lr=0.02, momentum=MOMENTUM, weight_decay=0.01)
        for part in (network.backbone, network.heads)
    )
    for batches in ours.seen:
        losses = {split: cross_entropy(network(batch.images, split), batch.labels) for split, batch in batches.items()}
        of_backbone = torch.autograd.grad(
            0.25 * losses["train"] + losses["target"], list(network.backbone.parameters()), retain_graph=True
        )
        heads.zero_grad()
        sum(losses.values()).backward()
        for parameter, gradient in zip(network.backbone.parameters(), of_backbone, strict=True):
            parameter.grad = gradient
        shared.step()
        heads.step()
    torch.testing.assert_close(parameters(ours.method.network), parameters(network), rtol=1e-4, atol=1e-6)


def test_the_cosine_makes_no_difference_to_a_constant_but_is_told():
    record, _ = observed("scale", options={"regularize_mode": "constant", "task_weight": 0.5}).replica.train_epoch(1)
    assert -1 <= record.diagnostics["cosine"] <= 1


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"regularize_mode": "constant"}, "the mode constant needs a task weight; give one, or a range"),
        ({"task_weight": 0.5}, "only the mode constant has a task weight, in linear it follows from the cosine"),
        ({"regularize_mode": "constant", "task_weight": -0.5}, "greater than or equal to 0"),
    ],
)
def test_a_task_weight_is_of_the_constant_mode_and_it_needs_one(options, rule):
    with pytest.raises(ValidationError, match=rule):
        ScaleOptions.model_validate(options)
    with pytest.raises(UserError) as error:
        validate_spec({"methods": {"scale": {"space": options}}}, {}, "space.yaml", resolved)
    message = str(error.value)
    assert message.startswith("space.yaml: methods.scale.space.task_weight")
    assert len(message.splitlines()) == 1


def test_a_choice_of_modes_with_constant_among_them_is_refused():
    """In a corner with linear the weight would make no difference, yet be searched."""
    modes = {"type": "choice", "values": ["linear", "constant"]}
    for options in ({"regularize_mode": modes}, {"regularize_mode": modes, "task_weight": 0.5}):
        with pytest.raises(UserError, match="methods.scale.space.task_weight"):
            validate_spec({"methods": {"scale": {"space": options}}}, {}, "space.yaml", resolved)


def test_a_searched_weight_passes_and_is_written_down():
    weight = {"type": "float", "low": 0.0, "high": 1.0}
    asked = {"scale": None, "scale_constant": {"variant_of": "scale"}}
    asked["scale_constant"]["space"] = {"regularize_mode": "constant", "task_weight": weight}
    spec = validate_spec({"methods": asked}, {}, "space.yaml", resolved)
    assert "task_weight" not in spec.trial_config("scale", {}).options
    config = spec.trial_config("scale_constant", {"task_weight": 0.25})
    assert config.options == {"group_size": 64, "regularize_mode": "constant", "task_weight": 0.25}
