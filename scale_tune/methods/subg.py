"""``subg``: ERM on as many samples of every group as the smallest has, drawn anew for each epoch.

Idrissi et al., 2022.
"""

from typing import TYPE_CHECKING, ClassVar

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import PooledOptions
from scale_tune.methods.sampling import subsampled

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from scale_tune.datasets.splits import SplitName


class Subg(Erm):
    """Cross-entropy on equally many samples of train's groups."""

    attributes_of: "ClassVar[tuple[SplitName, ...]]" = ("train",)
    Options = PooledOptions
    refit_by_dfr = False

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """The samples of a smaller train set in which all groups are of one size."""
        return subsampled(self.samples["train"].groups, generator)
