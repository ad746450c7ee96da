import pytest
import torch

from scale_tune.errors import UserError
from scale_tune.spec.config import ModelOptions
from tests.support.networks import assert_holds, backbone_weights


def test_it_begins_from_a_file_of_its_own_weights(tmp_path):
    state = {name: torch.full_like(tensor, 2) for name, tensor in backbone_weights(ModelOptions()).items()}
    torch.save(state, tmp_path / "w.pth")
    assert_holds(backbone_weights(ModelOptions(weights=str(tmp_path / "w.pth"))), state)


def test_it_has_no_imagenet_weights():
    with pytest.raises(UserError, match="small_cnn has no ImageNet weights; use none, or a file"):
        backbone_weights(ModelOptions(weights="imagenet"))
