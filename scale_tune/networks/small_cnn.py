"""``small_cnn``: a network for small images, trained in seconds."""

import inspect

from torch import nn

from scale_tune.errors import UserError
from scale_tune.networks.recipe import Recipe
from scale_tune.networks.weights import load_weights
from scale_tune.spec.config import IMAGENET, ModelOptions

VERSION = 1
"""Raised when the same weights give other features."""


def backbone(options: ModelOptions) -> tuple[nn.Module, int]:
    """The network without a head, and its number of features.

    Raises:
        UserError: ImageNet weights are asked for, or the file of weights is of another network.
    """
    if options.weights == IMAGENET:
        raise UserError(f"model.weights: {options.name} has no ImageNet weights; use none, or a file")
    network, num_features = small_cnn()
    if options.weights_file is not None:
        load_weights(network, options, options.weights_file)
    return network, num_features


def recipe(options: ModelOptions, num_features: int, num_classes: int) -> Recipe:
    """The code below, and a linear layer."""
    code = f'''import torch
from torch import nn


{inspect.getsource(small_cnn)}

def backbone():
    """What gives {num_features} features."""
    return small_cnn()[0]
'''
    return Recipe.in_sequence(code, num_features, num_classes)


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
