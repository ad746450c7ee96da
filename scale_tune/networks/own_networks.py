"""Networks of a user's own: ``file.py:function``."""

from pathlib import Path

from torch import nn

from scale_tune.errors import UserError
from scale_tune.networks.recipe import Recipe
from scale_tune.networks.weights import load_weights
from scale_tune.spec import usercode
from scale_tune.spec.config import IMAGENET, ModelOptions

VERSION = 1
"""Raised when the same weights give other features; of the function itself, the file's content tells."""


def backbone(options: ModelOptions) -> tuple[nn.Module, int]:
    """What the user's function returns: a module that maps images to features, and how many features those are.

    Raises:
        UserError: there is no such function, it raises an error, or returns something else; or ImageNet weights are
            asked for.
    """
    if options.weights == IMAGENET:
        raise UserError(f"model.weights: {options.name} has no ImageNet weights that are known; use none, or a file")
    function = usercode.load_attribute(options.name)
    if not callable(function):
        raise UserError(f"model.name: {options.name} is no function")
    try:
        made = function()
    except Exception as error:
        raise UserError(f"model.name: {options.name} raised {error!r}; it is called without arguments") from error
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module) and isinstance(made[1], int)):
        raise UserError(
            f"model.name: {options.name} must return (backbone, num_features), a torch module that maps images "
            f"(batch, 3, height, width) to features (batch, num_features), and their number; it returned {made!r:.200}"
        )
    network, num_features = made
    if options.weights_file is not None:
        load_weights(network, options, options.weights_file)
    return network, num_features


def recipe(options: ModelOptions, num_features: int, num_classes: int) -> Recipe:
    """The user's function, whose file is to lie beside it, and a linear layer."""
    file, _, function = options.name.partition(":")
    code = f'''import torch
from torch import nn

from {Path(file).stem} import {function}


def backbone():
    """What gives {num_features} features."""
    return {function}()[0]
'''
    return Recipe.in_sequence(code, num_features, num_classes)
