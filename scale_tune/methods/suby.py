"""``suby``: ERM on a train set cut down to as many samples of every class as the smallest has (Idrissi et al., 2022).

The samples are drawn once for each seed, as in the authors' code, and stay the same for all epochs.
"""

from typing import TYPE_CHECKING

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import PooledOptions
from scale_tune.methods.sampling import subsampled
from scale_tune.seeding import derive_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Suby(Erm):
    """Cross-entropy on equally many samples of train's classes."""

    Options = PooledOptions
    refit_by_dfr = False

    def setup(self) -> None:
        """One network, one optimizer, and the samples that are left."""
        import torch

        super().setup()
        generator = torch.Generator().manual_seed(derive_seed(self.setting.seed, "subsample"))
        self.left = subsampled(self.samples["train"].labels, generator)

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """The samples that are left, in random order."""
        import torch

        return self.left[torch.randperm(len(self.left), generator=generator)]
