"""The whole state of a method as tensors by name, and back: networks, optimizers, tensors and plain values.

Nothing about it is known but what it has assigned to itself, so a method that nobody has written yet is resumed exactly
as well. What can't be saved is an error, never left out.
"""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from scale_tune.methods.method import Method

GIVEN = ("setting", "options")
"""The attributes that are no state: they come from the trial's config and data. Nor is what a cached property holds."""

MODULE, OPTIMIZER, TENSOR, PLAIN = "module", "optimizer", "tensor", "plain"


def modules(method: Method) -> Iterator[nn.Module]:
    """Every network of the method."""
    return (value for value in vars(method).values() if isinstance(value, nn.Module))


def optimizers(method: Method) -> Iterator[Optimizer]:
    """Every optimizer of the method."""
    return (value for value in vars(method).values() if isinstance(value, Optimizer))


def state_of(method: Method) -> dict[str, Tensor]:
    """All that the next epochs depend on, besides config, data and epoch.

    Raises:
        TypeError: an attribute is of a kind that can't be saved; it is named.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in vars(method).items():
        if name in GIVEN or isinstance(getattr(type(method), name, None), cached_property):
            continue
        if isinstance(value, nn.Module):
            tensors |= {f"{MODULE}/{name}/{key}": tensor for key, tensor in value.state_dict().items()}
        elif isinstance(value, Optimizer):
            tensors |= {f"{OPTIMIZER}/{name}/{key}": tensor for key, tensor in _of_optimizer(name, value).items()}
        elif isinstance(value, Tensor):
            tensors[f"{TENSOR}/{name}"] = value.detach()
        else:
            tensors[f"{PLAIN}/{name}"] = _encoded(name, value)
    return tensors


def load_state(method: Method, tensors: Mapping[str, Tensor]) -> None:
    """Restore what :func:`state_of` gave, in a method that has just been set up with the same config and data.

    Raises:
        ValueError: it is the state of another method, or of another version of its code.
    """
    for name, value in list(vars(method).items()):
        if isinstance(value, nn.Module):
            value.load_state_dict(_below(f"{MODULE}/{name}/", tensors))
        elif isinstance(value, Optimizer):
            _load_optimizer(value, _below(f"{OPTIMIZER}/{name}/", tensors))
    for name, tensor in _below(f"{TENSOR}/", tensors).items():
        present = getattr(method, name, None)
        if isinstance(present, Tensor) and present.shape == tensor.shape:
            with torch.no_grad():
                present.copy_(tensor)  # in place: an optimizer may hold it
        else:
            setattr(method, name, tensor.to(method.device, copy=True))
    for name, tensor in _below(f"{PLAIN}/", tensors).items():
        setattr(method, name, _decoded(tensor, getattr(method, name, None)))
    if differing := set(state_of(method)) ^ set(tensors):
        raise ValueError(f"the checkpoint is of another version of this method; they differ in {sorted(differing)[:5]}")


def _of_optimizer(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    found = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    for index, state in found["state"].items():
        for key, value in state.items():
            kind = TENSOR if isinstance(value, Tensor) else PLAIN
            tensors[f"{kind}/{index}/{key}"] = (
                value.detach() if isinstance(value, Tensor) else _encoded(f"{name}.state[{index}][{key!r}]", value)
            )
    settings = [
        {k: v for k, v in group.items() if k not in ("params", "param_names")} for group in found["param_groups"]
    ]
    return tensors | {"settings": _encoded(f"{name}.param_groups", settings)}


def _load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for kind in (TENSOR, PLAIN):
        for path, tensor in _below(f"{kind}/", tensors).items():
            index, _, key = path.partition("/")
            state.setdefault(int(index), {})[key] = tensor if kind == TENSOR else _decoded(tensor, None)
    present = optimizer.state_dict()["param_groups"]
    settings = _decoded(tensors["settings"], None)
    groups = [
        group | {key: _as(group.get(key), value) for key, value in saved.items()}
        for group, saved in zip(present, settings, strict=True)
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _encoded(name: str, value: Any) -> Tensor:
    """A plain value as the bytes of its JSON."""
    try:
        text = json.dumps(value)
        if json.loads(text) != _as_json(value):
            raise ValueError("it would come back as another value")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the method's attribute {name} can't be saved, a {type(value).__name__} ({error}): state is held in torch "
            "modules, optimizers, tensors, numbers, texts, and lists and dicts (by text) of numbers and texts"
        ) from None
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _as_json(value: Any) -> Any:
    """What a plain value comes back as: tuples are lists in JSON, and members of an enum their values."""
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def _decoded(tensor: Tensor, present: Any) -> Any:
    return _as(present, json.loads(tensor.cpu().numpy().tobytes()))


def _as(present: Any, value: Any) -> Any:
    """A value that was read, of the type that the attribute has now where JSON has no such type."""
    if isinstance(present, tuple) and isinstance(value, list):
        return tuple(value)
    return type(present)(value) if isinstance(present, Enum) else value


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
