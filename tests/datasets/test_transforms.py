import dataclasses

import torch
from torchvision.transforms.v2 import functional as reference

from scale_tune.datasets.digits import INFO
from scale_tune.datasets.transforms import augment, normalise

PADDED = dataclasses.replace(INFO, crop_padding=4)


def test_normalising_agrees_with_torchvision():
    images = torch.randint(0, 256, (5, 3, 16, 8), dtype=torch.uint8)
    expected = reference.normalize(images.float() / 255, list(INFO.mean), list(INFO.std))
    torch.testing.assert_close(normalise(images, INFO), expected)


def test_cropping_agrees_with_torchvision_at_the_same_offsets():
    images = torch.randint(0, 256, (20, 3, 16, 8), dtype=torch.uint8)
    cropped = augment(images, PADDED, torch.Generator().manual_seed(3))
    offsets = torch.randint(0, 9, (2, 20, 1), generator=torch.Generator().manual_seed(3)).squeeze(2)
    padded = reference.pad(images.float(), [4, 4, 4, 4], padding_mode="reflect").to(torch.uint8)
    for image, out, top, left in zip(padded, cropped, *offsets.tolist(), strict=True):
        assert torch.equal(out, reference.crop(image, top, left, 16, 8))
    assert len(set(offsets.flatten().tolist())) > 5


def test_mirroring_and_cropping_agree_with_torchvision():
    images = torch.randint(0, 256, (40, 3, 16, 8), dtype=torch.uint8)
    info = dataclasses.replace(PADDED, flip=True)
    out = augment(images, info, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    offsets = torch.randint(0, 9, (2, 40, 1), generator=generator).squeeze(2)
    flipped = torch.randint(0, 2, (40, 1), generator=generator).squeeze(1).bool()
    padded = reference.pad(images.float(), [4, 4, 4, 4], padding_mode="reflect").to(torch.uint8)
    for image, got, top, left, flip in zip(padded, out, *offsets.tolist(), flipped.tolist(), strict=True):
        cropped = reference.crop(image, top, left, 16, 8)
        assert torch.equal(got, reference.horizontal_flip(cropped) if flip else cropped)
    assert 10 < flipped.sum() < 30


def test_a_generator_gives_the_same_crops_again():
    images = torch.randint(0, 256, (8, 3, 16, 8), dtype=torch.uint8)
    first, second, other = (augment(images, PADDED, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
