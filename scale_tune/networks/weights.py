"""Initial weights from a file."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scale_tune.errors import UserError
from scale_tune.spec.config import ModelOptions


def load_weights(network: nn.Module, options: ModelOptions, path: Path, head: str | None = None) -> None:
    """Load a file of weights into a network without its head; see :func:`load_state`."""
    load_state(network, options, weights_in(path), head)


def load_state(network: nn.Module, options: ModelOptions, state: dict[str, Tensor], head: str | None = None) -> None:
    """Load a state dict into a network without its head.

    Args:
        network: whose weights are replaced.
        options: names the network and the weights in an error.
        state: of this network.
        head: the name of the last layer, whose weights are passed over.

    Raises:
        UserError: it is of another network.
    """
    if head is not None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(f"{head}.")}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"model.weights: {options.weights} does not belong to {options.name}: {error}; "
            "give the state dict of this network, with or without its last layer"
        ) from None


def weights_in(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file, or from a torch file that holds nothing but tensors.

    Raises:
        UserError: the file can't be read, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, SafetensorError) as error:
        why = next(iter(str(error).splitlines()), "it ends before it begins")
        raise UserError(
            f"model.weights: can't read a state dict from {path}: {why[:200]}; give a safetensors file, or what "
            "torch.save wrote of a state dict"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"model.weights: {path} must hold a state dict, a mapping of names to tensors")
    return state
