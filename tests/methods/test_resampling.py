"""Which samples rwg, rwy, subg, suby and group DRO draw, and that all else is ERM."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare

from scale_tune.methods import PooledOptions, registered_methods
from scale_tune.methods.sampling import subsampled
from tests.support.small import BALANCED, BIASED, assert_same_bits, observed, plain_sgd, small_splits

LIKELY, IMPOSSIBLE = 0.01, 1e-9
EPOCHS = 200


def known(method, by: str) -> torch.Tensor:
    samples = method.samples["train"]
    return samples.labels if by == "labels" else samples.groups


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "by"), [("rwg", "groups"), ("group_dro", "groups"), ("rwy", "labels")])
@pytest.mark.parametrize("with_target", [False, True])
def test_reweighting_draws_a_sample_as_often_as_what_it_belongs_to_is_rare(name, by, with_target):
    method = observed(name, options={"with_target": with_target}).method
    of = known(method, by)
    assert len(of) == 120 + 48 * with_target
    drawing = generator()
    draws = torch.stack([method.draw(drawing) for _ in range(EPOCHS)])
    assert draws.shape == (EPOCHS, len(of))
    counts = torch.bincount(draws.flatten(), minlength=len(of)).numpy()
    n = np.bincount(of)
    expected = draws.numel() / (n > 0).sum() / n[of]
    assert chisquare(counts, expected).pvalue > LIKELY
    per_group = np.bincount(of[draws.flatten()])
    assert chisquare(per_group[n > 0]).pvalue > LIKELY
    assert chisquare(counts).pvalue < IMPOSSIBLE, "it is not ERM's draw"
    assert len(draws[0].unique()) < len(of), "with replacement"


@pytest.mark.parametrize(("name", "by"), [("subg", "groups"), ("suby", "labels")])
@pytest.mark.parametrize("with_target", [False, True])
def test_subsampling_leaves_as_many_of_each_as_the_smallest_has(name, by, with_target):
    methods = [observed(name, options={"with_target": with_target}, seeds=(seed,)).method for seed in (0, 1)]
    of = known(methods[0], by)
    sizes = np.bincount(of)
    first, second = (methods[0].draw(generator(epoch)) for epoch in (1, 2))
    left = np.bincount(of[first], minlength=len(sizes))
    assert left.tolist() == [sizes[sizes > 0].min() if n else 0 for n in sizes]
    assert len(first.unique()) == len(first), "without replacement"
    assert first.tolist() != second.tolist()
    assert sorted(first.tolist()) == sorted(second.tolist()), "drawn once, as its authors do"
    other = methods[1].draw(generator(1))
    assert len(other) == len(first)
    assert set(other.tolist()) != set(first.tolist()), "each seed has its own"


def test_subsampling_leaves_each_sample_of_a_group_equally_often():
    """Of a group of n samples s are left each time: a sample's count is of variance p (1 - p) with p = s / n."""
    of = torch.tensor([0] * 9 + [2] * 3 + [3] * 5)[torch.randperm(17, generator=generator(3))]
    draws, drawing = 2000, generator()
    counts = torch.zeros(17)
    for _ in range(draws):
        counts[subsampled(of, drawing)] += 1
    for group, n in ((0, 9), (3, 5)):
        p = 3 / n
        deviations = (counts[of == group] - draws * p).square().sum() / (draws * p * (1 - p)) * (n - 1) / n
        assert chi2.sf(deviations.item(), n - 1) > LIKELY
    assert (counts[of == 2] == draws).all()


def test_the_order_of_a_subsample_does_not_go_by_group():
    of = torch.tensor([0] * 50 + [1] * 50)
    drawing = generator()
    firsts = [int(of[subsampled(of, drawing)][0]) for _ in range(400)]
    assert chisquare(np.bincount(firsts, minlength=2)).pvalue > LIKELY


@pytest.mark.parametrize("name", ["rwg", "rwy", "subg", "suby", "erm_all"])
def test_the_steps_are_those_of_erm_on_what_was_drawn(name):
    ours = observed(name).train(2)
    reference = plain_sgd(ours.before, ours.batches("train"))
    assert_same_bits(ours.method.network.state_dict(), reference.state_dict())


POOLING = [name for name, cls in registered_methods() if issubclass(cls.Options, PooledOptions)]


def test_every_method_of_train_alone_can_learn_from_target_too():
    """ERM as erm_all."""
    of_train = {name for name, cls in registered_methods() if cls.learns_from == ("train",)}
    assert set(POOLING) == of_train - {"erm", "erm_all"}


@pytest.mark.parametrize("name", [*POOLING, "erm_all"])
def test_what_is_pooled_are_the_samples_of_train_and_then_those_of_target(name):
    splits = small_splits()
    ours = observed(name, splits, options={} if name == "erm_all" else {"with_target": True}).prepare().train(1)
    labels = torch.from_numpy(np.concatenate([splits.train.labels, splits.target.labels]))
    images = torch.from_numpy(np.concatenate([splits.train.images, splits.target.images]))
    assert torch.equal(ours.method.samples["train"].labels, labels)
    drawn = torch.cat([batch.indices for batch in ours.batches("train")])
    assert (drawn >= len(splits.train)).any()
    for batch in ours.batches("train"):
        assert torch.equal(batch.labels, labels[batch.indices])
        torch.testing.assert_close(batch.images, (images[batch.indices] / 255 - 0.5) / 0.25)
    if name == "erm_all":
        assert sorted(drawn.tolist()) == list(range(len(labels)))


@pytest.mark.parametrize("name", ["rwg", "rwy", "group_dro"])
def test_reweighting_equal_groups_is_to_draw_uniformly(name):
    method = observed(name, small_splits(train=BALANCED)).method
    drawing = generator()
    draws = torch.cat([method.draw(drawing) for _ in range(EPOCHS)])
    assert chisquare(torch.bincount(draws, minlength=48).numpy()).pvalue > LIKELY


@pytest.mark.parametrize("name", ["subg", "suby"])
def test_subsampling_equal_groups_leaves_all(name):
    method = observed(name, small_splits(train=BALANCED)).method
    assert sorted(method.draw(generator()).tolist()) == list(range(48))


def test_a_group_without_samples_is_passed_over():
    without = {cell: n for cell, n in BIASED.items() if cell != (0, 1)}
    method = observed("subg", small_splits(train=without)).method
    left = np.bincount(method.samples["train"].groups[method.draw(generator())], minlength=6)
    assert left.tolist() == [12, 0, 0, 12, 12, 0]
