import pytest
import torch
from safetensors.torch import save_file

from scale_tune.errors import UserError
from scale_tune.networks import build_classifier
from scale_tune.networks import classifier as models
from scale_tune.spec.config import ModelOptions


@pytest.mark.parametrize(
    ("name", "features"), [("small_cnn", 256), ("resnet18", 512), ("resnet50", 2048), ("mobilenet_v3_small", 1024)]
)
def test_a_model_is_a_backbone_and_heads(name, features):
    model = build_classifier(ModelOptions(name=name), 7, ["train", "target"], seed=0).eval()
    images = torch.randn(2, 3, 32, 32)
    assert model.backbone(images).shape == (2, features)
    assert model(images, "train").shape == (2, 7)
    assert torch.equal(model(images), model(images, "target")), "the last head is the one for evaluation"
    assert not torch.equal(model(images), model(images, "train"))


def test_the_seed_decides_the_weights_and_nothing_else_does():
    first = build_classifier(ModelOptions(), 10, ["train"], seed=1).state_dict()
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    second = build_classifier(ModelOptions(), 10, ["train"], seed=1).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build_classifier(ModelOptions(), 10, ["train"], seed=2).state_dict()
    assert not torch.equal(first["backbone.0.weight"], other["backbone.0.weight"])


def as_torchvision_has_it(path, name="resnet18"):
    from torchvision.models import get_model

    torch.manual_seed(5)
    state = get_model(name).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return state


def backbone(options: ModelOptions) -> dict[str, torch.Tensor]:
    return build_classifier(options, 10, ["train"], seed=0).backbone.state_dict()


def test_weights_are_taken_from_a_file(tmp_path):
    state = as_torchvision_has_it(tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        loaded = backbone(ModelOptions(name="resnet18", weights=str(tmp_path / name)))
        assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_imagenet_weights_are_taken_from_where_torchvision_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    with pytest.raises(UserError, match=r"download https://.*resnet18-f37072fd.pth to") as error:
        backbone(ModelOptions(name="resnet18", weights="imagenet"))
    assert str(file) in str(error.value)
    state = as_torchvision_has_it(file)
    loaded = backbone(ModelOptions(name="resnet18", weights="imagenet"))
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_a_network_without_the_literatures_imagenet_weights_is_refused():
    with pytest.raises(UserError, match="no IMAGENET1K_V1 weights of vit_h_14; give a file"):
        models._imagenet_weights("vit_h_14")  # building the network would take gigabytes


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "can't read a state dict"), (b"garbage", "can't read a state dict"), (None, "can't read a state dict")],
)
def test_broken_weights_are_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        backbone(ModelOptions(name="resnet18", weights=str(tmp_path / "w.pth")))
    assert "w.pth" in str(error.value)


def test_weights_that_could_run_code_are_refused(tmp_path):
    torch.save({"weight": pytest.raises}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="can't read a state dict"):
        backbone(ModelOptions(name="resnet18", weights=str(tmp_path / "w.pth")))


def test_weights_of_another_network_are_refused(tmp_path):
    as_torchvision_has_it(tmp_path / "w.pth", "resnet34")
    with pytest.raises(UserError, match="does not belong to resnet18"):
        backbone(ModelOptions(name="resnet18", weights=str(tmp_path / "w.pth")))
    with pytest.raises(UserError, match="small_cnn has no pretrained weights"):
        backbone(ModelOptions(name="small_cnn", weights="imagenet"))


def test_unknown_models_are_refused():
    with pytest.raises(UserError, match="no classifier 'resnet19'"):
        build_classifier(ModelOptions(name="resnet19"), 10, ["train"], seed=0)
    with pytest.raises(UserError, match="last layer of 'squeezenet1_0' is not linear"):
        build_classifier(ModelOptions(name="squeezenet1_0"), 10, ["train"], seed=0)
