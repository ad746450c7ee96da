"""Networks by name, as a backbone and linear heads; a file for each place that they come from."""

from scale_tune.networks.network_registry import build_classifier, network_version, pretrained, recipe_of

__all__ = ["build_classifier", "network_version", "pretrained", "recipe_of"]
