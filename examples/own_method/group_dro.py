"""Group DRO (Sagawa et al., 2020, Algorithm 1): the groups with a high loss are given a high weight.

Per step, with the mean loss l_g of each group in the batch (0 for a group that is absent):

    q_g <- q_g * exp(eta * l_g), normalised to sum 1
    loss = sum over g of q_g * l_g
"""

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from scale_tune import Method, MethodOptions, Step, descend


class GroupDroOptions(MethodOptions):
    eta: float = Field(default=0.01, gt=0)
    """Step size of the weights q."""


class GroupDro(Method):
    learns_from = ("train",)
    attributes_of = ("train",)
    Options = GroupDroOptions

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())
        self.q = torch.full((self.num_groups,), 1 / self.num_groups, device=self.device)

    def draw(self, generator):
        """Batches are group-balanced: a sample is drawn with a probability of 1 / (size of its group)."""
        groups = self.samples["train"].groups
        sizes = torch.bincount(groups, minlength=self.num_groups)
        return torch.multinomial(1 / sizes[groups], len(groups), replacement=True, generator=generator)

    def step(self, batches):
        batch = batches["train"]
        logits = self.network(batch.images)
        losses = cross_entropy(logits, batch.labels, reduction="none")
        sizes = torch.bincount(batch.groups, minlength=self.num_groups)
        group_losses = torch.zeros_like(self.q).index_add(0, batch.groups, losses) / sizes.clamp(min=1)
        q = self.q * torch.exp(self.options.eta * group_losses.detach())
        self.q = q / q.sum()
        descend(self.q @ group_losses, self.optimizer)
        return Step(logits={"train": logits}, scalars={"largest_q": self.q.max()})
