"""``mixup``: cross-entropy on images and labels between two samples of a batch (Zhang et al., 2018).

Per step, with one lambda ~ Beta(alpha, alpha) and a permutation of the batch that gives each sample i a partner j:

    x = lambda * x_i + (1 - lambda) * x_j
    loss = lambda * CE(f(x), y_i) + (1 - lambda) * CE(f(x), y_j)

It is LISA's control: the same mixing with any partner.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import Batch, PooledOptions, Step, descend
from scale_tune.methods.mixing import beta, mixed, mixed_loss
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    from scale_tune.datasets.splits import SplitName


class MixupOptions(PooledOptions):
    """Mixup's own hyperparameter."""

    mixup_alpha: float = Field(default=0.2, ge=0, json_schema_extra=searched(type="float", low=0.1, high=10, log=True))
    """alpha of the Beta distribution of lambda; 0 mixes nothing."""


class Mixup(Erm):
    """ERM on mixed samples. How many of them it gets right while training is not told: none has a label of its own."""

    Options = MixupOptions
    refit_by_dfr = False

    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """One step down the gradient of the loss on the mixed batch, which it reports as ``mixed_loss``."""
        import torch

        batch = batches["train"]
        lam = beta(self.options.mixup_alpha, 1).to(self.device)
        partners = torch.randperm(len(batch)).to(self.device)
        loss = mixed_loss(self.network(mixed(batch, partners, lam)), batch, partners, lam)
        descend(loss, self.optimizer)
        return Step(scalars={"mixed_loss": loss})
