"""Networks as a backbone and linear heads.

The features are the input of the last linear layer: what SCALE's heads share and what DFR refits on.
"""

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scale_tune.errors import UserError
from scale_tune.spec.config import ModelOptions


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
        UserError: torchvision has no such classifier, its last layer is not linear, or its weights can't be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if options.name == "small_cnn":
            backbone, num_features = small_cnn()
            if options.weights != "none":
                raise UserError("model.weights: small_cnn has no pretrained weights; use none")
        else:
            backbone, num_features = torchvision_backbone(options)
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


def torchvision_backbone(options: ModelOptions) -> tuple[nn.Module, int]:
    """A torchvision classifier without its last linear layer, and the number of features that layer took."""
    from torchvision import models  # a second to import, needed for these models only

    name = options.name
    if name not in models.list_models(module=models):
        raise UserError(f"model.name: torchvision has no classifier {name!r}; use small_cnn, resnet18, resnet50, …")
    model = models.get_model(name, weights=None)
    last_name, last = list(model.named_modules())[-1]
    if not isinstance(last, nn.Linear):
        raise UserError(f"model.name: the last layer of {name!r} is not linear, so it has no features to refit")
    model.set_submodule(last_name, nn.Identity())
    if options.weights != "none":
        state = _imagenet_weights(name) if options.weights == "imagenet" else _weights_in(Path(options.weights))
        _load_backbone(model, {k: v for k, v in state.items() if not k.startswith(f"{last_name}.")}, options)
    return model, last.in_features


def _imagenet_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's first ImageNet weights of the network, which the literature uses, from its cache or the network."""
    from torchvision import models

    known = models.get_model_weights(name).__members__
    if "IMAGENET1K_V1" not in known:
        raise UserError(f"model.weights: torchvision has no IMAGENET1K_V1 weights of {name}; give a file")
    weights = known["IMAGENET1K_V1"]
    place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise UserError(
            f"the ImageNet weights of {name} can't be had ({error}): download {weights.url} to {place}, "
            "or give a file as model.weights"
        ) from None
    return state


def _weights_in(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file, or from a torch file that holds nothing but tensors."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, SafetensorError) as error:
        raise UserError(f"model.weights: can't read a state dict from {path}: {error}") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"model.weights: {path} must hold a state dict, a mapping of names to tensors")
    return state


def _load_backbone(model: nn.Module, state: dict[str, Tensor], options: ModelOptions) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"model.weights: {options.weights} does not belong to {options.name}: {error}; "
            "give the state dict of this network, with or without its last layer"
        ) from None
