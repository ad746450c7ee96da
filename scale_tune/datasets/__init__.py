"""Datasets: four disjoint splits of (image, label, attribute), prepared once per node.

``contract`` says what a dataset is made of, and ``registry`` which there are, a file each; ``preparation`` makes one
ready to train on. ``groups`` has every accuracy.
"""

from scale_tune.datasets.contract import Dataset, DatasetOptions
from scale_tune.datasets.preparation import load_dataset, load_splits, splits_by_seed
from scale_tune.datasets.registry import dataset_class, dataset_of, registered_options
from scale_tune.datasets.splits import DatasetInfo, DatasetSplits, PaddedCrop, ResizedCrop, Split, SplitPlan

__all__ = [
    "Dataset",
    "DatasetInfo",
    "DatasetOptions",
    "DatasetSplits",
    "PaddedCrop",
    "ResizedCrop",
    "Split",
    "SplitPlan",
    "dataset_class",
    "dataset_of",
    "load_dataset",
    "load_splits",
    "registered_options",
    "splits_by_seed",
]
