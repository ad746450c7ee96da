import pytest

from scale_tune.errors import UserError
from scale_tune.networks import torchvision_networks
from scale_tune.spec.config import ModelOptions
from tests.support.networks import assert_holds, backbone_weights, save_resnet


def test_imagenet_weights_are_taken_from_where_torchvision_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    with pytest.raises(UserError, match=r"download https://.*resnet18-f37072fd.pth to") as error:
        backbone_weights(ModelOptions(name="resnet18", weights="imagenet"))
    assert str(file) in str(error.value)
    state = save_resnet(file)
    assert_holds(backbone_weights(ModelOptions(name="resnet18", weights="imagenet")), state)


def test_a_network_without_the_literatures_imagenet_weights_is_refused():
    with pytest.raises(UserError, match="no IMAGENET1K_V1 weights of vit_h_14; give a file"):
        torchvision_networks._imagenet_weights("vit_h_14")  # building the network would take gigabytes


def test_weights_of_another_network_are_refused(tmp_path):
    save_resnet(tmp_path / "w.pth", "resnet34")
    with pytest.raises(UserError, match="does not belong to resnet18"):
        backbone_weights(ModelOptions(name="resnet18", weights=str(tmp_path / "w.pth")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "there is no network 'resnet19'; did you mean 'resnet18'"),
        ("vit_tiny_patch16_224", "there is no network 'vit_tiny_patch16_224'.*timm's are called timm/"),
        ("squeezenet1_0", "last layer of 'squeezenet1_0' is not linear"),
    ],
)
def test_what_is_no_classifier_of_torchvision_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        backbone_weights(ModelOptions(name=name))
