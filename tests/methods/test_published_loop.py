"""Twenty steps of the published methods against the published training loop, written down here from its equations.

Ours run in the real loop, with the batches, augmentation and learning rate that it gives them; the reference gets the
same batches. Ours adds in another order, so that weights, and the statistics of BatchNorm, are the same but for
rounding; in double precision, since training makes more of every rounding.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from scale_tune.datasets.splits import DatasetSplits, Split
from scale_tune.spec.config import Hyperparameters, TrialConfig
from scale_tune.training.replica import Replica

STEPS, BATCH, LEFT_OVER = 20, 16, 11
TASK_WEIGHT = {
    "linear": lambda c: (c + 1) / 2,
    "relu": lambda c: torch.maximum(c, torch.zeros_like(c)),
    "identity": lambda c: c,
    "step": lambda c: torch.maximum(torch.sign(c), torch.zeros_like(c)),
}


@pytest.fixture(scope="module")
def few(digits) -> DatasetSplits:
    """An epoch of train is 10 steps, one of target 5, and the last batch of either is smaller."""
    sizes = {"train": 9 * BATCH + LEFT_OVER, "target": 4 * BATCH + LEFT_OVER, "val": 20, "test": 20}
    parts = {}
    for name, n in sizes.items():
        whole: Split = getattr(digits, name)
        parts[name] = Split(
            images=whole.images[:n],
            labels=whole.labels[:n],
            attributes=whole.attributes[:n],
            sources=whole.sources[:n],
        )
    return replace(digits, **parts)


def trained(few, method: str, weight_decay: float, **options):
    """Our network after 20 steps, its twin from before them, the batches that it saw, and its hyperparameters."""
    hp = Hyperparameters(lr=0.02, weight_decay=weight_decay, batch_size=BATCH)
    config = TrialConfig(method=method, hyperparameters=hp, options=options)
    replica = Replica(config, 0, few, torch.device("cpu"))
    replica.method.network.double().register_forward_pre_hook(lambda _, given: (given[0].double(), *given[1:]))
    before, seen = copy.deepcopy(replica.method.network), []
    step = replica.method.step

    def observed(batches):
        seen.append({split: replace(batch, images=batch.images.double()) for split, batch in batches.items()})
        return step(batches)

    replica.method.step = observed
    epoch = 0
    while len(seen) < STEPS:
        replica.train_epoch(epoch := epoch + 1)
    assert len(seen) == STEPS
    return replica.method.network, before.train(), seen, hp


def assert_equal(ours: torch.nn.Module, reference: torch.nn.Module) -> None:
    expected = reference.state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(
            tensor, expected[name], rtol=1e-9, atol=1e-12, msg=lambda text, at=name: f"{at}: {text}"
        )


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize(("method", "split"), [("erm", "train"), ("erm_target", "target")])
def test_erm_is_sgd_on_all_of_the_network(few, method, split, weight_decay):
    ours, network, seen, hp = trained(few, method, weight_decay)
    sgd = torch.optim.SGD(network.parameters(), lr=hp.lr, momentum=0.9, weight_decay=weight_decay)
    for batches in seen:
        sgd.zero_grad()
        cross_entropy(network(batches[split].images), batches[split].labels).backward()
        sgd.step()
    assert_equal(ours, network)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("group_size", [1, 4, 16, 64])
@pytest.mark.parametrize("mode", TASK_WEIGHT)
def test_scale_combines_two_gradients(few, mode, group_size, weight_decay):
    ours, network, seen, hp = trained(few, "scale", weight_decay, regularize_mode=mode, group_size=group_size)
    backbone = list(network.backbone.parameters())
    of_heads = [*network.head("train").parameters(), *network.head("target").parameters()]
    # theta <- theta - lr v; v <- momentum v + d; d = w g_tr + g_tg + weight_decay theta: SGD on w g_tr + g_tg.
    shared, heads = (
        torch.optim.SGD(parameters, lr=hp.lr, momentum=0.9, weight_decay=weight_decay)
        for parameters in (backbone, of_heads)
    )
    for batches in seen:
        heads.zero_grad()
        stored = {}
        for split in ("train", "target"):
            shared.zero_grad()
            features = network.backbone(batches[split].images)
            cross_entropy(network.head(split)(features), batches[split].labels).backward()
            stored[split] = [parameter.grad for parameter in backbone]
        for theta, g_tr, g_tg in zip(backbone, stored["train"], stored["target"], strict=True):
            groups = 1
            if theta.dim() > 2:
                outputs, inputs = theta.shape[:2]
                groups = outputs if inputs == 3 else outputs * inputs // group_size
            rows = g_tr.reshape(groups, -1), g_tg.reshape(groups, -1)
            w = TASK_WEIGHT[mode](cosine_similarity(*rows, dim=1)).view(-1, 1)
            theta.grad = (w * rows[0] + rows[1]).view(theta.shape)
        heads.step()
        shared.step()
    assert_equal(ours, network)


def test_a_smaller_last_batch_of_train_meets_a_whole_one_of_target(few):
    _, _, seen, _ = trained(few, "scale", 0.0)
    sizes = [{split: len(batch.labels) for split, batch in batches.items()} for batches in seen]
    epoch = [{"train": BATCH, "target": BATCH}] * 9 + [{"train": LEFT_OVER, "target": BATCH}]
    assert sizes == epoch * 2
    for batches in seen:
        assert len(batches["target"].indices.unique()) == BATCH, "drawn without replacement"
    assert len(torch.cat([batches["target"].indices for batches in seen]).unique()) > BATCH


def test_a_target_that_is_smaller_than_a_batch_is_given_whole(few):
    part = few.target
    tiny = Split(
        images=part.images[:7], labels=part.labels[:7], attributes=part.attributes[:7], sources=part.sources[:7]
    )
    _, _, seen, _ = trained(replace(few, target=tiny), "scale", 0.0)
    assert all(sorted(batches["target"].indices.tolist()) == list(range(7)) for batches in seen)
