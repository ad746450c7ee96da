"""From which epoch on a search shows who will win: how the configs' ranks at each epoch agree with those at the end.

Early stopping keeps what ranks high early. Spearman's correlation of the objective after an epoch (the best so far, the
mean over seeds, as the search sees it) with the final one tells how well that does for all configs, the rank of the
winner how it does for the one that matters. Where untrained networks lead, as under an objective that is high for what
predicts at random, early ranks are upside down and a short grace period stops the best.

*The interval* of a correlation is one over the configs that might have been drawn: Student's t on Fisher's scale, with
the standard error of a bootstrap over configs, or that of Bonett and Wright (2000, *Sample size requirements for
estimating Pearson, Kendall and Spearman correlations*, Psychometrika 65), whichever is larger. The formula alone is
too short near 1 and where many configs fail alike, the bootstrap alone where it happens to find no two configs
swapped. In few configs the correlation r is too low on average, by 3 (r - tau) / (n + 1) with Kendall's tau (Kendall
and Gibbons, 1990, *Rank correlation methods*), so either side begins at this or at what it is without, whichever is
farther.
``benchmarks/fidelity_coverage.py`` simulates how often it holds.
"""

import math
from dataclasses import dataclass

import numpy as np

from scale_tune.accuracies import Flags, Floats, Integers
from scale_tune.analysis.intervals import MISSES
from scale_tune.economy.lookup import FEWEST, mean_over_seeds
from scale_tune.ranking import best_of

DRAWS = 1_000
"""Of configs, for the bootstrap."""
MOST_DRAWN = 200_000
"""Configs in all draws of it: large searches need fewer draws."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fidelity:
    """How the epochs of a search agree with its end; of e epochs."""

    configs: int
    correlation: Floats
    """Of shape (e,): Spearman's with the end; not a number where all configs are equal, there or at the end."""
    low: Floats
    """Of shape (e,), the ends of its 95 % interval; not numbers where the correlation is none."""
    high: Floats
    winner: int
    """The position of the config that is selected at the end."""
    rank: Integers
    """Of shape (e,): of the winner after each epoch, from 1; equal ones count as better: nothing tells them apart."""

    @property
    def epochs(self) -> int:
        """Of a trial."""
        return len(self.correlation)

    @property
    def trusted_from(self) -> int:
        """From this epoch on the correlation's interval lies above 0. The last epoch is the end, and always does."""
        return _from_when_on(self.low[:-1] > 0)

    def visible_from(self, factor: int) -> int:
        """From this epoch on the winner is among the best 1/factor of the configs, or the best of all."""
        return _from_when_on((self.rank[:-1] * factor <= self.configs) | (self.rank[:-1] == 1))


def fidelity(val: Floats, selectable: Flags) -> Fidelity:
    """How well each epoch's ranks tell those at the end.

    Args:
        val: of shape (c, s, e), the best so far of each replica: c configs, trained to their end with s seeds.
        selectable: of shape (c,), whether a config may win.

    Raises:
        ValueError: the configs are too few, or none may win.
    """
    if len(val) < FEWEST:
        raise ValueError(f"ranks of {len(val)} configs tell nothing; {FEWEST} are needed")
    if not np.isfinite(val).all():
        raise ValueError("the best so far of a replica is no number; one that diverged keeps what it had, or 0")
    means = mean_over_seeds(val)
    among = np.flatnonzero(selectable)
    best = best_of(means[among, -1].tolist())
    if best is None:
        raise ValueError("no config may win, as each lacks the result of a seed")
    winner = int(among[best])
    whole = np.ones((1, len(means)))
    correlation = np.array([_spearman(each, means[:, -1], whole)[0] for each in means.T])
    low, high = _interval(means, correlation)
    rank = (means >= means[winner]).sum(axis=0)
    rank[-1] = 1
    return Fidelity(
        configs=len(val), correlation=correlation, low=low, high=high, winner=winner, rank=rank.astype(np.int64)
    )


