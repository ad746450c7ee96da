"""What trying the best configs of an earlier run first would have saved, and what a misleading one would have cost.

A search with a prior is one in which some configs come first. Replayed on a finished search: with its own best ones
first, which is the most that a prior can save; with its worst first, which is the most that it can cost; and with those
that were the best in the lookup of another run, where both have drawn the same configs (as searches of the same space
with the same ``search_seed`` and sampler ``random`` do).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from scale_tune.economy.lookup import Curves
from scale_tune.economy.policy import Policy
from scale_tune.economy.replay import Orders, Replayed, replay
from scale_tune.ranking import best_first

MOST_FIRST = 3
"""Configs of a method that come first."""
NO_PRIOR, BEST_FIRST, WORST_FIRST = "no prior", "the best first", "the worst first"


def with_first(orders: Orders, configs: Sequence[int]) -> Orders:
    """The same orders, but for these configs, which come first.

    Args:
        orders: of a lookup's configs.
        configs: positions in the lookup, each once, in the order in which they come.

    Raises:
        ValueError: a position is none, or stands twice.
    """
    chosen = np.array(configs, np.int64)
    if len(set(configs)) < len(configs) or not np.isin(chosen, orders.configs[0]).all():
        raise ValueError(f"configs that come first are different positions of a lookup, got {[*configs]}")
    n, c = orders.configs.shape
    others = orders.configs[~np.isin(orders.configs, chosen)].reshape(n, c - len(chosen))
    return Orders(configs=np.hstack([np.tile(chosen, (n, 1)), others]), seeds=orders.seeds)


def shared_best(curves: Curves, prior: Curves) -> tuple[int, ...]:
    """Where the best configs of another lookup stand in this one, the best first; only those that it has, too."""
    known = [tuple(sorted(config.items())) for config in curves.params]
    best = [tuple(sorted(prior.params[i].items())) for i in _ranked(prior)[:MOST_FIRST]]
    return tuple(known.index(config) for config in best if config in known)


def warm_starts(
    curves: Curves, policy: Policy, orders: Orders, workers: int = 1, priors: Sequence[Curves] = ()
) -> dict[str, Replayed]:
    """Replay a policy without a prior, with the best and with the worst that there might be, and with others' best.

    Args:
        curves: a lookup that can be replayed, with a config that may win.
        policy: of the search.
        orders: of its configs.
        workers: trials at once.
        priors: lookups of the same method in other runs. One that has none of these configs is left out.

    Returns:
        By :data:`NO_PRIOR`, :data:`BEST_FIRST` and :data:`WORST_FIRST`, and by the name of each other run.
    """
    ranked = _ranked(curves)
    first: dict[str, Sequence[int]] = {
        NO_PRIOR: (),
        BEST_FIRST: ranked[:MOST_FIRST],
        WORST_FIRST: ranked[::-1][:MOST_FIRST],
    }
    first |= {prior.run: found for prior in priors if (found := shared_best(curves, prior))}
    return {name: replay(curves, policy, with_first(orders, configs), workers) for name, configs in first.items()}


def said(found: Sequence[Mapping[str, Replayed]]) -> list[str]:
    """What a good prior would have saved, and what a misleading one would have cost, in sentences.

    Args:
        found: of each lookup what :func:`warm_starts` has; means over them are told.
    """
    names = dict.fromkeys(name for starts in found for name in starts if name != NO_PRIOR)
    return [_told(name, [starts for starts in found if name in starts]) for name in names]


def _told(name: str, found: Sequence[Mapping[str, Replayed]]) -> str:
    policy = found[0][NO_PRIOR].policy
    trials = sorted({starts[NO_PRIOR].configs.shape[1] for starts in found})
    first = name if name in (BEST_FIRST, WORST_FIRST) else f"the best of {name} first"
    with_it, without = ([starts[each] for starts in found] for each in (name, NO_PRIOR))
    return (
        f"a prior, {first}: of searches of {' or '.join(map(str, trials))} trials ({policy.name}) {_sure(with_it):.0%} "
        f"end {'with' if without[0].near is None else 'within a standard error of'} the winner for "
        f"{_share(with_it):.2f} of the epochs, and {_sure(without):.0%} for {_share(without):.2f} without it"
    )


def _sure(found: Sequence[Replayed]) -> float:
    return float(np.mean([(each.found if each.near is None else each.near).mean() for each in found]))


def _share(found: Sequence[Replayed]) -> float:
    """Of the whole search's epochs of single seeds."""
    return float(np.mean([each.spent.mean() / each.curves.trained.sum() for each in found]))


def _ranked(curves: Curves) -> list[int]:
    """The configs that may win, the best first."""
    among = np.flatnonzero(curves.selectable).tolist()
    return [among[i] for i in best_first(curves.final[among].tolist())]
