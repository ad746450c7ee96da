"""``rwg``: reweighting groups by drawing, ERM on group-balanced batches (Idrissi et al., 2022).

Sample i is drawn with p proportional to 1 / n_g(i), where n_g is the size of group g, with replacement. An epoch draws
as many as there are.
"""

from typing import TYPE_CHECKING, ClassVar

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import PooledOptions
from scale_tune.methods.sampling import reweighted

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from scale_tune.datasets.splits import SplitName


class Rwg(Erm):
    """Cross-entropy on group-balanced draws of train."""

    attributes_of: "ClassVar[tuple[SplitName, ...]]" = ("train",)
    Options = PooledOptions
    refit_by_dfr = False

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """As many samples as there are, each group equally often in the mean."""
        return reweighted(self.samples["train"].groups, generator)
