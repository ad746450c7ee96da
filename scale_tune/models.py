"""Networks as a backbone and linear heads.

The features are the input of the last linear layer: what SCALE's heads share and what DFR refits on.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scale_tune.config import ModelOptions
from scale_tune.errors import UserError


class Classifier(nn.Module):
    """A backbone with one or more linear heads.

    Args:
        backbone: maps images (batch, 3, height, width) to features (batch, num_features).
        num_features: width of the features.
        num_classes: outputs of every head.
        heads: the heads' names; the last one is used for evaluation.
    """

    def __init__(self, backbone: nn.Module, num_features: int, num_classes: int, heads: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict({f"{name}_head": nn.Linear(num_features, num_classes) for name in heads})
        self.evaluation_head = heads[-1]

    def head(self, name: str) -> nn.Module:
        """The linear head of this name."""
        return self.heads[f"{name}_head"]

    def forward(self, images: Tensor, head: str | None = None) -> Tensor:
        """Logits (batch, num_classes) of the named head, or of the evaluation head."""
        logits: Tensor = self.head(head or self.evaluation_head)(self.backbone(images))
        return logits


def build_classifier(options: ModelOptions, num_classes: int, heads: Sequence[str], seed: int) -> Classifier:
    """A freshly initialised classifier, a pure function of the arguments.

    Raises:
        UserError: torchvision has no such classifier, or its last layer is not linear.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if options.name == "small_cnn":
            backbone, num_features = small_cnn()
        else:
            backbone, num_features = torchvision_backbone(options.name)
        return Classifier(backbone, num_features, num_classes, heads)


def small_cnn(width: int = 32) -> tuple[nn.Module, int]:
    """Three convolutions with BatchNorm, for images of 16 x 8 pixels upwards, and its number of features."""

    def block(channels_in: int, channels_out: int) -> list[nn.Module]:
        conv = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)]

    layers = [
        *block(3, width),
        nn.MaxPool2d(2),
        *block(width, 2 * width),
        nn.MaxPool2d(2),
        *block(2 * width, 4 * width),
        nn.AdaptiveAvgPool2d((2, 1)),
        nn.Flatten(),
    ]
    return nn.Sequential(*layers), 8 * width


def torchvision_backbone(name: str) -> tuple[nn.Module, int]:
    """A torchvision classifier without its last linear layer, and the number of features that layer took."""
    import torchvision.models  # a second to import, needed for these models only

    if name not in torchvision.models.list_models(module=torchvision.models):
        raise UserError(f"model.name: torchvision has no classifier {name!r}; use small_cnn, resnet18, resnet50, …")
    model = torchvision.models.get_model(name, weights=None)
    last_name, last = list(model.named_modules())[-1]
    if not isinstance(last, nn.Linear):
        raise UserError(f"model.name: the last layer of {name!r} is not linear, so it has no features to refit")
    model.set_submodule(last_name, nn.Identity())
    return model, last.in_features
