"""Augmentation and normalisation against torchvision's, image by image at the same draws."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from scale_tune.datasets.digits import INFO
from scale_tune.datasets.splits import DatasetInfo, PaddedCrop, ResizedCrop
from scale_tune.datasets.transforms import augment, draw_boxes, normalise, resized_crop

PADDED = dataclasses.replace(INFO, random_crop=PaddedCrop(padding=4))
CROP = ResizedCrop(area=(0.7, 1.0), ratio=(3 / 4, 4 / 3))
RESIZED = dataclasses.replace(INFO, height=64, width=48, central_crop=(56, 40), random_crop=CROP)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, height: int = 16, width: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=seeded(0))


def test_normalising_agrees_with_torchvision():
    expected = reference.normalize(images(5).float() / 255, list(INFO.mean), list(INFO.std))
    torch.testing.assert_close(normalise(images(5), INFO), expected)


@pytest.mark.parametrize("size", [(12, 6), (11, 8), (16, 3)])
def test_only_the_middle_is_seen(size):
    seen = normalise(images(5), dataclasses.replace(INFO, central_crop=size))
    expected = reference.center_crop(images(5), list(size)).float() / 255
    torch.testing.assert_close(seen, reference.normalize(expected, list(INFO.mean), list(INFO.std)))


def test_without_augmentation_nothing_is_changed_or_drawn():
    plain = dataclasses.replace(INFO, random_crop=None)
    generator = seeded(3)
    state = generator.get_state()
    assert torch.equal(augment(images(5), plain, generator), images(5))
    assert torch.equal(generator.get_state(), state)


def test_cropping_agrees_with_torchvision_at_the_same_offsets():
    cropped = augment(images(20), PADDED, seeded(3))
    offsets = torch.randint(0, 9, (2, 20, 1), generator=seeded(3)).squeeze(2)
    padded = reference.pad(images(20).float(), [4, 4, 4, 4], padding_mode="reflect").to(torch.uint8)
    for image, out, top, left in zip(padded, cropped, *offsets.tolist(), strict=True):
        assert torch.equal(out, reference.crop(image, top, left, 16, 8))
    assert len(set(offsets.flatten().tolist())) > 5


def test_mirroring_and_cropping_agree_with_torchvision():
    out = augment(images(40), dataclasses.replace(PADDED, flip=True), seeded(3))
    generator = seeded(3)
    offsets = torch.randint(0, 9, (2, 40, 1), generator=generator).squeeze(2)
    flipped = torch.randint(0, 2, (40, 1), generator=generator).squeeze(1).bool()
    padded = reference.pad(images(40).float(), [4, 4, 4, 4], padding_mode="reflect").to(torch.uint8)
    for image, got, top, left, flip in zip(padded, out, *offsets.tolist(), flipped.tolist(), strict=True):
        cropped = reference.crop(image, top, left, 16, 8)
        assert torch.equal(got, reference.horizontal_flip(cropped) if flip else cropped)
    assert 10 < flipped.sum() < 30


@pytest.mark.parametrize("size", [(40, 40), (64, 48), (90, 30)])
def test_resized_crops_agree_with_torchvision_and_pillow(size):
    boxes = draw_boxes(12, RESIZED, CROP, seeded(3))
    for image, out, box in zip(images(12, 64, 48), resized_crop(images(12, 64, 48), boxes, size), boxes.T, strict=True):
        expected = reference.resized_crop(image.float(), *box.int().tolist(), size=list(size), antialias=True)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-3)
        by_pillow = reference.resized_crop(Image.fromarray(image.permute(1, 2, 0).numpy()), *box.int().tolist(), size)
        assert np.abs(np.asarray(by_pillow) - out.permute(1, 2, 0).numpy()).max() < 1.1, "it rounds, twice"


def test_a_random_resized_crop_is_a_crop_and_a_mirroring():
    info = dataclasses.replace(RESIZED, flip=True)
    out = augment(images(30, 64, 48), info, seeded(3))
    generator = seeded(3)
    expected = resized_crop(images(30, 64, 48), draw_boxes(30, info, CROP, generator), (56, 40))
    flipped = torch.randint(0, 2, (30, 1, 1, 1), generator=generator).bool()
    assert torch.equal(out, torch.where(flipped, expected.flip(3), expected))
    assert 5 < flipped.sum() < 25
    assert normalise(out, info).shape == (30, 3, 56, 40), "all of it is seen"


def test_boxes_are_drawn_as_torchvision_draws_them():
    boxes = draw_boxes(3000, RESIZED, CROP, seeded(3))
    top, left, height, width = boxes
    assert (boxes == boxes.round()).all()
    assert min(top.min(), left.min()) >= 0
    assert min(height.min(), width.min()) >= 1
    assert (top + height).max() <= 64
    assert (left + width).max() <= 48
    torch.manual_seed(0)
    theirs = [v2.RandomResizedCrop(8, CROP.area, CROP.ratio).make_params([images(1, 64, 48)]) for _ in range(3000)]
    for name, ours in zip(("top", "left", "height", "width"), boxes, strict=True):
        assert ks_2samp(ours.numpy(), [params[name] for params in theirs]).pvalue > 0.01, name


@pytest.mark.parametrize(
    ("ratio", "box"), [((3, 4), [24, 0, 16, 48]), ((0.1, 0.2), [0, 17, 64, 13]), ((0.7, 0.8), [0, 0, 64, 48])]
)
def test_where_no_drawn_box_fits_it_is_the_largest_in_the_middle(ratio, box):
    crop = ResizedCrop(area=(1.0, 1.0), ratio=ratio)
    boxes = draw_boxes(50, RESIZED, crop, seeded(3))
    assert box in boxes.T.int().tolist()
    torch.manual_seed(0)
    theirs = [v2.RandomResizedCrop(8, crop.area, crop.ratio).make_params([images(1, 64, 48)]) for _ in range(50)]
    assert box in [[params[name] for name in ("top", "left", "height", "width")] for params in theirs]


@pytest.mark.parametrize("info", [PADDED, dataclasses.replace(RESIZED, flip=True)], ids=["padded", "resized"])
def test_a_generator_gives_the_same_crops_again_on_every_device(info, device):
    given = images(8, info.height, info.width)
    first, second, other = (augment(given, info, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    torch.testing.assert_close(augment(given.to(device), info, seeded(1)).cpu(), first, rtol=0, atol=5e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"central_crop": (17, 8)}, "central_crop is 17 x 8, images are 16 x 8"),
        ({"central_crop": (0, 8)}, "central_crop is 0 x 8"),
        ({"random_crop": PaddedCrop(padding=8)}, "padding is 8, images are 16 x 8; it must be less"),
        ({"random_crop": ResizedCrop(area=(0.5, 1.5), ratio=(1, 1))}, r"area \(0.5, 1.5\) and"),
        ({"random_crop": ResizedCrop(area=(0.5, 1), ratio=(2, 1))}, r"ratio \(2, 1\) must go from less to more"),
    ],
)
def test_crops_that_dont_fit_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DatasetInfo(**{field.name: getattr(INFO, field.name) for field in dataclasses.fields(INFO)} | wrong)
