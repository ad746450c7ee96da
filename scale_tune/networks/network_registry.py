"""Where networks come from, by the form of their names; and any classifier from its options."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.config import IMAGENET, RANDOM, ModelOptions

if TYPE_CHECKING:
    from scale_tune.networks.classifier import Classifier
    from scale_tune.networks.recipe import Recipe

OWN = {"small_cnn": "scale_tune.networks.small_cnn"}
"""The networks of the package. Each module has a ``VERSION`` and the functions ``backbone(options)``
and ``recipe(options, num_features, num_classes)``."""
TIMM, TORCHVISION, USERS = (f"scale_tune.networks.{kind}_networks" for kind in ("timm", "torchvision", "own"))


def _module(options: ModelOptions) -> str:
    if options.file is not None:
        return USERS
    if options.name.startswith("timm/"):
        return TIMM
    return OWN.get(options.name, TORCHVISION)


def build_classifier(options: ModelOptions, num_classes: int, heads: Sequence[str], seed: int) -> "Classifier":
    """A freshly initialised classifier, a pure function of the arguments.

    Args:
        options: the network and its initial weights.
        num_classes: outputs of every head.
        heads: the heads' names; the last one is used for evaluation.
        seed: of the random weights.

    Raises:
        UserError: there is no such network, or its weights can't be had.
    """
    import torch

    from scale_tune.networks.classifier import Classifier

    source: Any = import_module(_module(options))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone, num_features = source.backbone(options)
        return Classifier(backbone, num_features, num_classes, heads)


def recipe_of(options: ModelOptions, num_features: int, num_classes: int) -> "Recipe":
    """How the trained network is built where this package is not.

    Args:
        options: the network.
        num_features: that its last layer takes.
        num_classes: that it tells apart.
    """
    source: Any = import_module(_module(options))
    recipe: Recipe = source.recipe(options, num_features, num_classes)
    return recipe


def network_version(options: ModelOptions) -> str:
    """Changes when the same weights may give other features than before."""
    source: Any = import_module(_module(options))
    code = "" if options.file is None else usercode.version(options.file)
    return f"{source.VERSION} {code}"


def pretrained(options: ModelOptions) -> ModelOptions:
    """The network with the file of weights that it begins from, or else ImageNet's.

    Raises:
        UserError: it has none.
    """
    if options.weights != RANDOM:
        return options
    if _module(options) in (TIMM, TORCHVISION):
        return options.model_copy(update={"weights": IMAGENET})
    raise UserError(f"{options.name} has no pretrained weights; torchvision's networks do, or a file as model.weights")
