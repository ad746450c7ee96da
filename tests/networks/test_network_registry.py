import pytest
import torch

from scale_tune.errors import UserError
from scale_tune.networks import build_classifier, network_version, pretrained
from scale_tune.spec import usercode
from scale_tune.spec.config import ModelOptions


@pytest.mark.parametrize(
    ("name", "features"),
    [("small_cnn", 256), ("resnet18", 512), ("mobilenet_v3_small", 1024), ("timm/resnet18d", 512)],
)
def test_a_network_is_a_backbone_and_heads(name, features):
    model = build_classifier(ModelOptions(name=name), 7, ["train", "target"], seed=0).eval()
    images = torch.randn(2, 3, 32, 32)
    assert model.backbone(images).shape == (2, features)
    assert model(images, "train").shape == (2, 7)
    assert torch.equal(model(images), model(images, "target")), "the last head is the one for evaluation"
    assert not torch.equal(model(images), model(images, "train"))


@pytest.mark.parametrize("name", ["small_cnn", "timm/resnet18d"])
def test_the_seed_decides_the_weights_and_nothing_else_does(name):
    first = build_classifier(ModelOptions(name=name), 10, ["train"], seed=1).state_dict()
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    second = build_classifier(ModelOptions(name=name), 10, ["train"], seed=1).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[weight], second[weight]) for weight in first)
    other = build_classifier(ModelOptions(name=name), 10, ["train"], seed=2).state_dict()
    assert not all(torch.equal(first[weight], other[weight]) for weight in first)


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet18d"])
def test_the_pretrained_network_has_imagenets_weights(name):
    assert pretrained(ModelOptions(name=name)) == ModelOptions(name=name, weights="imagenet")


def test_the_pretrained_network_is_the_one_of_the_file_if_there_is_one():
    options = ModelOptions(name="resnet18", weights="mine.pth")
    assert pretrained(options) == options


@pytest.mark.parametrize("name", ["small_cnn", "net.py:net"])
def test_without_weights_to_begin_from_there_is_no_pretrained_network(name):
    with pytest.raises(UserError, match=f"{name} has no pretrained weights"):
        pretrained(ModelOptions(name=name))


def test_the_version_of_a_users_network_changes_with_its_file():
    versions = set()
    for text in ("def net(): ...", "def net(): pass", "def net(): ..."):
        usercode.provide({"net.py": text})
        versions.add(network_version(ModelOptions(name="net.py:net")))
    assert len(versions) == 2
