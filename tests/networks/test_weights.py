"""Files of weights, of whatever network."""

import pytest
import torch
from safetensors.torch import save_file

from scale_tune.errors import UserError
from scale_tune.spec.config import ModelOptions
from tests.support.networks import assert_holds, backbone_weights, save_resnet


def test_weights_are_taken_from_a_file(tmp_path):
    state = save_resnet(tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert_holds(backbone_weights(ModelOptions(name="resnet18", weights=str(tmp_path / name))), state)


@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=["empty", "garbage", "missing"])
def test_broken_weights_are_named(tmp_path, content):
    if content is not None:
        (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match="can't read a state dict") as error:
        backbone_weights(ModelOptions(weights=str(tmp_path / "w.pth")))
    assert "w.pth" in str(error.value)


def test_weights_that_could_run_code_are_refused(tmp_path):
    torch.save({"weight": pytest.raises}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="can't read a state dict"):
        backbone_weights(ModelOptions(weights=str(tmp_path / "w.pth")))


def test_a_file_that_holds_more_than_weights_is_refused(tmp_path):
    torch.save({"epoch": 3, "state_dict": {"weight": torch.zeros(1)}}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="must hold a state dict, a mapping of names to tensors"):
        backbone_weights(ModelOptions(weights=str(tmp_path / "w.pth")))
