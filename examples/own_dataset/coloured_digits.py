"""Coloured digits: is a handwritten digit 5 or more? Its ink misleads: in training it mostly goes with the answer.

Source: the 1,797 digits of 8 x 8 pixels embedded in scikit-learn (UCI, CC BY 4.0). The label is whether the digit is 5
or more; the attribute is the colour of the ink, 0 red or 1 green. In train the colour is the label with a probability
of ``strength``; in target, val and test it is drawn by the toss of a coin.
"""

import numpy as np
from pydantic import Field
from sklearn.datasets import load_digits

from scale_tune import Dataset, DatasetInfo, DatasetOptions, EvaluationGroups, Groups, PaddedCrop, SplitPlan

SHARES = {"train": 0.5, "target": 0.1, "val": 0.2, "test": 0.2}


class ColouredDigitsOptions(DatasetOptions):
    strength: float = Field(default=0.95, ge=0, le=1)
    """Of train, the share of digits in the colour of their label."""


class ColouredDigits(Dataset):
    Options = ColouredDigitsOptions

    def info(self):
        groups = Groups(
            num_classes=2,
            num_attributes=2,
            evaluation_groups=EvaluationGroups.CELLS,  # the worst of label x colour counts
            aligned_attributes=(0, 1),  # red goes with label 0, green with 1
        )
        return DatasetInfo(
            groups=groups,
            height=8,
            width=8,
            mean=(0.2, 0.2, 0.0),
            std=(0.3, 0.3, 1.0),
            random_crop=PaddedCrop(padding=1),  # while training
        )

    def plan(self):
        """All four splits, a pure function of the options."""
        digits = load_digits()
        rng = np.random.default_rng(self.options.seed)
        shuffled = rng.permutation(len(digits.target))
        ends = np.cumsum([round(share * len(shuffled)) for share in SHARES.values()])[:-1]
        plans = {}
        for split, rows in zip(SHARES, np.split(shuffled, ends), strict=True):
            labels = (digits.target[rows] >= 5).astype(np.int64)
            strength = self.options.strength if split == "train" else 0.5
            colours = np.where(rng.random(len(rows)) < strength, labels, 1 - labels)
            images = np.zeros((len(rows), 3, 8, 8), np.uint8)  # red, green, blue
            images[np.arange(len(rows)), colours] = np.round(digits.images[rows] / 16 * 255)
            plans[split] = SplitPlan(
                labels=labels,
                attributes=colours,
                sources=rows[:, None],
                images=lambda start, stop, images=images: images[start:stop],
            )
        return plans
