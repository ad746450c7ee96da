"""``finetune``: ERM on train, then on target, from the weights that the first stage ends with."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from scale_tune.methods.erm import Erm
from scale_tune.methods.method import MethodOptions
from scale_tune.spec.frozen import MANY
from scale_tune.spec.parameters import searched

if TYPE_CHECKING:
    from scale_tune.datasets.splits import SplitName


class FinetuneOptions(MethodOptions):
    """Its own hyperparameters."""

    first_epochs: int = Field(default=5, ge=1, le=MANY, json_schema_extra=searched(type="choice", values=[1, 5, 20]))
    """Epochs on train, before those on target."""
    finetune_lr_factor: float = Field(
        default=1.0, ge=0, json_schema_extra=searched(type="choice", values=[1.0, 0.1, 0.01])
    )
    """The learning rate on target, as a multiple of that on train."""


class Finetune(Erm):
    """Cross-entropy on train, then on target; all weights are trained in both stages."""

    learns_from: "ClassVar[tuple[SplitName, ...]]" = ("train", "target")
    Options = FinetuneOptions
    second_stage: ClassVar[tuple[str, ...]] = ("finetune_lr_factor",)
    refit_by_dfr = False

    @classmethod
    def prepares(cls, options: FinetuneOptions) -> int:
        """The epochs on train."""
        return options.first_epochs

    def setup(self) -> None:
        """One network, one optimizer; at first it learns from train."""
        super().setup()
        self.stage = "train"

    def begin_epoch(self, epoch: int) -> None:
        """Of the first epoch that counts: go on with target, and a fresh optimizer."""
        if epoch == 1:
            self.stage = "target"
            rate = self.setting.config.hyperparameters.lr * self.options.finetune_lr_factor
            self.optimizer = self.sgd(self.network.parameters(), lr=rate)

    def batches_of(self) -> "tuple[SplitName, ...]":
        """The stage's one split."""
        return ("train",) if self.stage == "train" else ("target",)
