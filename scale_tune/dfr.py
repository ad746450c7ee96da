"""Deep feature reweighting (Kirichenko et al., 2023): refit the last layer of a trained network on target.

An L1 logistic regression on the frozen features, one-vs-rest for more than two classes. Features are the input of
the last layer in eval mode, of images without augmentation. The ``scale`` protocol fits on all of target, without
a scaler. It chooses C by the run's objective on val (of equal ones the smallest), and averages the coefficients of
10 fits at that C, which differ only in the solver's random order.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from scale_tune.checkpoint import load_weights
from scale_tune.config import Objective, TrialConfig
from scale_tune.datasets.splits import DatasetSplits, Split
from scale_tune.datasets.transforms import normalise
from scale_tune.errors import UserError
from scale_tune.files import Location
from scale_tune.metrics import GroupCounts
from scale_tune.models import Classifier, build_classifier
from scale_tune.training import EVALUATION_BATCH, HEADS

SCALE_PROTOCOL_C = (0.01, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
SCALE_PROTOCOL_FITS = 10

Features = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LinearClassifier:
    """``argmax(features @ weight.T + bias)``; weight has the shape (classes, features), bias (classes,)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def predict(self, features: Features) -> NDArray[np.int64]:
        """Classes of shape (samples,)."""
        predictions: NDArray[np.int64] = np.argmax(features @ self.weight.T + self.bias, axis=1)
        return predictions


@dataclass(frozen=True, kw_only=True)
class DfrResult:
    """A refitted last layer, the C that val chose, and the counts per group on val and test."""

    classifier: LinearClassifier
    C: float
    val: GroupCounts
    test: GroupCounts


def refit_checkpoint(directory: Location, seed: int, splits: DatasetSplits, objective: Objective) -> DfrResult:
    """DFR, ``scale`` protocol, on the best-epoch weights of one seed of an ended trial.

    Args:
        directory: the trial's directory.
        seed: which of its seeds.
        splits: the data that the checkpoint was trained on.
        objective: what chooses C on val.

    Raises:
        FileNotFoundError: the trial did not keep its weights.
        UserError: the checkpoint was trained on other splits, so that its test data may be among its train data.
    """
    record, weights = load_weights(directory, seed)
    if record.fingerprint != splits.fingerprint:
        raise UserError(
            f"{directory} was trained on other splits, so that test samples may have been trained on:\n"
            f"  trained on  {record.config.dataset.model_dump(mode='json')}, fingerprint {record.fingerprint}\n"
            f"  these are   { ({'name': splits.name} | splits.options) }, fingerprint {splits.fingerprint}\n"
            "Load the data with the options that it was trained with, from the same files."
        )
    model = _load_model(record.config, splits, weights)
    features = {name: extract_features(model, getattr(splits, name), splits) for name in ("target", "val", "test")}
    return refit(features, splits, objective)


def refit(features: dict[str, Features], splits: DatasetSplits, objective: Objective) -> DfrResult:
    """DFR, ``scale`` protocol, on features (samples, features) of target, val and test.

    Test is used after C and the classifier are settled.

    Raises:
        UserError: target lacks a class.
    """
    num_classes = splits.info.groups.num_classes
    absent = sorted(set(range(num_classes)) - set(splits.target.labels.tolist()))
    if absent:
        raise UserError(f"DFR needs samples of every class in target, but it has none of the classes {absent}")

    def counts(classifier: LinearClassifier, name: str) -> GroupCounts:
        split: Split = getattr(splits, name)
        return GroupCounts.of(classifier.predict(features[name]), split.labels, split.attributes, splits.info.groups)

    def fit(C: float, random_state: int) -> LinearClassifier:
        return fit_l1(features["target"], splits.target.labels, C, random_state)

    chosen = max(SCALE_PROTOCOL_C, key=lambda C: counts(fit(C, 0), "val").objective(objective))
    fits = [fit(chosen, random_state) for random_state in range(SCALE_PROTOCOL_FITS)]
    classifier = LinearClassifier(
        weight=np.mean([f.weight for f in fits], axis=0), bias=np.mean([f.bias for f in fits], axis=0)
    )
    return DfrResult(classifier=classifier, C=chosen, val=counts(classifier, "val"), test=counts(classifier, "test"))


def fit_l1(features: Features, labels: NDArray[np.int64], C: float, random_state: int) -> LinearClassifier:
    """One L1 logistic regression by liblinear, one-vs-rest for more than two classes."""
    regression = LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=random_state, max_iter=1000)
    if len(np.unique(labels)) == 2:
        regression.fit(features, labels)
        # The one decision function, spread over two logits whose difference it is.
        weight, bias = regression.coef_[0] / 2, regression.intercept_[0] / 2
        return LinearClassifier(weight=np.stack([-weight, weight]), bias=np.array([-bias, bias]))
    one_vs_rest = OneVsRestClassifier(regression).fit(features, labels)
    return LinearClassifier(
        weight=np.concatenate([estimator.coef_ for estimator in one_vs_rest.estimators_]),
        bias=np.concatenate([estimator.intercept_ for estimator in one_vs_rest.estimators_]),
    )


@torch.inference_mode()
def extract_features(model: Classifier, split: Split, splits: DatasetSplits) -> Features:
    """The input of the last layer, of shape (samples, features), in eval mode and without augmentation."""
    model.eval()
    features = [
        model.backbone(
            normalise(torch.from_numpy(np.array(split.images[start : start + EVALUATION_BATCH])), splits.info)
        )
        for start in range(0, len(split), EVALUATION_BATCH)
    ]
    return torch.cat(features).double().numpy()


def _load_model(config: TrialConfig, splits: DatasetSplits, weights: dict[str, torch.Tensor]) -> Classifier:
    model = build_classifier(config.model, splits.info.groups.num_classes, HEADS[config.method], seed=0)
    model.load_state_dict(weights)
    return model
