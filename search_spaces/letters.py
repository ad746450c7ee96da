"""Train a small_cnn to read letters, which gives ``digits_ablation.yaml`` weights to begin from, as ImageNet would.

The task is the network's own: capital letters, drawn by Pillow's font in random sizes, places, slants and noise, two
above each other as the digits are, to tell the lower one. No digit is among them, so nothing of the digits' val or test
is learned here. It takes less than a minute:

    python search_spaces/letters.py data/letters.safetensors
"""

import sys
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save
from torch import nn
from torch.nn.functional import cross_entropy

from scale_tune.networks.small_cnn import small_cnn
from scale_tune.storage.location import write_atomically

SAMPLES, EPOCHS, BATCH = 6000, 6, 64
SIDE, DRAWN = 8, 32
NOISE = 0.3


def letter(which: int, random: np.random.Generator) -> np.ndarray:
    """A letter of 8 x 8 pixels in [0, 1]."""
    picture = Image.new("L", (DRAWN, DRAWN))
    font = ImageFont.load_default(size=float(random.uniform(24, 34)))
    place = tuple(DRAWN / 2 + random.uniform(-3, 3, 2))
    ImageDraw.Draw(picture).text(place, ascii_uppercase[which], fill=255, font=font, anchor="mm")
    slanted = picture.rotate(float(random.uniform(-15, 15)), Image.Resampling.BILINEAR)
    return np.asarray(slanted.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


def main(path: Path) -> None:
    """Train, say how well it reads letters that it was not trained on, and write the backbone's state dict."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    upper, labels = random.integers(len(ascii_uppercase), size=(2, SAMPLES))
    pairs = [np.concatenate([letter(a, random), letter(b, random)]) for a, b in zip(upper, labels, strict=True)]
    noisy = (1 - NOISE) * np.stack(pairs) + NOISE * random.random((SAMPLES, 2 * SIDE, SIDE), np.float32)
    images = torch.from_numpy((noisy - 0.5) / 0.25).unsqueeze(1).expand(-1, 3, -1, -1)
    targets = torch.from_numpy(labels)
    held_out = SAMPLES // 10
    backbone, num_features = small_cnn()
    network = nn.Sequential(backbone, nn.Linear(num_features, len(ascii_uppercase)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for _ in range(EPOCHS):
        network.train()
        for batch in torch.randperm(SAMPLES - held_out).add(held_out).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(network(images[batch]), targets[batch]).backward()
            optimizer.step()
    network.eval()
    with torch.inference_mode():
        right = (network(images[:held_out]).argmax(dim=1) == targets[:held_out]).float().mean()
    write_atomically(path, save({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}))
    print(f"reads {right:.0%} of new letters; wrote {path}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python search_spaces/letters.py FILE.safetensors")
    main(Path(sys.argv[1]))
