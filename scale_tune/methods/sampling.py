"""Which samples an epoch has, so that groups or classes weigh alike (Idrissi et al., 2022)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def reweighted(of: "Tensor", generator: "torch.Generator") -> "Tensor":
    """As many samples as there are, with replacement: sample i with p proportional to 1 / n of what it belongs to.

    Args:
        of: int64, (samples,): the group or class of each; some may have none.
        generator: draws.

    Returns:
        Indices, int64, (samples,).
    """
    import torch

    n = torch.bincount(of).double()
    return torch.multinomial(1 / n[of], len(of), replacement=True, generator=generator)


def subsampled(of: "Tensor", generator: "torch.Generator") -> "Tensor":
    """Of every group or class that has samples as many as the smallest has, without replacement, in random order.

    Args:
        of: int64, (samples,): the group or class of each.
        generator: draws.

    Returns:
        Indices, int64, (k * n,) of k groups of at least n samples.
    """
    import torch

    order = torch.randperm(len(of), generator=generator)
    sizes = torch.bincount(of)
    smallest = int(sizes[sizes > 0].min())
    # How many of the same group stand before each in this order: the first ``smallest`` of every group are taken.
    by_group = torch.argsort(of[order], stable=True)
    starts = torch.cumsum(sizes, 0) - sizes
    before = torch.empty_like(order)
    before[by_group] = torch.arange(len(of)) - starts[of[order][by_group]]
    return order[before < smallest]