def warning(found: Fidelity, method: str) -> str | None:
    """What is misleading in the early ranks of a method's configs, and the remedy; None if nothing is."""
    first = found.trusted_from
    if first == 1:
        return None
    if math.isnan(found.correlation[-1]):
        return f"{method}: its configs are all equal at the end, so that no early rank tells anything"
    remedy = f"stop no trial of it earlier (scheduler.grace_period: {first})"
    if first == found.epochs:
        remedy = "train every trial of it to its end (scheduler.name: none)"
    ends = found.high[: first - 1]
    upside_down = np.flatnonzero(ends < 0)
    if len(upside_down):
        epoch = int(upside_down[-1])
        return (
            f"{method}: early ranks mislead: at epoch {epoch + 1} the best configs tend to be the worst at the end "
            f"(rank correlation {_shown(found, epoch)}); {remedy}"
        )
    equal = np.flatnonzero(np.isnan(found.correlation[: first - 1]))
    if len(equal):
        return (
            f"{method}: up to epoch {int(equal[-1]) + 1} its configs are all equal, which ranks none of them; {remedy}"
        )
    return (
        f"{method}: early ranks tell nothing for sure: at epoch {first - 1} their correlation with those at the end is "
        f"{_shown(found, first - 2)}; {remedy}"
    )


def _shown(found: Fidelity, epoch: int) -> str:
    return f"{found.correlation[epoch]:.2f} [{found.low[epoch]:.2f}, {found.high[epoch]:.2f}]"


def _from_when_on(holds: Flags) -> int:
    """The first epoch from which on it holds at all but the last one, where it does anyway; epochs begin at 1."""
    fails = np.flatnonzero(~holds)
    return int(fails[-1]) + 2 if len(fails) else 1


def _spearman(values: Floats, end: Floats, drawn: Floats) -> Floats:
    """The rank correlation of values with those at the end, of shape (draws,); equal ones share a rank.

    Args:
        values: of shape (c,).
        end: likewise.
        drawn: of shape (draws, c), how often each config was drawn.
    """
    ranks, of_end = _ranks(values, drawn), _ranks(end, drawn)
    products = [(drawn * one * other).sum(axis=1) for one, other in ((ranks, of_end), (ranks, ranks), (of_end, of_end))]
    with np.errstate(invalid="ignore"):  # 0 / 0 where all are equal
        found: Floats = products[0] / np.sqrt(products[1] * products[2])
    return found


def _ranks(values: Floats, drawn: Floats) -> Floats:
    """The rank of each config's value in each draw, of shape (draws, c), less the mean of all ranks."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    counts = np.add.reduceat(drawn[:, order], starts, axis=1)
    middle = counts.cumsum(axis=1) - counts / 2
    group = np.empty(len(order), np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    found: Floats = middle[:, group] - counts.sum(axis=1, keepdims=True) / 2
    return found


def _interval(means: Floats, correlation: Floats) -> tuple[Floats, Floats]:
    from scipy.special import stdtrit
    from scipy.stats import kendalltau  # slow to import

    n = len(means)
    most = 1 - 1 / n**2  # what is beyond can't be told apart by so many ranks
    draws = min(DRAWS, max(100, MOST_DRAWN // n))
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    errors = np.sqrt((1 + correlation**2 / 2) / (n - 3))
    for epoch in range(len(errors)):
        of_draws = _spearman(means[:, epoch], means[:, -1], drawn)
        if np.isfinite(of_draws).any():  # none is where all configs are equal
            errors[epoch] = max(errors[epoch], np.nanstd(np.arctanh(np.clip(of_draws, -most, most))))
    taus = np.array([kendalltau(each, means[:, -1]).statistic for each in means.T])
    unbiased = ((n + 1) * correlation - 3 * taus) / (n - 2)
    half = stdtrit(n - 2, 1 - MISSES / 2) * errors
    lower, upper = (np.arctanh(np.clip(each(correlation, unbiased), -most, most)) for each in (np.fmin, np.fmax))
    low, high = np.fmin(np.tanh(lower - half), correlation), np.fmax(np.tanh(upper + half), correlation)
    if not math.isnan(correlation[-1]):
        low[-1] = high[-1] = 1.0  # the end with itself
    return low, high
