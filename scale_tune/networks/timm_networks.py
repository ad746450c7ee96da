"""The networks of timm, as ``timm/resnet18d``, where that package is installed."""

from typing import Any

from torch import nn

from scale_tune.errors import UserError
from scale_tune.networks.recipe import Recipe
from scale_tune.networks.weights import load_weights
from scale_tune.spec.config import IMAGENET, ModelOptions
from scale_tune.spec.frozen import nearest

VERSION = 1
"""Raised when the same weights give other features."""
PREFIX = "timm/"


def backbone(options: ModelOptions) -> tuple[nn.Module, int]:
    """A network without its classifier, and its number of features.

    Raises:
        UserError: timm is not installed or has no such network, or the weights can't be had.
    """
    try:
        import timm
    except ImportError:
        raise UserError(f"model.name: {options.name} needs timm: pip install 'scale-tune[timm]'") from None
    name = options.name.removeprefix(PREFIX)
    if not timm.is_model(name):
        raise UserError(f"model.name: timm has no network {name!r}; {nearest(name, timm.list_models())}")
    # Without classes it has no classifier, and gives the features that one would take.
    network: Any = timm.create_model(name, pretrained=False, num_classes=0)
    if options.weights == IMAGENET:
        network = _pretrained(name)
    elif options.weights_file is not None:
        load_weights(network, options, options.weights_file, network.pretrained_cfg["classifier"])
    return network, int(getattr(network, "head_hidden_size", None) or network.num_features)


def recipe(options: ModelOptions, num_features: int, num_classes: int) -> Recipe:
    """Timm's network without its classifier, and a linear layer."""
    name = options.name.removeprefix(PREFIX)
    code = f'''import timm
import torch
from torch import nn


def backbone():
    """What gives {num_features} features."""
    return timm.create_model("{name}", num_classes=0)
'''
    return Recipe.in_sequence(code, num_features, num_classes)


def _pretrained(name: str) -> nn.Module:
    import timm

    try:
        network: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # of the hub's client, of many kinds
        raise UserError(
            f"the ImageNet weights of timm's {name} can't be had ({error}): fetch them where there is a network, into "
            f"the cache of the Hugging Face hub ($HF_HOME), or give a file as model.weights"
        ) from None
    return network
