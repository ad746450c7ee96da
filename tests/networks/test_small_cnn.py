import pytest
import torch

from scale_tune.errors import UserError
from scale_tune.networks import small_cnn
from scale_tune.spec.config import ModelOptions
from tests.support.networks import assert_holds, backbone_weights


def test_it_begins_from_a_file_of_its_own_weights(tmp_path):
    state = {name: torch.full_like(tensor, 2) for name, tensor in backbone_weights(ModelOptions()).items()}
    torch.save(state, tmp_path / "w.pth")
    assert_holds(backbone_weights(ModelOptions(weights=str(tmp_path / "w.pth"))), state)


def test_it_has_no_imagenet_weights():
    with pytest.raises(UserError, match="small_cnn has no ImageNet weights; use none, or a file"):
        backbone_weights(ModelOptions(weights="imagenet"))


FEATURES = {1: [27.7502, 36.2751, 36.7598, 55.5883, 45.6769, 0.0, 0.0, 39.7886]}
"""Some of what each version makes of the same weights and images. Kept features of another version are not used."""


def test_what_a_version_makes_never_changes():
    network, _ = small_cnn.small_cnn()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, 16, 8, generator=generator)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            lowest = 0.5 if name.endswith("running_var") else -0.4
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + lowest)
    with torch.no_grad():
        (features,) = network.eval()(images)
    made = [round(value, 4) for value in features[::32].tolist()]
    assert made == pytest.approx(FEATURES[small_cnn.VERSION], rel=1e-3), f"raise VERSION, and note {made} here"
