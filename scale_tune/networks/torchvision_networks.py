"""Torchvision's classifiers, as ``resnet18``."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from torchvision import models

from scale_tune.errors import UserError
from scale_tune.networks.recipe import Recipe
from scale_tune.networks.taps import taper
from scale_tune.networks.weights import load_state, load_weights
from scale_tune.spec.config import IMAGENET, ModelOptions
from scale_tune.spec.frozen import nearest

VERSION = 2
"""Raised when the same weights give other features."""


def backbone(options: ModelOptions) -> tuple[nn.Module, int]:
    """A classifier without its last linear layer, and the number of features that layer took.

    Raises:
        UserError: torchvision has no such classifier, its last layer is not linear, or its weights can't be had.
    """
    model, head, num_features = _without_head(options.name)
    if options.weights == IMAGENET:
        load_state(model, options, _imagenet_weights(options.name), head)
    elif options.weights_file is not None:
        load_weights(model, options, options.weights_file, head)
    taper(model)
    return model, num_features


def recipe(options: ModelOptions, num_features: int, num_classes: int) -> Recipe:
    """Torchvision's own network with a last layer of its size, so that weights have the names they have there."""
    _, head, _ = _without_head(options.name)
    code = f'''import torch
from torch import nn
from torchvision.models import get_model


def build():
    """The classifier, to be given weights."""
    model = get_model("{options.name}", weights=None)
    model.set_submodule("{head}", nn.Linear({num_features}, {num_classes}))
    return model
'''
    return Recipe(code=code, backbone="", head=head)


def _without_head(name: str) -> tuple[nn.Module, str, int]:
    """The network whose last layer does nothing, that layer's name, and the number of features it took."""
    known = models.list_models(module=models)
    if name not in known:
        raise UserError(
            f"model.name: there is no network {name!r}; {nearest(name, known)}; timm's are called timm/…, and one of "
            "your own is named as file.py:function"
        )
    model = models.get_model(name, weights=None)
    head, last = list(model.named_modules())[-1]
    if not isinstance(last, nn.Linear):
        raise UserError(f"model.name: the last layer of {name!r} is not linear, so it has no features to refit")
    model.set_submodule(head, nn.Identity())
    return model, head, last.in_features


def _imagenet_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's first ImageNet weights of the network, which the literature uses, from its cache or the network."""
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
