"""Networks for tests: their weights, and files of them."""

from pathlib import Path

import torch

from scale_tune.networks import build_classifier
from scale_tune.spec.config import ModelOptions


def backbone_weights(options: ModelOptions) -> dict[str, torch.Tensor]:
    return build_classifier(options, 10, ["train"], seed=0).backbone.state_dict()


def save_resnet(path: Path, name: str = "resnet18") -> dict[str, torch.Tensor]:
    """A file of weights as torchvision has it, with the last layer."""
    from torchvision.models import get_model

    torch.manual_seed(5)
    state: dict[str, torch.Tensor] = get_model(name).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return state


def assert_holds(weights: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> None:
    """Every weight is the one of the state dict, which may have more."""
    assert weights
    assert all(torch.equal(weights[name], state[name]) for name in weights)
