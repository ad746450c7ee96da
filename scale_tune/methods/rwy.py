"""``rwy``: reweighting classes by drawing, ERM on class-balanced batches (Idrissi et al., 2022).

Sample i is drawn with p proportional to 1 / n_y(i), where n_y is the size of class y, with replacement. An epoch draws
as many as there are.
"""

from typing import TYPE_CHECKING

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import PooledOptions
from scale_tune.methods.sampling import reweighted

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Rwy(Erm):
    """Cross-entropy on class-balanced draws of train."""

    Options = PooledOptions
    refit_by_dfr = False

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """As many samples as there are, each class equally often in the mean."""
        return reweighted(self.samples["train"].labels, generator)
