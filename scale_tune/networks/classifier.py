"""A network as a backbone and linear heads.

The features are the input of the last linear layer: what SCALE's heads share and what DFR refits on.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class Classifier(nn.Module):
    """A backbone with one or more linear heads.

    Args:
        backbone: maps images (batch, 3, height, width) to features (batch, num_features).
        num_features: width of the features.
        num_classes: outputs of every head.
        heads: the heads' names; the last one is used for evaluation.
    """

    def __init__(self, backbone: nn.Module, num_features: int, num_classes: int, heads: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_features = num_features
        self.heads = nn.ModuleDict({f"{name}_head": nn.Linear(num_features, num_classes) for name in heads})
        self.evaluation_head = heads[-1]

    def head(self, name: str) -> nn.Module:
        """The linear head of this name."""
        return self.heads[f"{name}_head"]

    def forward(self, images: Tensor, head: str | None = None) -> Tensor:
        """Logits (batch, num_classes) of the named head, or of the evaluation head."""
        logits: Tensor = self.head(head or self.evaluation_head)(self.backbone(images))
        return logits
