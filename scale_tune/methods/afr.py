"""``afr``: automatic feature reweighting (Qiu et al., 2023, Algorithm 1).

ERM on 80 % of train; then its last layer alone is trained on the other 20 %, whose samples weigh the more the less the
ERM network gave their label:

    mu_i proportional to exp(-gamma * p_i) / n_{y_i}, normalised to sum 1
    loss = sum over i of mu_i * CE(theta, i) + lambda * |theta - theta_0|^2

p_i is the ERM network's probability of the label of sample i, n_y the size of class y in the 20 %, theta the last layer
with its bias and theta_0 what ERM made of it. Theta follows the full gradient, clipped to a norm of 1, by plain SGD
with a learning rate of its own. Features are of images without augmentation, BatchNorm in evaluation mode.
"""

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import PooledOptions
from scale_tune.seeding import derive_seed
from scale_tune.spec.frozen import MANY
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    import torch
    from torch import Tensor

HELD_OUT = 0.2
MAX_NORM = 1.0


class AfrOptions(PooledOptions):
    """AFR's own hyperparameters."""

    first_epochs: int = Field(default=5, ge=1, le=MANY, json_schema_extra=searched(type="choice", values=[5, 20, 50]))
    """Epochs of ERM."""
    afr_gamma: float = Field(default=4.0, ge=0, json_schema_extra=searched(type="float", low=1, high=20))
    """gamma: how much samples that ERM finds hard outweigh easy ones; 0 leaves the classes' balance alone."""
    afr_lambda: float = Field(default=0.0, ge=0, json_schema_extra=searched(type="choice", values=[0.0, 0.1, 0.2, 0.3]))
    """lambda: how much the last layer is held to ERM's."""
    last_layer_lr: float = Field(default=0.01, ge=0)
    """Learning rate of the last layer's steps; 0 leaves it as ERM made it."""
    steps_per_epoch: int = Field(default=10, ge=1, le=MANY)
    """Full-gradient steps of the last layer in each of the epochs that count."""


class Afr(Erm):
    """ERM, then its last layer on reweighted samples that it has not seen."""

    Options = AfrOptions
    second_stage: ClassVar[tuple[str, ...]] = ("afr_gamma", "afr_lambda", "last_layer_lr", "steps_per_epoch")
    refit_by_dfr = False

    def setup(self) -> None:
        """One network, an optimizer of ERM and one of the last layer, theta_0, and who is held out."""
        import torch

        super().setup()
        self.stage = "erm"
        self.head_optimizer = torch.optim.SGD(self.head.parameters(), lr=self.options.last_layer_lr)
        self.weight_0, self.bias_0 = (parameter.detach().clone() for parameter in self.head.parameters())
        generator = torch.Generator().manual_seed(derive_seed(self.setting.seed, "held out"))
        order = torch.randperm(len(self.samples["train"]), generator=generator)
        first = len(order) - max(1, round(HELD_OUT * len(order)))
        self.first, self.held_out = order[:first], order[first:]

    @property
    def head(self) -> "torch.nn.Module":
        """The last layer, theta."""
        return self.network.head(self.network.evaluation_head)

    @classmethod
    def prepares(cls, options: AfrOptions) -> int:
        """The epochs of ERM."""
        return options.first_epochs

    @cached_property
    def features(self) -> "Tensor":
        """Of the samples held out, (samples, features). The backbone no longer changes when they are asked for."""
        return self.outputs("train", self.network.backbone, self.held_out)

    @cached_property
    def mu(self) -> "Tensor":
        """The weights of the samples held out, (samples,), which sum to 1."""
        import torch
        from torch.nn.functional import linear

        labels = self.samples["train"].labels[self.held_out].to(self.device)
        p = linear(self.features, self.weight_0, self.bias_0).softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
        n = torch.bincount(labels, minlength=self.num_classes)
        mu = torch.exp(-self.options.afr_gamma * p) / n[labels]
        return mu / mu.sum()

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """In ERM's epochs the other 80 %, each sample once; later none, as the network sees no further image."""
        import torch

        return (
            self.first[torch.randperm(len(self.first), generator=generator)] if self.stage == "erm" else self.first[:0]
        )

    def begin_epoch(self, epoch: int) -> None:
        """From epoch 1 on: the last layer's steps."""
        if epoch < 1:
            return
        if self.stage == "erm":
            self.stage = "last layer"
            self.weight_0, self.bias_0 = (parameter.detach().clone() for parameter in self.head.parameters())
        for _ in range(self.options.steps_per_epoch):
            self._step_of_last_layer()

    def _step_of_last_layer(self) -> None:
        from torch.nn.functional import cross_entropy
        from torch.nn.utils import clip_grad_norm_

        labels = self.samples["train"].labels[self.held_out].to(self.device)
        weight, bias = self.head.parameters()
        distance = (weight - self.weight_0).square().sum() + (bias - self.bias_0).square().sum()
        losses = cross_entropy(self.head(self.features), labels, reduction="none")
        self.head_optimizer.zero_grad()
        (self.mu @ losses + self.options.afr_lambda * distance).backward()
        clip_grad_norm_(self.head.parameters(), MAX_NORM)
        self.head_optimizer.step()
