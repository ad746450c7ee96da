import pytest
import torch

from scale_tune.config import ModelOptions
from scale_tune.errors import UserError
from scale_tune.models import build_classifier


@pytest.mark.parametrize(
    ("name", "features"), [("small_cnn", 256), ("resnet18", 512), ("resnet50", 2048), ("mobilenet_v3_small", 1024)]
)
def test_a_model_is_a_backbone_and_heads(name, features):
    model = build_classifier(ModelOptions(name=name), 7, ["train", "target"], seed=0).eval()
    images = torch.randn(2, 3, 32, 32)
    assert model.backbone(images).shape == (2, features)
    assert model(images, "train").shape == (2, 7)
    assert torch.equal(model(images), model(images, "target")), "the last head is the one for evaluation"
    assert not torch.equal(model(images), model(images, "train"))


def test_the_seed_decides_the_weights_and_nothing_else_does():
    first = build_classifier(ModelOptions(), 10, ["train"], seed=1).state_dict()
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    second = build_classifier(ModelOptions(), 10, ["train"], seed=1).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build_classifier(ModelOptions(), 10, ["train"], seed=2).state_dict()
    assert not torch.equal(first["backbone.0.weight"], other["backbone.0.weight"])


def test_unknown_models_are_refused():
    with pytest.raises(UserError, match="no classifier 'resnet19'"):
        build_classifier(ModelOptions(name="resnet19"), 10, ["train"], seed=0)
    with pytest.raises(UserError, match="last layer of 'squeezenet1_0' is not linear"):
        build_classifier(ModelOptions(name="squeezenet1_0"), 10, ["train"], seed=0)
