"""mixup and LISA against their equations."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare, kstest
from torch.nn.functional import cross_entropy, one_hot

from scale_tune.datasets import load_splits
from scale_tune.methods import Batch
from scale_tune.methods.lisa import selected_partners
from scale_tune.methods.mixing import beta, mixed, mixed_loss
from scale_tune.spec.config import DatasetConfig, Hyperparameters, TrialConfig
from scale_tune.training.replica import Replica
from tests.support.small import MOMENTUM, observed, parameters

DIGITS = DatasetConfig(name="digits", spurious_strength=0.9)


@pytest.fixture(scope="module")
def few():
    return load_splits(DIGITS).head(256)


def replica(few, method: str, **options) -> Replica:
    hyperparameters = Hyperparameters(lr=0.05, batch_size=64)
    config = TrialConfig(
        method=method, options=options, dataset=DIGITS, hyperparameters=hyperparameters, epochs=2, seeds=(0,)
    )
    return Replica(config, 0, few, torch.device("cpu"))


def batch(labels: list[int], attributes: list[int]) -> Batch:
    n = len(labels)
    of_labels, of_attributes = torch.tensor(labels), torch.tensor(attributes)
    return Batch(
        split="train",
        labels=of_labels,
        known=(of_attributes, of_labels * 10 + of_attributes),
        images=torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 3, 2, 2),
        indices=torch.arange(n),
    )


def test_an_image_lies_between_two_and_its_loss_is_that_of_the_mixed_label():
    two = batch([0, 1, 2], [0, 0, 0])
    partners, lam = torch.tensor([2, 0, 1]), torch.tensor([0.25, 0.5, 1.0])
    images = mixed(two, partners, lam)
    assert images[:, 0, 0, 0].tolist() == [0.25 * 0 + 0.75 * 2, 0.5 * 1 + 0.5 * 0, 2.0]
    logits = torch.randn(3, 4)
    soft = lam[:, None] * one_hot(two.labels, 4) + (1 - lam[:, None]) * one_hot(two.labels[partners], 4)
    torch.testing.assert_close(mixed_loss(logits, two, partners, lam), cross_entropy(logits, soft))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_lambda_is_beta_distributed(alpha):
    draws = beta(alpha, 4000).double().numpy()
    assert kstest(draws, "beta", args=(alpha, alpha)).pvalue > 0.01
    assert torch.equal(beta(0, 3), torch.ones(3))


CROSSED = [0, 0, 0, 1, 1, 1, 1, 2], [0, 1, 1, 0, 0, 1, 2, 3]
"""Label 2 has attribute 3 alone, and the other way round."""


@pytest.mark.parametrize("within_label", [True, False])
def test_partners_share_the_label_or_the_attribute_but_not_both(within_label):
    labels, attributes = map(torch.tensor, CROSSED)
    for _ in range(50):
        partners = selected_partners(labels, attributes, within_label=within_label)
        same_label = labels == labels[partners]
        same_attribute = attributes == attributes[partners]
        alone = torch.tensor([*[False] * 7, True])
        assert torch.equal(partners[alone], torch.tensor([7])), "without a partner it stays as it is"
        wanted = same_label & ~same_attribute if within_label else same_attribute & ~same_label
        other_kind = torch.tensor(
            [False] * 6 + [not within_label] + [False]
        )  # label 1, attribute 2: nobody else has it
        assert (wanted | alone | other_kind).all()
        assert not (same_label & same_attribute & ~alone).any()


def test_partners_are_uniform_among_the_eligible():
    labels, attributes = map(torch.tensor, CROSSED)
    drawn = [int(selected_partners(labels, attributes, within_label=True)[3]) for _ in range(3000)]
    assert set(drawn) == {5, 6}
    assert chisquare(np.bincount(drawn)[[5, 6]]).pvalue > 0.01


@pytest.mark.parametrize(
    ("method", "alpha", "same_draws"), [("mixup", "mixup_alpha", "erm"), ("lisa", "lisa_alpha", "rwg")]
)
def test_without_mixing_it_is_training_on_the_same_draws(few, method, alpha, same_draws):
    """With alpha 0 each image is mixed with a weight of 0: bit for bit ERM, or with LISA's balanced draws RWG."""
    ours, theirs = replica(few, method, **{alpha: 0.0}), replica(few, same_draws)
    for epoch in (1, 2):
        for each in (ours, theirs):
            each.train_epoch(epoch)
    state, expected = (each.method.network.state_dict() for each in (ours, theirs))
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_mixup_takes_any_partner_and_one_lambda_for_a_step(few, monkeypatch):
    seen = []

    def spy(batch, partners, lam):
        seen.append((partners, lam))
        return mixed(batch, partners, lam)

    monkeypatch.setattr("scale_tune.methods.mixup.mixed", spy)
    replica(few, "mixup", mixup_alpha=1.0).train_epoch(1)
    assert len(seen) == 4
    for partners, lam in seen:
        assert sorted(partners.tolist()) == list(range(64))
        assert len(lam) == 1
    assert len({tuple(partners.tolist()) for partners, _ in seen}) == 4
    assert len({float(lam) for _, lam in seen}) == 4


