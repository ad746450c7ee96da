"""DFR against an independent scikit-learn computation."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from scale_tune import datasets
from scale_tune.config import Objective, TrialConfig
from scale_tune.datasets.digits import INFO
from scale_tune.datasets.splits import DatasetSplits, Split
from scale_tune.dfr import SCALE_PROTOCOL_C, extract_features, fit_l1, refit, refit_checkpoint
from scale_tune.errors import UserError
from scale_tune.files import Location
from scale_tune.models import build_classifier
from scale_tune.trial import Trial


def blobs(classes: int, n: dict[str, int], *, dimension: int = 12) -> tuple[dict[str, np.ndarray], DatasetSplits]:
    """Features around a centre per class, and splits that carry only labels and attributes."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, dimension))
    features, splits = {}, {}
    for name, count in ({"train": 1} | n).items():
        labels = np.arange(count) % classes
        features[name] = centres[labels] + rng.normal(size=(count, dimension))
        splits[name] = Split(
            images=np.zeros((count, 3, 1, 1), np.uint8),
            labels=labels,
            attributes=rng.integers(0, classes, count),
            sources=np.zeros((count, 1), np.int64),
        )
    groups = dataclasses.replace(
        INFO.groups, num_classes=classes, num_attributes=classes, aligned_attributes=tuple(range(classes))
    )
    info = dataclasses.replace(INFO, groups=groups)
    return features, DatasetSplits(name="blobs", options={}, fingerprint="f", info=info, **splits)


def independent(features, splits, classes):
    """The protocol again, written out on scikit-learn: C by val, then the mean of 10 fits."""
    target, val = splits.target, splits.val

    def fit(c, seed):
        columns = [1] if classes == 2 else range(classes)
        weights, biases = [], []
        for k in columns:
            model = LogisticRegression(l1_ratio=1, solver="liblinear", C=c, random_state=seed, max_iter=1000)
            model.fit(features["target"], (target.labels == k).astype(int))
            weights.append(model.coef_[0])
            biases.append(model.intercept_[0])
        return np.array(weights), np.array(biases)

    def predict(weights, biases, split):
        scores = features[split] @ weights.T + biases
        return (scores[:, 0] > 0).astype(int) if classes == 2 else scores.argmax(1)

    def worst(predictions, split):
        right, aligned = predictions == split.labels, split.labels == split.attributes
        return min(right[aligned].mean(), right[~aligned].mean())

    scores = [worst(predict(*fit(c, 0), "val"), val) for c in SCALE_PROTOCOL_C]
    chosen = SCALE_PROTOCOL_C[int(np.argmax(scores))]
    fits = [fit(chosen, seed) for seed in range(10)]
    weights, biases = (np.mean([f[i] for f in fits], axis=0) for i in (0, 1))
    return chosen, weights, biases, worst(predict(weights, biases, "test"), splits.test)


@pytest.mark.parametrize("classes", [2, 10])
def test_agrees_with_an_independent_computation(classes):
    features, splits = blobs(classes, {"target": 200, "val": 300, "test": 400})
    result = refit(features, splits, Objective.WORST_GROUP)
    chosen, weights, biases, test_worst = independent(features, splits, classes)
    assert chosen == result.C
    ours = result.classifier
    if classes == 2:
        weight, bias = ours.weight[1] - ours.weight[0], ours.bias[1] - ours.bias[0]
        np.testing.assert_allclose(weight, weights[0], atol=1e-8)
        np.testing.assert_allclose(bias, biases[0], atol=1e-8)
    else:
        np.testing.assert_allclose(ours.weight, weights, atol=1e-8)
        np.testing.assert_allclose(ours.bias, biases, atol=1e-8)
    assert result.test.worst_group == pytest.approx(test_worst)


def test_the_penalty_is_l1():
    features, splits = blobs(2, {"target": 100, "val": 10, "test": 10}, dimension=200)
    weight = fit_l1(features["target"], splits.target.labels, 0.05, 0).weight
    assert (weight == 0).mean() > 0.8


def test_test_does_not_change_what_is_fitted():
    features, splits = blobs(10, {"target": 200, "val": 300, "test": 400})
    first = refit(features, splits, Objective.WORST_GROUP)
    second = refit({**features, "test": np.full_like(features["test"], 1e9)}, splits, Objective.WORST_GROUP)
    assert first.C == second.C
    assert np.array_equal(first.classifier.weight, second.classifier.weight)


def test_a_target_without_a_class_is_an_error():
    features, splits = blobs(10, {"target": 9, "val": 30, "test": 30})
    with pytest.raises(UserError, match=r"none of the classes \[9\]"):
        refit(features, splits, Objective.WORST_GROUP)


def test_features_are_the_input_of_the_last_layer_in_eval_mode(digits):
    model = build_classifier(TrialConfig(method="erm").model, 10, ["train"], seed=0)
    model.train()
    features = extract_features(model, digits.val, digits)
    again = extract_features(model, digits.val, digits)
    assert np.array_equal(features, again), "in training mode the first pass would move BatchNorm's statistics"
    with torch.inference_mode():
        logits = model.head("train")(torch.from_numpy(features[:4]).float())
    assert features.shape == (1000, model.head("train").in_features)
    assert logits.shape == (4, 10)


def test_a_checkpoint_of_other_splits_is_refused(digits, tmp_path):
    config = TrialConfig(method="erm", epochs=1, seeds=(0,))
    trial = Trial("erm-00000", config, digits, torch.device("cpu"), Location.of(tmp_path))
    trial.train_epoch()
    other = datasets.load("digits", seed=1)
    with pytest.raises(UserError, match="test samples may have been trained on") as error:
        refit_checkpoint(Location.of(tmp_path), 0, other, Objective.WORST_GROUP)
    assert digits.fingerprint in str(error.value)
    assert other.fingerprint in str(error.value)
    assert "'seed': 0" in str(error.value)
    assert "'seed': 1" in str(error.value)
    result = refit_checkpoint(Location.of(tmp_path), 0, digits, Objective.WORST_GROUP)
    assert result.val.worst_group > 0.1
