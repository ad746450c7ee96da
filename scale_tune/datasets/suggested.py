"""How a search on pictures may begin; see ``suggested`` of :class:`scale_tune.datasets.contract.Dataset`."""

from typing import Any

FOR_IMAGENET: dict[str, Any] = {
    "model": {"name": "resnet50", "weights": "imagenet"},
    "space": {
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "weight_decay": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
        "batch_size": {"type": "int", "low": 16, "high": 128, "log": True},
    },
    "num_samples": 30,
    "epochs": 50,
    "scheduler": {"name": "asha", "grace_period": 5},
    "resources": {"cpus_per_trial": 2, "gpus_per_trial": 1},
}
"""Of networks that begin with ImageNet's weights: ranges that span those which SCALE's authors searched."""
