import sys

import pytest
import timm
import torch

from scale_tune.errors import UserError
from scale_tune.networks import build_classifier
from scale_tune.spec.config import ModelOptions
from tests.support.networks import assert_holds, backbone_weights

RESNET = "timm/resnet10t"


# Of mobilenetv3 the features are wider than the last convolution; a ViT and a ConvNeXt norm theirs.
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_the_features_are_what_timms_own_classifier_takes(name):
    size = 224 if name.startswith("vit") else 64
    images = torch.randn(2, 3, size, size)
    torch.manual_seed(0)
    whole = timm.create_model(name, num_classes=7).eval()
    last = whole.get_classifier()
    model = build_classifier(ModelOptions(name=f"timm/{name}"), 7, ["train"], seed=0).eval()
    without_last = {weight: tensor for weight, tensor in whole.state_dict().items() if tensor.shape[:1] != (7,)}
    model.backbone.load_state_dict(without_last)
    model.head("train").load_state_dict(last.state_dict())
    torch.testing.assert_close(model(images), whole(images))


def test_weights_are_taken_from_a_file_with_or_without_the_classifier(tmp_path):
    torch.manual_seed(5)
    state = timm.create_model("resnet10t").state_dict()
    torch.save(state, tmp_path / "whole.pth")
    torch.save({n: t for n, t in state.items() if not n.startswith("fc.")}, tmp_path / "backbone.pth")
    for file in ("whole.pth", "backbone.pth"):
        assert_holds(backbone_weights(ModelOptions(name=RESNET, weights=str(tmp_path / file))), state)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(timm.create_model("resnet14t").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=f"does not belong to {RESNET}"):
        backbone_weights(ModelOptions(name=RESNET, weights=str(tmp_path / "w.pth")))


def test_imagenet_weights_that_cant_be_fetched_are_an_error_that_says_where_to_put_them(monkeypatch):
    create = timm.create_model

    def offline(name, pretrained, **options):
        if pretrained:
            raise OSError("no network")
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"weights of timm's resnet10t can't be had \(no network\).*\$HF_HOME"):
        backbone_weights(ModelOptions(name=RESNET, weights="imagenet"))


def test_a_network_that_timm_lacks_is_refused_and_the_nearest_named():
    with pytest.raises(UserError, match="timm has no network 'resnet18dd'; did you mean 'resnet18d'"):
        backbone_weights(ModelOptions(name="timm/resnet18dd"))


def test_without_timm_its_networks_say_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"needs timm: pip install 'scale-tune\[timm\]'"):
        backbone_weights(ModelOptions(name=RESNET))
