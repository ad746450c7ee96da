"""Draw a folder of PNGs and the CSV that lists them: circles and squares, in training mostly on grass and on sand.

Run as ``python examples/own_images/make_images.py FOLDER``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 32
NUMBERS = {"train": 600, "val": 400, "test": 400}
SHAPES, GROUNDS = ("circle", "square"), ("grass", "sand")
COLOURS = {"grass": (70, 140, 60), "sand": (200, 170, 110)}
STRENGTH = 0.95
"""Of train, the share of circles on grass and of squares on sand."""


def picture(shape, ground, rng):
    """A grey shape somewhere on its ground, under noise."""
    image = Image.new("RGB", (SIDE, SIDE), COLOURS[ground])
    side = int(rng.integers(9, 14))
    left, top = (int(corner) for corner in rng.integers(1, SIDE - side - 1, 2))
    draw = ImageDraw.Draw(image)
    outline = draw.ellipse if shape == "circle" else draw.rectangle
    outline((left, top, left + side, top + side), fill=(130, 130, 130))
    noisy = np.asarray(image) + rng.normal(0, 25, (SIDE, SIDE, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


folder, rng = Path(sys.argv[1]), np.random.default_rng(0)
folder.mkdir(parents=True, exist_ok=True)
with (folder / "shapes.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["path", "label", "attribute", "split"])
    for split, number in NUMBERS.items():
        for i in range(number):
            label = i % 2
            goes_along = rng.random() < (STRENGTH if split == "train" else 0.5)
            shape, ground = SHAPES[label], GROUNDS[label if goes_along else 1 - label]
            path = f"{split}-{i:03}.png"
            picture(shape, ground, rng).save(folder / path)
            rows.writerow([path, shape, ground, split])
print(f"{sum(NUMBERS.values())} pictures and shapes.csv are in {folder}")
