"""Mixed samples: images and their labels between two samples (Zhang et al., 2018)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from scale_tune.methods.method import Batch


def beta(alpha: float, n: int) -> "Tensor":
    """``n`` draws of lambda ~ Beta(alpha, alpha), float32, (n,); 1 if alpha is 0, which mixes nothing."""
    import torch

    if alpha == 0:
        return torch.ones(n)
    return torch.distributions.Beta(alpha, alpha).sample((n,))


def mixed(batch: "Batch", partners: "Tensor", lam: "Tensor") -> "Tensor":
    """The images lambda * x_i + (1 - lambda) * x_j.

    Args:
        batch: of samples i.
        partners: int64, (batch,): j, where in the batch each one's partner is.
        lam: lambda, on the batch's device, one or as many as samples.
    """
    weight = lam.view(-1, 1, 1, 1)
    return weight * batch.images + (1 - weight) * batch.images[partners]


def mixed_loss(logits: "Tensor", batch: "Batch", partners: "Tensor", lam: "Tensor") -> "Tensor":
    """The mean of lambda * CE(logits, y_i) + (1 - lambda) * CE(logits, y_j), which is CE on the mixed labels."""
    from torch.nn.functional import cross_entropy

    own, other = (cross_entropy(logits, labels, reduction="none") for labels in (batch.labels, batch.labels[partners]))
    return (lam * own + (1 - lam) * other).mean()