@pytest.mark.parametrize("p_sel", [0.0, 1.0])
def test_lisa_goes_by_its_probability(few, p_sel, monkeypatch):
    asked = []

    def spy(labels, attributes, *, within_label):
        asked.append(within_label)
        return selected_partners(labels, attributes, within_label=within_label)

    monkeypatch.setattr("scale_tune.methods.lisa.selected_partners", spy)
    record, _ = replica(few, "lisa", p_sel=p_sel).train_epoch(1)
    assert set(asked) == {p_sel == 1.0}
    assert 0 < record.diagnostics["paired"] <= 1
    assert "train" not in record.splits, "a mixed image has no label of its own"


def test_lisa_mixes_within_a_label_as_often_as_it_is_asked_to(monkeypatch):
    asked = []

    def spy(labels, attributes, *, within_label):
        asked.append(within_label)
        return selected_partners(labels, attributes, within_label=within_label)

    monkeypatch.setattr("scale_tune.methods.lisa.selected_partners", spy)
    observed("lisa", options={"p_sel": 0.25}).train(10)
    assert len(asked) == 150
    assert binomtest(sum(asked), len(asked), 0.25).pvalue > 0.01


@pytest.mark.parametrize("method", ["mixup", "lisa"])
def test_the_steps_are_sgd_on_mixed_images_and_mixed_labels(method, monkeypatch):
    """The reference mixes pair by pair, with the partners and lambdas that were drawn."""
    drawn = []

    def spy(batch, partners, lam):
        drawn.append((partners, lam))
        return mixed(batch, partners, lam)

    monkeypatch.setattr(f"scale_tune.methods.{method}.mixed", spy)
    ours = observed(method).train(1)
    network = ours.before.train()
    sgd = torch.optim.SGD(network.parameters(), lr=0.02, momentum=MOMENTUM, weight_decay=0.01)
    for batch, (partners, lam) in zip(ours.batches("train"), drawn, strict=True):
        assert len(lam.unique()) == {"mixup": 1, "lisa": len(batch)}[method]
        x, y = batch.images, one_hot(batch.labels, 2)
        pairs = list(zip(range(len(batch)), partners.tolist(), lam.expand(len(batch)).tolist(), strict=True))
        if method == "lisa":
            cells = list(zip(batch.labels.tolist(), batch.attributes.tolist(), strict=True))
            assert all(i == j or (cells[i][0] == cells[j][0]) != (cells[i][1] == cells[j][1]) for i, j, _ in pairs)
            assert any(i != j for i, j, _ in pairs)
        images, labels = (torch.stack([w * of[i] + (1 - w) * of[j] for i, j, w in pairs]) for of in (x, y))
        sgd.zero_grad()
        cross_entropy(network(images), labels).backward()
        sgd.step()
    torch.testing.assert_close(parameters(ours.method.network), parameters(network), rtol=1e-4, atol=1e-5)
