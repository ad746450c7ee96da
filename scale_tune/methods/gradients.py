"""SCALE's maths: combine the gradients of a large spurious set and a small balanced set, kernel group by kernel group.

The symbols are the method's: g_tr and g_tg are the gradients of the backbone on a train and on a target batch,
c their cosine similarity within a group, w the task weight that c is turned into. Per group

    c = cos(g_tr, g_tg)
    w = regularize_mode(c)
    d = w * g_tr + g_tg + weight_decay * theta
    v = momentum * v + d        (first step: v = d)
    theta = theta - lr * v

:func:`combine_gradients` is the maths of one parameter. The last two lines are those of SGD, which the heads follow,
too: with d = g + weight_decay * theta, and g of each one's own loss.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from scale_tune.methods.regularize_mode import RegularizeMode

COSINE_EPS = 1e-8
IMAGE_CHANNELS = 3


def elements_per_group(shape: Sequence[int], group_size: int) -> int:
    """How many consecutive elements of a parameter tensor of this shape form one group.

    A convolution weight (O, I, kh, kw) is O * I kernels of kh * kw elements, and ``group_size`` consecutive
    kernels form a group. A convolution on image channels (I == 3) has one group per output filter. Every
    other tensor (BatchNorm, bias, linear weight) is one group.
    """
    numel = math.prod(shape)
    if len(shape) <= 2:
        return numel
    kernels_per_group = IMAGE_CHANNELS if shape[1] == IMAGE_CHANNELS else group_size
    return min(kernels_per_group * math.prod(shape[2:]), numel)


def task_weight(cosine: Tensor, regularize_mode: RegularizeMode, constant: float | None = None) -> Tensor:
    """w(c), elementwise and of the same shape, for a cosine similarity c in [-1, 1].

    Raises:
        ValueError: there is no constant, and the mode is ``constant``; or there is one, and it is not.
    """
    if (constant is not None) != (regularize_mode is RegularizeMode.CONSTANT):
        raise ValueError(f"a constant task weight is of the mode constant alone: got {constant} with {regularize_mode}")
    match regularize_mode:
        case RegularizeMode.LINEAR:
            return (cosine + 1) / 2
        case RegularizeMode.RELU:
            return cosine.clamp(min=0)
        case RegularizeMode.IDENTITY:
            return cosine
        case RegularizeMode.STEP:
            return (cosine > 0).to(cosine.dtype)
        case RegularizeMode.CONSTANT:
            return torch.full_like(cosine, float(constant or 0))


def combine_gradients(
    train_grad: Tensor,
    target_grad: Tensor,
    group_size: int,
    regularize_mode: RegularizeMode | str,
    constant: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Combine the two gradients of one parameter tensor: w * g_tr + g_tg per group.

    Args:
        train_grad: g_tr, of the parameter's shape.
        target_grad: g_tg, of the same shape.
        group_size: number of consecutive kernels of a convolution weight that form a group; the last group
            may be smaller, and a size above the kernel count means one group.
        regularize_mode: how c becomes w.
        constant: w, if the mode is ``constant``.

    Returns:
        The combined gradient, of the parameter's shape and without weight decay, and the cosine similarity of
        each group, of shape (number of groups,). Where a gradient is zero its cosine is 0.

    Raises:
        ValueError: the shapes differ, ``group_size`` is below 1, the mode is unknown, or a constant is given that it
            has no use for, or is lacking.
    """
    if train_grad.shape != target_grad.shape:
        raise ValueError(
            f"the two gradients must have one shape, got {tuple(train_grad.shape)} for train "
            f"and {tuple(target_grad.shape)} for target"
        )
    if group_size < 1:
        raise ValueError(f"group_size must be at least 1, got {group_size}")
    g_tr, g_tg = (in_groups(gradient, group_size) for gradient in (train_grad, target_grad))
    cosines = cosine_of_rows(g_tr, g_tg)
    w = task_weight(cosines, RegularizeMode(regularize_mode), constant).unsqueeze(1)
    return ungrouped(torch.addcmul(g_tg, w, g_tr), train_grad.shape), cosines


def cosine_of_rows(one: Tensor, other: Tensor) -> Tensor:
    """The cosine similarity of each row of one with the same row of the other, (rows,); 0 where either is zero.

    What :func:`torch.nn.functional.cosine_similarity` gives but for rounding. That divides every element by its row's
    norm, and takes five to eight times as long for it.
    """
    norms = (torch.linalg.vector_norm(rows, dim=1).clamp_(min=COSINE_EPS) for rows in (one, other))
    cosines: Tensor = torch.linalg.vecdot(one, other)
    return cosines.div_(next(norms)).div_(next(norms))


def in_groups(gradient: Tensor, group_size: int) -> Tensor:
    """A parameter's gradient with a row for each group: (number of groups, elements of a group)."""
    per_group = elements_per_group(gradient.shape, group_size)
    flat = gradient.reshape(-1)
    if lacking := -len(flat) % per_group:
        # Zeros at the end complete the last group; they change neither its dot products nor its norms.
        flat = pad(flat, (0, lacking))
    return flat.view(-1, per_group)


def ungrouped(rows: Tensor, shape: torch.Size) -> Tensor:
    """A gradient of the parameter's shape from its groups."""
    return rows.view(-1)[: shape.numel()].view(shape)


Combine = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From g_tr and g_tg of a parameter, the gradient that it follows, and the cosines of its groups."""


def combine_all(
    named_parameters: Iterable[tuple[str, Tensor]],
    train_grads: Sequence[Tensor | None],
    target_grads: Sequence[Tensor | None],
    combine: Combine,
) -> Tensor:
    """Give every parameter as its ``grad`` what it follows, for an optimizer to step along.

    Args:
        named_parameters: the backbone's (name, parameter) pairs.
        train_grads: g_tr of each parameter, in their order, as :func:`torch.autograd.grad` returns them; None where the
            loss does not depend on it.
        target_grads: g_tg, likewise.
        combine: makes one gradient of two, as :func:`combine_gradients` does.

    Returns:
        The cosine similarities of all groups of all parameters, of shape (number of groups,), on the parameters'
        device.

    Raises:
        ValueError: a parameter has a gradient in only one of the two passes.
    """
    # Everything is checked before anything is changed: an error leaves the gradients as they were.
    pairs = [
        (parameter, _paired(name, g_tr, g_tg))
        for (name, parameter), g_tr, g_tg in zip(named_parameters, train_grads, target_grads, strict=True)
    ]
    cosines = []
    for parameter, pair in pairs:
        parameter.grad = None
        if pair is not None:
            parameter.grad, of_groups = combine(*pair)
            cosines.append(of_groups)
    return torch.cat(cosines)


def _paired(name: str, g_tr: Tensor | None, g_tg: Tensor | None) -> tuple[Tensor, Tensor] | None:
    if g_tr is None and g_tg is None:
        return None
    if g_tr is None or g_tg is None:
        present, absent = ("target", "train") if g_tr is None else ("train", "target")
        raise ValueError(
            f"parameter {name!r} has a gradient from the {present} loss but none from the {absent} loss; "
            "SCALE needs both: freeze the parameter, or move it out of the shared backbone"
        )
    return g_tr, g_tg
