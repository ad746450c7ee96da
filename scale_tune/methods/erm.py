"""``erm``: empirical risk minimisation, the mean cross-entropy on train (Vapnik, 1998)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from scale_tune.methods.method import Batch, Method, Step, descend

if TYPE_CHECKING:
    from scale_tune.datasets.splits import SplitName


class Erm(Method):
    """Cross-entropy on one split."""

    learns_from: "ClassVar[tuple[SplitName, ...]]" = ("train",)
    refit_by_dfr = True

    def setup(self) -> None:
        """One network, one optimizer."""
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())

    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """One step down the gradient of the mean cross-entropy."""
        from torch.nn.functional import cross_entropy

        ((split, batch),) = batches.items()
        logits = self.network(batch.images)
        descend(cross_entropy(logits, batch.labels), self.optimizer)
        return Step(logits={split: logits})
