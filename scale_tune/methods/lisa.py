"""``lisa``: mixup whose partners share the label or the attribute, but not both (Yao et al., 2022, Algorithm 1).

Per step, with probability p_sel ("intra-label"), the partner of each sample has the same label and another attribute;
otherwise ("intra-domain") the same attribute and another label. Lambda ~ Beta(alpha, alpha) for each pair, then mixup's
loss. Batches are group-balanced.

The authors' code draws pairs from a loader for each of four groups; here they are drawn within a group-balanced batch,
which gives a partner's group the same chances, for any number of groups. A sample without such a partner in its batch
takes one of the other kind, or stays as it is.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import Batch, PooledOptions, Step, descend
from scale_tune.methods.mixing import beta, mixed, mixed_loss
from scale_tune.methods.sampling import reweighted
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from scale_tune.datasets.splits import SplitName


class LisaOptions(PooledOptions):
    """LISA's own hyperparameters."""

    p_sel: float = Field(default=0.5, ge=0, le=1, json_schema_extra=searched(type="float", low=0, high=1))
    """Probability that a step mixes within a label; else it mixes within an attribute."""
    lisa_alpha: float = Field(default=2.0, ge=0, json_schema_extra=searched(type="float", low=0.1, high=10, log=True))
    """alpha of the Beta distribution of lambda; 0 mixes nothing."""


class Lisa(Erm):
    """ERM on selectively mixed samples."""

    attributes_of: "ClassVar[tuple[SplitName, ...]]" = ("train",)
    Options = LisaOptions
    refit_by_dfr = False

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """As many samples as there are, each group equally often in the mean."""
        return reweighted(self.samples["train"].groups, generator)

    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """One step down the gradient of the loss on the mixed batch.

        Returns:
            As ``mixed_loss`` the loss, as ``paired`` the share of samples that had a partner.
        """
        import torch

        batch = batches["train"]
        within_label = bool(torch.rand(()) < self.options.p_sel)
        partners = selected_partners(batch.labels, batch.attributes, within_label=within_label)
        lam = beta(self.options.lisa_alpha, len(batch)).to(self.device)
        loss = mixed_loss(self.network(mixed(batch, partners, lam)), batch, partners, lam)
        descend(loss, self.optimizer)
        paired = partners != torch.arange(len(batch), device=self.device)
        return Step(scalars={"mixed_loss": loss, "paired": paired.float().mean()})


def selected_partners(labels: "Tensor", attributes: "Tensor", *, within_label: bool) -> "Tensor":
    """A partner for each sample, uniformly among those of the batch that are eligible.

    Args:
        labels, attributes: int64, (batch,).
        within_label: whether partners have the same label and another attribute, or the other way round.

    Returns:
        Where in the batch each one's partner is, int64, (batch,); its own place where it has none.
    """
    import torch

    same_label, same_attribute = (of[:, None] == of[None, :] for of in (labels, attributes))
    of_each_kind = same_label & ~same_attribute, same_attribute & ~same_label
    wanted, other = of_each_kind if within_label else of_each_kind[::-1]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    eligible = torch.where(wanted.any(dim=1, keepdim=True), wanted, other)
    eligible = torch.where(eligible.any(dim=1, keepdim=True), eligible, itself)
    return torch.multinomial(eligible.float().cpu(), 1).squeeze(1).to(labels.device)
