"""AFR's second stage against its equation, in NumPy, and its first against ERM."""

import math

import numpy as np
import pytest
import torch

from scale_tune.datasets import load_splits
from scale_tune.datasets.transforms import normalise
from scale_tune.spec.config import DatasetConfig, Hyperparameters, TrialConfig
from scale_tune.training.replica import Replica

DIGITS = DatasetConfig(name="digits", spurious_strength=0.9)
STEPS, EPOCHS = 5, 3


@pytest.fixture(scope="module")
def few():
    return load_splits(DIGITS).head(200)


def replica(few, seed: int = 0, **options) -> Replica:
    config = TrialConfig(
        method="afr",
        options={"first_epochs": 2, "steps_per_epoch": STEPS} | options,
        dataset=DIGITS,
        hyperparameters=Hyperparameters(lr=0.05, batch_size=32),
        epochs=EPOCHS,
        seeds=(seed,),
    )
    return Replica(config, seed, few, torch.device("cpu"))


def prepared(few, **options) -> Replica:
    made = replica(few, **options)
    for epoch in (-1, 0):
        made.prepare_epoch(epoch)
    return made


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("gamma", "lam", "lr", "clips"), [(4.0, 0.0, 0.1, False), (10.0, 0.3, 0.1, False), (0.0, 20.0, 0.2, True)]
)
def test_the_last_layer_follows_the_equation(few, gamma, lam, lr, clips):
    made = prepared(few, afr_gamma=gamma, afr_lambda=lam, last_layer_lr=lr)
    method = made.method
    # The reference: features of the held-out fifth, in evaluation mode and without augmentation.
    network = method.network.eval()
    images = torch.from_numpy(few.train.images[method.held_out.numpy()])
    with torch.no_grad():
        x = network.backbone(normalise(images, few.info)).double().numpy()
    y = few.train.labels[method.held_out.numpy()]
    W, b = (p.detach().double().numpy().copy() for p in method.head.parameters())
    W0, b0 = W.copy(), b.copy()
    mu = np.exp(-gamma * softmax(x @ W0.T + b0)[np.arange(len(y)), y]) / np.bincount(y)[y]
    mu /= mu.sum()
    clipped = 0
    for epoch in range(1, EPOCHS + 1):
        made.train_epoch(epoch)
        for _ in range(STEPS):
            error = softmax(x @ W.T + b)
            error[np.arange(len(y)), y] -= 1
            error *= mu[:, None]
            gradients = [error.T @ x + 2 * lam * (W - W0), error.sum(axis=0) + 2 * lam * (b - b0)]
            norm = math.sqrt(sum((g**2).sum() for g in gradients))
            clipped += norm > 1
            scale = min(1, 1 / (norm + 1e-6))
            W, b = W - lr * scale * gradients[0], b - lr * scale * gradients[1]
        weight, bias = (p.detach().double().numpy() for p in method.head.parameters())
        np.testing.assert_allclose(weight, W, atol=2e-5)
        np.testing.assert_allclose(bias, b, atol=2e-5)
    assert not np.allclose(W, W0)
    np.testing.assert_allclose(method.mu.numpy(), mu, rtol=1e-4)
    assert bool(clipped) is clips


def test_a_fifth_is_held_out_and_never_seen_by_erm(few):
    made = replica(few)
    first, held_out = (set(each.tolist()) for each in (made.method.first, made.method.held_out))
    assert len(held_out) == 40
    assert first | held_out == set(range(200))
    assert not first & held_out
    drawn = made.method.draw(torch.Generator())
    assert sorted(drawn.tolist()) == sorted(first)
    assert set(replica(few, seed=1).method.held_out.tolist()) != held_out


def test_the_backbone_stays_as_erm_made_it(few):
    made = prepared(few, last_layer_lr=0.5)
    before = {name: tensor.clone() for name, tensor in made.method.network.backbone.state_dict().items()}
    made.train_epoch(1)
    after = made.method.network.backbone.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_without_a_rate_it_is_erm_on_the_other_four_fifths(few):
    made = prepared(few, last_layer_lr=0.0)
    before = {name: tensor.clone() for name, tensor in made.method.network.state_dict().items()}
    for epoch in range(1, EPOCHS + 1):
        made.train_epoch(epoch)
    after = made.method.network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_hard_samples_weigh_more(few):
    made = prepared(few, afr_gamma=6.0)
    method = made.method
    made.train_epoch(1)
    y = method.samples["train"].labels[method.held_out]
    p = torch.nn.functional.linear(method.features, method.weight_0, method.bias_0).softmax(1)[torch.arange(len(y)), y]
    for label in y.unique():
        of_label = y == label
        order = p[of_label].argsort()
        weights = method.mu[of_label][order]
        assert (weights[:-1] >= weights[1:]).all()
    assert float(method.mu.sum()) == pytest.approx(1)
