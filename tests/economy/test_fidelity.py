"""From which epoch on ranks tell the winner, in searches whose course is made up."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from scale_tune.economy.fidelity import fidelity, warning
from tests.support.curves import rising


def of_means(rows) -> np.ndarray:
    """Configs of one seed, a row of epochs each."""
    return np.array(rows, float)[:, None, :]


def all_may_win(val):
    return np.ones(len(val), bool)


@pytest.mark.parametrize("levels", [1000, 12, 3])
def test_the_correlation_is_spearmans_with_equal_values_sharing_a_rank(levels):
    val = rising(np.random.default_rng(levels), 20, 3, 8, levels=levels)
    found = fidelity(val, all_may_win(val))
    means = val.mean(axis=1).round(9)
    expected = [spearmanr(means[:, epoch], means[:, -1]).statistic for epoch in range(8)]
    assert found.correlation == pytest.approx(expected)
    assert ((found.low <= found.correlation) & (found.correlation <= found.high)).all()
    assert (found.correlation[-1], found.low[-1], found.high[-1]) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(("true", "configs"), [(0.95, 30), (-0.6, 12)])
def test_intervals_hold_the_true_correlation_as_often_as_they_say(true, configs):
    """For more cases see ``benchmarks/fidelity_coverage.py``."""
    random, outcomes, held = np.random.default_rng(9), 120, []
    normal = 2 * math.sin(math.pi * true / 6)  # of two normal values whose ranks correlate by this much
    for _ in range(outcomes):
        end, other = random.normal(size=(2, configs))
        early = normal * end + math.sqrt(1 - normal**2) * other
        found = fidelity(of_means(np.stack([early, end], axis=1)), np.ones(configs, bool))
        held.append(found.low[0] <= true <= found.high[0])
    assert np.mean(held) > 0.93 - 2 * math.sqrt(0.93 * 0.07 / outcomes)


SLOW_WINNER = of_means(
    [[0.1, 0.2, 0.3, 0.9]] + [[0.2 + 0.1 * i, 0.25 + 0.1 * i, 0.25 + 0.1 * i, 0.3 + 0.1 * i] for i in range(5)]
)
"""Its first config is the last of six, the fifth and the fifth, and wins."""


def test_the_winner_is_visible_from_when_on_it_is_kept_at_every_epoch():
    found = fidelity(SLOW_WINNER, all_may_win(SLOW_WINNER))
    assert (found.winner, found.rank.tolist()) == (0, [6, 6, 5, 1])
    assert [found.visible_from(factor) for factor in (1, 2, 3, 6)] == [1, 4, 4, 4]
    back = of_means([[0.9, 0.1, 0.9, 0.9]] + [[0.5, 0.5, 0.5, 0.5]] * 5)
    assert fidelity(back, all_may_win(back)).visible_from(3) == 3, "it was in front at first, and fell behind"
    always = of_means([[0.9, 0.9]] + [[0.1, 0.2]] * 5)
    assert fidelity(always, all_may_win(always)).visible_from(99) == 1, "the best of all is always kept"


def test_equal_configs_are_not_told_apart_so_they_count_as_better():
    val = of_means([[0.1, 0.5, 0.9]] + [[0.1, 0.5, 0.2 + 0.1 * i] for i in range(5)])
    found = fidelity(val, all_may_win(val))
    assert found.rank.tolist() == [6, 6, 1]
    assert np.isnan(found.correlation[:2]).all()
    assert np.isnan(found.low[:2]).all()
    assert (found.trusted_from, found.visible_from(3)) == (3, 3)
    assert warning(found, "erm") == (
        "erm: up to epoch 2 its configs are all equal, which ranks none of them; train every trial of it to its end "
        "(scheduler.name: none)"
    )


def test_a_config_that_may_not_win_has_a_rank_and_does_not_win():
    val = of_means([[0.9, 0.9], [0.8, 0.8], [0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    found = fidelity(val, np.array([False, True, True, True, True]))
    assert (found.winner, found.rank.tolist()) == (1, [2, 1])


def test_early_ranks_that_are_upside_down_are_warned_of():
    """What has not begun to learn is at chance in the worst group, above what has learned the shortcut."""
    lr = np.linspace(0, 1, 16)
    val = of_means(np.stack([0.5 - 0.3 * lr, 0.5 - 0.2 * lr, 0.5 + 0.05 * lr, 0.5 + 0.4 * lr, 0.5 + 0.4 * lr], axis=1))
    found = fidelity(val, all_may_win(val))
    assert found.correlation == pytest.approx([-1, -1, 1, 1, 1])
    assert (found.high[:2] < 0).all()
    assert (found.trusted_from, found.visible_from(3)) == (3, 3)
    text = warning(found, "erm")
    assert text.startswith("erm: early ranks mislead: at epoch 2 the best configs tend to be the worst at the end ")
    assert text.endswith("stop no trial of it earlier (scheduler.grace_period: 3)")


def test_early_ranks_that_may_be_chance_are_warned_of_and_good_ones_are_not():
    random = np.random.default_rng(0)
    end = random.random(12)
    val = of_means(np.stack([random.random(12), end + 0.01 * random.random(12), end], axis=1))
    found = fidelity(val, all_may_win(val))
    assert found.low[0] < 0 < found.low[1]
    assert warning(found, "jtt").startswith(
        "jtt: early ranks tell nothing for sure: at epoch 1 their correlation with "
    )
    good = val[:, :, 1:]
    assert fidelity(good, all_may_win(good)).trusted_from == 1
    assert warning(fidelity(good, all_may_win(good)), "jtt") is None


def test_a_search_of_one_epoch_has_nothing_to_stop_early():
    val = of_means([[0.1], [0.2], [0.3], [0.4], [0.5]])
    found = fidelity(val, all_may_win(val))
    assert (found.trusted_from, found.visible_from(3), warning(found, "erm")) == (1, 1, None)


def test_all_configs_equal_at_the_end_have_no_correlation():
    val = of_means([[0.1 * i, 0.5] for i in range(6)])
    found = fidelity(val, all_may_win(val))
    assert np.isnan(found.correlation).all()
    assert np.isnan(found.high).all()
    assert (found.winner, found.rank.tolist()) == (0, [6, 1])
    assert warning(found, "erm") == "erm: its configs are all equal at the end, so that no early rank tells anything"


def test_what_has_no_ranks_is_refused():
    val = rising(np.random.default_rng(0), 5, 2, 3)
    with pytest.raises(ValueError, match="ranks of 4 configs tell nothing; 5 are needed"):
        fidelity(val[:4], np.ones(4, bool))
    with pytest.raises(ValueError, match="no config may win"):
        fidelity(val, np.zeros(5, bool))
    val[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="is no number"):
        fidelity(val, np.ones(5, bool))
