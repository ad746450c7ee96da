"""JTT and finetune: what their first stage leaves to the second, and that the second is ERM on it."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from scale_tune.spec.config import Schedule
from tests.support.small import assert_same_bits, observed, parameters, plain_sgd, small_splits

LR, FIRST = 0.02, 2


def jtt(upweight: int = 5, splits=None, **fields):
    return observed("jtt", splits, options={"first_epochs": FIRST, "upweight": upweight}, **fields).prepare()


def finetune(factor: float = 1.0, **fields):
    options = {"first_epochs": FIRST, "finetune_lr_factor": factor}
    return observed("finetune", options=options, **fields).prepare()


def erm_of_the_first_stage(**fields):
    """Of epochs that are numbered as those that prepare."""
    erm = observed("erm", **fields)
    for epoch in range(1 - FIRST, 1):
        erm.replica.prepare_epoch(epoch)
    return erm


def standardised(split) -> torch.Tensor:
    return (torch.from_numpy(split.images) / 255 - 0.5) / 0.25


@pytest.mark.parametrize("ours", [jtt, finetune])
def test_the_first_stage_is_erm_bit_for_bit(ours):
    first, erm = ours(), erm_of_the_first_stage()
    assert [set(batches) for batches in first.seen] == [{"train"}] * 30
    assert_same_bits(first.method.network.state_dict(), erm.method.network.state_dict())


@pytest.mark.parametrize("ours", [jtt, finetune])
def test_the_schedule_begins_anew_with_the_second_stage(ours):
    replica = ours(schedule=Schedule.COSINE, epochs=5).replica
    assert replica.method.optimizer.param_groups[0]["lr"] == pytest.approx(LR / 2), "after 2 epochs of 2"
    record, _ = replica.train_epoch(1)
    assert replica.method.optimizer.param_groups[0]["lr"] == pytest.approx(LR) == record.lr


def test_what_the_first_network_gets_wrong_in_evaluation_mode_is_drawn_lambda_times():
    splits = small_splits()
    ours = jtt(splits=splits)
    network, labels = copy.deepcopy(ours.method.network), torch.from_numpy(splits.train.labels)
    with torch.no_grad():
        wrong = network.eval()(standardised(splits.train)).argmax(dim=1) != labels
        while_training = network.train()(standardised(splits.train)).argmax(dim=1) != labels
    assert 0 < wrong.sum() < len(labels) / 2
    assert not torch.equal(wrong, while_training)
    ours.replica.train_epoch(1)
    assert ours.method.times.tolist() == [5 if each else 1 for each in wrong]
    for epoch in (2, 3):
        drawn = ours.method.draw(torch.Generator().manual_seed(epoch))
        assert torch.equal(torch.bincount(drawn), torch.where(wrong, 5, 1))
    second = [batch.indices for batch in ours.batches("train", start=30)]
    assert torch.cat(second).unique().tolist() == list(range(len(labels)))
    expected = -(-int(torch.where(wrong, 5, 1).sum()) // 8)
    assert len(second) in (expected, expected - 1), "a single sample that is left over makes no batch"
    assert torch.cat(second[: len(second) // 2]).diff().abs().float().mean() > 1, "in random order"


def test_jtts_second_stage_begins_with_the_initial_weights_and_no_momentum():
    ours = jtt()
    assert ours.method.optimizer.state
    ours.method.begin_epoch(1)
    assert_same_bits(ours.method.network.state_dict(), ours.before.state_dict())
    assert not ours.method.optimizer.state


def test_jtts_second_stage_is_sgd_on_its_draws():
    ours = jtt().train(2)
    reference = plain_sgd(ours.before, ours.batches("train", start=30))
    assert_same_bits(ours.method.network.state_dict(), reference.state_dict())


def test_only_the_first_epoch_that_counts_looks_for_mistakes():
    ours = jtt().train(1)
    times = ours.method.times.clone()
    ours.method.times[0] = 77
    ours.replica.train_epoch(2)
    assert ours.method.times[0] == 77
    assert torch.equal(ours.method.times[1:], times[1:])


def history(each, epochs: int):
    """Without the clock, and what only one of two methods tells."""
    records = [each.replica.train_epoch(epoch)[0] for epoch in range(1, epochs + 1)]
    return [record.model_dump(exclude={"seconds", "diagnostics"}) for record in records]


def test_an_upweight_of_one_is_erm_bit_for_bit():
    ours, erm = jtt(upweight=1), observed("erm")
    assert history(ours, 2) == history(erm, 2)
    assert_same_bits(ours.method.network.state_dict(), erm.method.network.state_dict())
    assert history(jtt(upweight=5), 2) != history(observed("erm"), 2)


def test_without_a_mistake_it_is_erm_bit_for_bit():
    ours, erm = jtt(), observed("erm")
    ours.method.predict = lambda images: ours.method.network(images) * 0 + right.pop(0)
    labels = ours.method.samples["train"].labels
    right = [torch.nn.functional.one_hot(labels, 2)]
    ours.method.begin_epoch(1)
    assert (ours.method.times == 1).all()
    assert not right
    for epoch in (2, 3):
        for each in (ours, erm):
            each.replica.prepare_epoch(epoch)
    assert_same_bits(ours.method.network.state_dict(), erm.method.network.state_dict())


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_finetunes_second_stage_is_sgd_on_target_from_where_the_first_ended(factor):
    ours = finetune(factor)
    between = copy.deepcopy(ours.method.network)
    ours.train(2)
    assert [set(batches) for batches in ours.seen[30:]] == [{"target"}] * 12
    drawn = torch.cat([batch.indices for batch in ours.batches("target", start=30)])
    assert torch.bincount(drawn).tolist() == [2] * 48
    reference = plain_sgd(between, ours.batches("target", start=30), lr=LR * factor)
    assert_same_bits(ours.method.network.state_dict(), reference.state_dict())


def test_finetune_without_a_rate_keeps_what_the_first_stage_learned():
    """Of BatchNorm only the running statistics are then target's."""
    ours, erm = finetune(0.0).train(2), erm_of_the_first_stage()
    assert_same_bits(parameters(ours.method.network), parameters(erm.method.network))
    statistics = [each.method.network.state_dict()["backbone.1.running_mean"] for each in (ours, erm)]
    assert not torch.equal(*statistics)


def test_momentum_of_the_first_stage_would_make_another_step():
    """So that the tests above would see it."""
    ours = finetune()
    kept, fresh = copy.deepcopy(ours.method), copy.deepcopy(ours.method)
    batch = next(ours.batches("train"))
    fresh.optimizer.state.clear()
    for method in (kept, fresh):
        method.optimizer.zero_grad()
        cross_entropy(method.network(batch.images), batch.labels).backward()
        method.optimizer.step()
    assert not torch.equal(*(next(method.network.parameters()) for method in (kept, fresh)))
