"""A trained classifier is the same network where this package is not."""

import pytest
import torch

from scale_tune.networks import build_classifier, recipe_of
from scale_tune.spec import usercode
from scale_tune.spec.config import ModelOptions

OWN = """
from torch import nn


def narrow():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 5
"""


@pytest.mark.parametrize("name", ["small_cnn", "resnet18", "mobilenet_v3_small", "timm/resnet10t", "narrow.py:narrow"])
def test_the_recipe_builds_a_network_that_takes_the_weights_and_gives_the_same_logits(name, tmp_path, monkeypatch):
    usercode.provide({"narrow.py": OWN})
    (tmp_path / "narrow.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    classifier = build_classifier(ModelOptions(name=name), 3, ["train", "target"], seed=0).eval()
    recipe = recipe_of(ModelOptions(name=name), classifier.num_features, 3)
    assert "scale_tune" not in recipe.code

    namespace: dict = {}
    exec(recipe.code, namespace)
    model = namespace["build"]().eval()
    state = {recipe.backbone + key: tensor for key, tensor in classifier.backbone.state_dict().items()}
    state |= {f"{recipe.head}.{key}": tensor for key, tensor in classifier.head("target").state_dict().items()}
    model.load_state_dict(state)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), classifier(images), rtol=1e-4, atol=1e-5)
