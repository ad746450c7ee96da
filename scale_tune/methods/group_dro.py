"""``group_dro``: the groups with a high loss are given a high weight (Sagawa et al., 2020, Algorithm 1).

Per step, with the mean loss l_g of the batch's samples of group g, 0 for a group that has none in it:

    q_g <- q_g * exp(eta * l_g), normalised to sum 1; at first 1 / (number of groups that have samples)
    loss = sum over g of q_g * l_g

Batches are group-balanced, as in the authors' code: sample i is drawn with p proportional to 1 / n_g(i), with
replacement. A group without any sample has no weight.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from scale_tune.methods.method import Batch, Method, PooledOptions, Step, descend
from scale_tune.methods.sampling import reweighted
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from scale_tune.datasets.splits import SplitName


class GroupDroOptions(PooledOptions):
    """Group DRO's own hyperparameters."""

    eta: float = Field(default=0.01, ge=0, json_schema_extra=searched(type="float", low=1e-3, high=1e-1, log=True))
    """Step size of the weights q; 0 leaves them equal."""


class GroupDro(Method):
    """The sum of the groups' losses, weighted by q."""

    learns_from: "ClassVar[tuple[SplitName, ...]]" = ("train",)
    attributes_of: "ClassVar[tuple[SplitName, ...]]" = ("train",)
    Options = GroupDroOptions

    def setup(self) -> None:
        """One network, one optimizer, and q."""
        import torch

        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())
        present = torch.bincount(self.samples["train"].groups, minlength=self.num_groups) > 0
        self.q = (present.float() / present.sum()).to(self.device)

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """As many samples as there are, each group equally often in the mean."""
        return reweighted(self.samples["train"].groups, generator)

    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """Update q by the batch's losses, then one step down the gradient of the loss that the new q weighs.

        Returns:
            The logits, and as ``largest_q`` the highest weight.
        """
        import torch
        from torch.nn.functional import cross_entropy

        batch = batches["train"]
        logits = self.network(batch.images)
        losses = cross_entropy(logits, batch.labels, reduction="none")
        n = torch.bincount(batch.groups, minlength=self.num_groups)
        group_losses = torch.zeros_like(self.q).index_add(0, batch.groups, losses) / n.clamp(min=1)
        q = self.q * torch.exp(self.options.eta * group_losses.detach())
        self.q = q / q.sum()
        descend(self.q @ group_losses, self.optimizer)
        return Step(logits={"train": logits}, scalars={"largest_q": self.q.max()})
