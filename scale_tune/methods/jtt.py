"""``jtt``: just train twice (Liu et al., 2021, Algorithm 1).

ERM for T epochs; E, the samples of train that this network gets wrong; then training anew, from the initial weights, on
train with each sample of E ``upweight`` times (lambda_up). If E is empty, that is ERM.

E is what the finished network gets wrong in evaluation mode, of images without augmentation, as the paper defines it.
The authors' code notes mistakes while the last of T epochs trains, and has each sample of E 1 + lambda_up times.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import Batch, PooledOptions, Step
from scale_tune.spec.frozen import MANY
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from scale_tune.datasets.splits import SplitName


class JttOptions(PooledOptions):
    """JTT's own hyperparameters."""

    first_epochs: int = Field(default=1, ge=1, le=MANY, json_schema_extra=searched(type="choice", values=[1, 5, 10]))
    """T, epochs of the network whose mistakes are looked for."""
    upweight: int = Field(
        default=20, ge=1, le=10_000, json_schema_extra=searched(type="choice", values=[4, 5, 6, 20, 50, 100])
    )
    """lambda_up: how many times a mistake is in the second stage's train set; 1 makes no difference."""


class Jtt(Erm):
    """ERM, then ERM on a train set in which its mistakes stand several times."""

    Options = JttOptions
    second_stage: ClassVar[tuple[str, ...]] = ("upweight",)
    refit_by_dfr = False

    def setup(self) -> None:
        """One network, one optimizer, and how many times each sample is drawn."""
        import torch

        super().setup()
        self.times = torch.ones(len(self.samples["train"]), dtype=torch.int64)
        self.mistakes = 0.0

    @classmethod
    def prepares(cls, options: JttOptions) -> int:
        """T."""
        return options.first_epochs

    def begin_epoch(self, epoch: int) -> None:
        """Of the first epoch that counts: find the mistakes, and begin anew."""
        if epoch != 1:
            return
        wrong = self.outputs("train", self.predict).argmax(dim=1).cpu() != self.samples["train"].labels
        self.times[wrong] = self.options.upweight
        self.mistakes = float(wrong.float().mean())
        self.network.load_state_dict(self.new_network().state_dict())
        self.optimizer.state.clear()

    def step(self, batches: "Mapping[SplitName, Batch]") -> Step:
        """ERM's, which reports besides the size of E as a share of train, as ``mistakes``."""
        import torch

        share = torch.tensor(self.mistakes, device=self.device)
        return replace(super().step(batches), scalars={"mistakes": share})

    def draw(self, generator: "torch.Generator") -> "Tensor":
        """Every sample as many times as it stands in the stage's train set, in random order."""
        import torch

        samples = torch.arange(len(self.times)).repeat_interleave(self.times)
        return samples[torch.randperm(len(samples), generator=generator)]
