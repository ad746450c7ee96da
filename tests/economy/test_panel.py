"""Which policies are tried, and which one is recommended."""

import numpy as np
import pytest

from scale_tune.economy.economy_schemas import POLICIES, economy_tables
from scale_tune.economy.findings import Economy
from scale_tune.economy.panel import LOSES, SURE, front, judged, tried
from tests.support.curves import curves_from, rising
from tests.support.reports import spec_of

SPEC = spec_of(sampler="random", scheduler={"name": "none"}, methods=["erm"], num_samples=30)


@pytest.fixture(scope="module")
def panel():
    random = np.random.default_rng(0)
    easy, hard = (curves_from(rising(random, 30, 3, 8), method=name) for name in ("easy", "hard"))
    return judged(SPEC, [easy, hard], orders=100)


def test_no_policy_is_tried_twice():
    for epochs, seeds in ((1, 1), (2, 3), (3, 1), (10, 3), (81, 5)):
        policies = list(tried(epochs, seeds))
        assert len(set(policies)) == len(policies)
        stages = [(policy.stages(epochs, 30), policy.scheduler.name, policy.part) for policy in policies]
        assert all(of[-1].epoch == epochs for of, *_ in stages)
        assert policies[0].stages(epochs, 30)[0].epoch == epochs, "the whole search comes first"
    assert not any(policy.is_race for policy in tried(10, 3, brief=True))
    assert any(policy.is_race for policy in tried(10, 3))
    assert not any(policy.is_race for policy in tried(10, 1))


def test_the_recommended_policy_is_the_cheapest_that_is_good_for_every_method(panel):
    number = panel.recommended
    assert number > 0
    for outcomes in panel.outcomes:
        assert outcomes[number].near >= SURE
        assert outcomes[number].test_loss.mean <= LOSES
    for i, policy in enumerate(panel.policies):
        if policy.seeds == 3 and panel.share(i) < panel.share(number):
            assert not all(of[i].near >= SURE and of[i].test_loss.mean <= LOSES for of in panel.outcomes)
    assert panel.recommendation.startswith("scheduler: {name: ")
    assert f"{panel.share(number):.2f} of the epochs" in panel.sentence


def test_where_early_ranks_mislead_the_whole_search_is_recommended():
    # Whatever leads until the last epoch loses.
    level = np.linspace(0.1, 0.5, 12)[:, None, None]
    val = np.tile(level, (1, 2, 8))
    val[:, :, -1] = 1 - val[:, :, 0]
    panel = judged(spec_of(**{**SPEC.model_dump(), "seeds": [0, 1]}), [curves_from(val)], orders=100, brief=True)
    assert panel.recommended == 0
    assert panel.recommendation == "scheduler: {name: none}\n"
    assert "train every trial to its end" in panel.sentence


def test_the_table_has_a_row_for_each_policy_and_method(panel):
    rows = economy_tables(Economy(run="run", panel=panel, ranks=[], draws=[], apart=[], notes=[]))[
        "policies"
    ].to_pandas()
    assert rows.columns.tolist() == POLICIES.names
    assert len(rows) == 2 * len(panel.policies)
    assert rows.loc[rows["policy"] == "to the end", "grace_period"].isna().all()
    whole = rows[(rows["policy"] == "to the end") & (rows["trials"] == 30) & (rows["seeds"] == 3)]
    assert whole[["epochs_mean", "time_mean", "found", "near"]].to_numpy().tolist() == [[1.0] * 4] * 2
    assert whole["val_loss_mean"].tolist() == [0, 0]
    assert rows.groupby("method")["recommended"].sum().tolist() == [1, 1]
    assert (rows["epochs_low"] <= rows["epochs_mean"] + 1e-9).all()
    assert (rows["epochs_mean"] <= rows["epochs_high"] + 1e-9).all()
    assert (rows["val_loss_low"] >= 0).all()
    assert (rows["val_loss_low"] <= rows["val_loss_high"]).all()


def test_no_other_policy_is_better_than_one_on_the_front():
    costs, losses = [1.0, 0.5, 0.5, 0.2, 0.3, 0.3], [0.0, 0.0, 0.1, 0.3, 0.3, 0.2]
    assert front(costs, losses) == {1, 3, 5}


def test_of_one_seed_the_winner_itself_must_be_found():
    one = spec_of(**{**SPEC.model_dump(), "seeds": [0]})
    panel = judged(one, [curves_from(rising(np.random.default_rng(1), 20, 1, 8))], orders=100)
    assert all(outcome.near is None for outcome in panel.outcomes[0])
    assert "with the same winner" in panel.sentence
    assert panel.outcomes[0][panel.recommended].found >= SURE
    assert list(panel.asides) == [], "there are no fewer seeds, and no race"
