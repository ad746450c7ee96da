"""``suby``: ERM on as many samples of every class as the smallest has, drawn anew for each epoch.

Idrissi et al., 2022.
"""

from typing import TYPE_CHECKING

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import PooledOptions
from scale_tune.methods.sampling import subsampled

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Suby(Erm):
    """Cross-entropy on equally many samples of train's classes."""

    Options = PooledOptions
    refit_by_dfr = False

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """The samples of a smaller train set in which all classes are of one size."""
        return subsampled(self.samples["train"].labels, generator)
