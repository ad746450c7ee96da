"""Group DRO against Algorithm 1: by hand, and step by step against a loop over groups."""

import copy
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from scale_tune.methods import Batch
from tests.support.small import (
    BALANCED,
    BIASED,
    MOMENTUM,
    assert_same_bits,
    observed,
    parameters,
    small_splits,
)

ATTRIBUTES = 3


def batch_of(samples: list[tuple[int, int]], seed: int = 0) -> Batch:
    labels, attributes = torch.tensor(samples).T.contiguous()
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        split="train",
        labels=labels,
        known=(attributes, labels * ATTRIBUTES + attributes),
        images=torch.randn(len(samples), 3, 16, 8, generator=generator),
        indices=torch.arange(len(samples)),
    )


def test_a_step_by_hand():
    """Logits (ln 3, 0) for every image: a loss of ln 4/3 for label 0, of ln 4 for label 1; and eta is 1.

    q is 1/4 for the four groups that have samples. Of (0, 0) and (1, 1) there are samples in the batch: q goes as
    1/4 (4/3, 1, 1, 4), which is (2, 3/2, 3/2, 6) / 11. The loss, 2/11 of the one and 6/11 of the other, has by the
    first logit the derivative 2/11 (-1/4) + 6/11 (3/4) = 4/11.
    """
    method = observed("group_dro", lr=1.0, weight_decay=0.0, options={"eta": 1.0}).method
    torch.testing.assert_close(method.q, torch.tensor([1, 1, 0, 1, 1, 0]) / 4)
    head = method.network.head("train")
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([math.log(3), 0.0]))
    step = method.step({"train": batch_of([(0, 0), (1, 1), (0, 0), (0, 0)])})
    torch.testing.assert_close(method.q, torch.tensor([2, 1.5, 0, 1.5, 6, 0]) / 11)
    torch.testing.assert_close(step.scalars["largest_q"], torch.tensor(6 / 11))
    torch.testing.assert_close(head.bias.detach(), torch.tensor([math.log(3) - 4 / 11, 4 / 11]))


def test_groups_without_samples_have_no_weight_from_the_first_step_to_the_last():
    without = {cell: n for cell, n in BIASED.items() if cell != (0, 1)}
    ours = observed("group_dro", small_splits(train=without), options={"eta": 0.5})
    torch.testing.assert_close(ours.method.q, torch.tensor([1, 0, 0, 1, 1, 0]) / 3)
    ours.train(1)
    assert ours.method.q[[1, 2, 5]].tolist() == [0, 0, 0]
    assert ours.method.q.sum().item() == pytest.approx(1)


class Reference:
    """Algorithm 1 as it is written down, group by group, in Python's numbers."""

    def __init__(self, network: torch.nn.Module, groups: set[int], eta: float, lr: float) -> None:
        self.network = network.train()
        self.sgd = torch.optim.SGD(network.parameters(), lr=lr, momentum=MOMENTUM)
        self.q = {group: 1 / len(groups) for group in groups}
        self.eta = eta

    def step(self, batch: Batch) -> None:
        logits = self.network(batch.images)
        losses = {
            group: cross_entropy(logits[batch.groups == group], batch.labels[batch.groups == group])
            for group in set(batch.groups.tolist())
        }
        for group in self.q:
            self.q[group] *= math.exp(self.eta * losses[group].item()) if group in losses else 1.0
        total = sum(self.q.values())
        self.q = {group: q / total for group, q in self.q.items()}
        self.sgd.zero_grad()
        sum(self.q[group] * loss for group, loss in losses.items()).backward()
        self.sgd.step()


@pytest.mark.parametrize("eta", [0.0, 0.01, 0.5])
def test_ten_steps_with_groups_absent_from_batches(eta):
    method = observed("group_dro", weight_decay=0.0, options={"eta": eta}).method
    method.network.train()
    reference = Reference(copy.deepcopy(method.network), {0, 1, 3, 4}, eta, lr=0.02)
    cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for step in range(10):
        absent = cells[step % 4] if step % 3 else None
        batch = batch_of([cell for cell in cells * 2 + cells[: step % 4] if cell != absent], seed=step)
        method.step({"train": batch})
        reference.step(batch)
        expected = torch.tensor([reference.q.get(group, 0.0) for group in range(6)])
        torch.testing.assert_close(method.q, expected, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(parameters(method.network), parameters(reference.network), rtol=1e-4, atol=1e-6)
    if eta == 0:
        assert method.q.tolist() == [0.25, 0.25, 0, 0.25, 0.25, 0]
    else:
        assert method.q.max() > 0.25 + 0.01 * eta


def test_without_a_step_size_it_is_erm_bit_for_bit_where_batches_are_balanced():
    """The mean over groups of their means is not the mean, but where each group has as many samples in the batch."""
    splits = small_splits(train=BALANCED)
    ours, erm = observed("group_dro", splits, options={"eta": 0.0}), observed("erm", splits)
    for each in (ours, erm):
        each.method.network.train()
        for step in range(10):
            each.method.step({"train": batch_of([(0, 0), (0, 1), (1, 0), (1, 1)] * 2, seed=step)})
    assert_same_bits(ours.method.network.state_dict(), erm.method.network.state_dict())
