"""The loop that SCALE and its controls share: a gradient from train and one from target, combined on the backbone.

A shared backbone, and a linear head for each set. A step takes the gradient of the cross-entropy on a train batch
through the train head, g_tr, and of that on a target batch through the target head, g_tg, and combines the two on the
backbone. Each pass runs BatchNorm on its own batch. Each head follows its own gradient, by SGD with the same learning
rate, momentum and weight decay. The target head predicts.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from scale_tune.methods.method import Batch, Method, Step

if TYPE_CHECKING:
    from torch import Tensor

    from scale_tune.datasets.splits import SplitName


class TwoGradients(Method):
    """Two gradients, combined on the shared backbone; each head learns from its own loss."""

    learns_from: "ClassVar[tuple[SplitName, ...]]" = ("train", "target")

    @abstractmethod
    def combine(self, train_grad: "Tensor", target_grad: "Tensor") -> "tuple[Tensor, Tensor]":
        """What a parameter tensor of the backbone follows.

        Args:
            train_grad: g_tr, of the parameter's shape.
            target_grad: g_tg, of the same shape.

        Returns:
            The combined gradient, of the same shape and without weight decay, and the cosines of its groups,
            (number of groups,).
        """

    def setup(self) -> None:
        """A network with two heads, and an optimizer of all of it."""
        self.network = self.new_network(*self.learns_from)
        self.optimizer = self.sgd(self.network.parameters())

    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """A gradient from each split, then one step of the backbone along both and of each head along its own.

        Returns:
            The logits, and as ``cosine`` the mean of c over all groups.

        Raises:
            ValueError: a parameter of the backbone has a gradient in only one of the two passes.
        """
        import torch
        from torch.nn.functional import cross_entropy

        from scale_tune.methods.gradients import combine_all

        backbone = list(self.network.backbone.parameters())
        logits = {}
        gradients: list[tuple[Tensor | None, ...]] = []
        for split, batch in batches.items():
            head = list(self.network.head(split).parameters())
            logits[split] = self.network(batch.images, split)
            loss = cross_entropy(logits[split], batch.labels)
            grads = torch.autograd.grad(loss, backbone + head, allow_unused=True)
            gradients.append(grads[: len(backbone)])
            for parameter, gradient in zip(head, grads[len(backbone) :], strict=True):
                parameter.grad = gradient
        g_tr, g_tg = gradients
        cosines = combine_all(self.network.backbone.named_parameters(), g_tr, g_tg, self.combine)
        self.optimizer.step()
        self.optimizer.zero_grad()  # the next seed's step finds the memory free
        return Step(logits=logits, scalars={"cosine": cosines.mean()})
