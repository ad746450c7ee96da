import pytest
import torch

from scale_tune.errors import UserError
from scale_tune.networks import build_classifier
from scale_tune.spec import usercode
from scale_tune.spec.config import ModelOptions
from tests.support.networks import assert_holds, backbone_weights

NET = ModelOptions(name="net.py:net")
GOOD = """
from torch import nn

def net():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)), 5
"""


@pytest.fixture(autouse=True)
def _good():
    usercode.provide({"net.py": GOOD})


def test_the_function_makes_the_backbone():
    model = build_classifier(NET, 7, ["train"], seed=0)
    assert model.backbone(torch.randn(2, 3, 16, 8)).shape == (2, 5)
    assert model(torch.randn(2, 3, 16, 8)).shape == (2, 7)


def test_its_random_weights_are_those_of_the_seed():
    first, again, other = (build_classifier(NET, 7, ["train"], seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[weight], again[weight]) for weight in first)
    assert not torch.equal(first["backbone.2.weight"], other["backbone.2.weight"])


def test_it_begins_from_a_file_of_its_weights(tmp_path):
    state = {name: torch.full_like(tensor, 2) for name, tensor in backbone_weights(NET).items()}
    torch.save(state, tmp_path / "w.pth")
    weights = ModelOptions(name=NET.name, weights=str(tmp_path / "w.pth"))
    assert_holds(backbone_weights(weights), state)
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="does not belong to net.py:net"):
        backbone_weights(weights)


def test_imagenet_weights_are_refused():
    with pytest.raises(UserError, match="net.py:net has no ImageNet weights that are known; use none, or a file"):
        backbone_weights(ModelOptions(name=NET.name, weights="imagenet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def nett(): ...", "net.py has no 'net'; it has nett"),
        ("net = 3", "net.py:net is no function"),
        ("def net(width): ...", "net.py:net raised TypeError.*called without arguments"),
        ("def net(): raise KeyError('depth')", r"net.py:net raised KeyError\('depth'\)"),
        ("def net(): return 3", r"must return \(backbone, num_features\).*it returned 3"),
        ("def net(): return 'backbone', 3", r"must return \(backbone, num_features\)"),
        (GOOD.replace(", 5\n", "\n"), r"must return \(backbone, num_features\)"),
        (GOOD.replace(", 5\n", ", '5'\n"), r"must return \(backbone, num_features\)"),
        ("1 / 0", r"(?s)net.py can't be loaded.*ZeroDivisionError"),
    ],
    ids=[
        "missing",
        "no function",
        "arguments",
        "raises",
        "number",
        "text",
        "one value",
        "width as text",
        "broken file",
    ],
)
def test_what_makes_no_network_is_an_error_that_names_it(text, message):
    usercode.provide({"net.py": text})
    with pytest.raises(UserError, match=message):
        backbone_weights(NET)


def test_a_file_that_was_not_provided_is_named():
    with pytest.raises(UserError, match="the file elsewhere.py is not known here"):
        backbone_weights(ModelOptions(name="elsewhere.py:net"))
