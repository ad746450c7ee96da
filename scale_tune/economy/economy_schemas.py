"""The tables of what a search cost and what smaller ones would have found, with schemas that explain themselves."""

import math
from collections.abc import Iterator

import pyarrow as pa

from scale_tune.economy.bands import band
from scale_tune.economy.budgets import expected, spread_out
from scale_tune.economy.findings import Economy
from scale_tune.economy.lookup import Curves
from scale_tune.economy.panel import RANGE, Panel, Spread
from scale_tune.economy.power import FURTHER_SEEDS, WANTED
from scale_tune.economy.warm_starts import BEST_FIRST, MOST_FIRST, NO_PRIOR, WORST_FIRST
from scale_tune.tables.schemas import Row, field, table_of

MOST_NUMBERS = 100
"""Of trials, for which budgets are told."""
_BETWEEN = f"percentile {RANGE[0]:g} of the orders", f"percentile {RANGE[1]:g} of the orders"
_OF_ORDERS = "over the orders that were replayed"


def _spread(name: str, meaning: str) -> list[pa.Field]:
    return [
        field(f"{name}_mean", pa.float64(), f"{meaning}: mean {_OF_ORDERS}", "fraction"),
        field(f"{name}_low", pa.float64(), f"{meaning}: {_BETWEEN[0]}", "fraction"),
        field(f"{name}_high", pa.float64(), f"{meaning}: {_BETWEEN[1]}", "fraction"),
    ]


LOOKUP = (
    field("run", pa.string(), "name of the run"),
    field("dataset", pa.string(), "kind of data, named as in comparison"),
    field("method", pa.string(), "how networks were trained, as erm"),
)
POLICIES = pa.schema(
    [
        *LOOKUP,
        field(
            "policy",
            pa.string(),
            "how a search spends its epochs: 'to the end', or the scheduler with its grace period and, behind a /, "
            "its reduction factor; of a race, the seeds that go ahead",
        ),
        field("scheduler", pa.string(), "of the search space, as asha; none trains every trial to its end"),
        field("grace_period", pa.int64(), "no trial is stopped before this epoch; null for none", "epoch"),
        field("reduction_factor", pa.int64(), "at a rung the best 1/reduction_factor go on; null for none and median"),
        field("race", pa.bool_(), "whether the first seeds go ahead, and others join what passes the last rung"),
        field("trials", pa.int64(), "configs that are drawn, a random part of those of the run", "count"),
        field("seeds", pa.int64(), "seeds of a trial that ends complete, a random part of those of the run", "count"),
        field("workers", pa.int64(), "trials at once", "count"),
        field("orders", pa.int64(), "random orders of configs and seeds that were replayed", "count"),
        *_spread("epochs", "epochs of single seeds that are spent, as a share of those of the whole run"),
        field(
            "time_mean",
            pa.float64(),
            f"time until the last trial ends, as a share of the whole run's with as many workers: mean {_OF_ORDERS}; "
            "epochs take what they took, or one unit each where that is not known",
            "fraction",
        ),
        field(
            "found", pa.float64(), "share of the orders that select the config that the whole run selects", "fraction"
        ),
        field(
            "near",
            pa.float64(),
            "share of the orders that select a config whose objective, the mean over all seeds, is within one standard "
            "error of that of the whole run's, one over seeds, of the best third of the configs; null of one seed",
            "fraction",
        ),
        *_spread(
            "val_loss",
            "objective of the config that the whole run selects minus that of the selected one, each over all seeds; "
            "where nothing can be selected, all of it",
        ),
        *_spread("test_loss", "the same of the accuracy on test"),
        field("front", pa.bool_(), "whether no other policy spends less and has a val_loss_mean that is no higher"),
        field(
            "recommended", pa.bool_(), "whether it is the recommended one, the same for all methods and data of a run"
        ),
    ],
    metadata={"name": "policies", "rows": "one per run, dataset, method and policy"},
)


FIDELITY = pa.schema(
    [
        *LOOKUP,
        field("epoch", pa.int64(), "epoch, from 1", "epoch"),
        field("configs", pa.int64(), "configs that are ranked: complete trials", "count"),
        field(
            "correlation",
            pa.float64(),
            "Spearman's rank correlation of the objective after this epoch with that at the end; null where all "
            "configs are equal",
        ),
        field("low", pa.float64(), "lower end of its 95 % interval, over configs that might have been drawn"),
        field("high", pa.float64(), "upper end of it"),
        field("winner", pa.string(), "trial that is selected at the end"),
        field("winner_rank", pa.int64(), "its rank after this epoch, from 1; equal ones count as better"),
        field("trusted", pa.bool_(), "whether the interval lies above 0 at this epoch and at all later ones"),
    ],
    metadata={"name": "fidelity", "rows": "one per run, dataset, method and epoch"},
)


def _expected() -> Iterator[pa.Field]:
    for split, what in (("val", "highest objective"), ("test", "accuracy on test of the config that val selects")):
        yield field(split, pa.float64(), f"{what}: mean over all searches of so many of the run's trials", "fraction")
        yield field(f"{split}_low", pa.float64(), "lower end of its 95 % interval, see interval", "fraction")
        yield field(f"{split}_high", pa.float64(), "upper end of its 95 % interval, see interval", "fraction")
        yield field(
            f"{split}_over_searches",
            pa.float64(),
            "standard deviation over these searches: the luck of the draw",
            "fraction",
        )
        yield field(
            f"{split}_over_seeds",
            pa.float64(),
            "standard deviation over seeds of the selected config, root of its mean square; null of one seed",
            "fraction",
        )


BUDGETS = pa.schema(
    [
        *LOOKUP,
        field("trials", pa.int64(), "random draws of the search", "count"),
        field("epochs", pa.int64(), "that it takes, each of as many replicas as a trial has seeds", "count"),
        *_expected(),
        field("interval", pa.string(), "what the intervals account for, or why there are none"),
    ],
    metadata={
        "name": "budgets",
        "rows": f"one per run, dataset, method and number of trials; of large searches {MOST_NUMBERS} numbers",
    },
)
POWER = pa.schema(
    [
        field("run", pa.string(), "name of the run"),
        field("dataset", pa.string(), "kind of data, named as in comparison"),
        field("method", pa.string(), "the best on val"),
        field("other_method", pa.string(), "the second best"),
        field("accuracy", pa.string(), "by which they are compared on test: the objective"),
        field("seeds", pa.int64(), "that both have", "count"),
        field("images", pa.int64(), "in the smallest evaluation group of test, mean over seeds' splits", "count"),
        field("difference", pa.float64(), "of the means over these seeds, method minus other_method", "fraction"),
        field("low", pa.float64(), "lower end of its 95 % interval", "fraction"),
        field("high", pa.float64(), "upper end of it", "fraction"),
        field("spread", pa.float64(), "standard deviation over seeds of the difference", "fraction"),
        field("spread_low", pa.float64(), "lower end of its 95 % interval", "fraction"),
        field("spread_high", pa.float64(), "upper end of it", "fraction"),
        field(
            "chance",
            pa.float64(),
            "how often a run like this one would tell the two apart, if difference and spread are the true ones",
            "fraction",
        ),
        field(
            "detectable",
            pa.float64(),
            f"smallest true difference that so many seeds and images see in {WANTED:.0%} of all runs; null if none",
            "fraction",
        ),
        field(
            "seeds_needed",
            pa.int64(),
            f"seeds that tell the two apart in {WANTED:.0%} of all runs, with these images; null if no number does",
            "count",
        ),
        field(
            "images_needed",
            pa.int64(),
            "likewise images in the smallest group, all others multiplied alike, with these seeds",
            "count",
        ),
        *(
            field(f"images_needed_{n}", pa.int64(), f"likewise with {n} seeds; null if there are more", "count")
            for n in FURTHER_SEEDS
        ),
    ],
    metadata={"name": "power", "rows": "one per run and dataset with two methods"},
)
WARM_STARTS = pa.schema(
    [
        *LOOKUP,
        field("policy", pa.string(), "how a search spends its epochs, as in policies: the recommended one"),
        field("trials", pa.int64(), "configs that are drawn: half of the recommended policy's", "count"),
        field("orders", pa.int64(), "random orders of configs and seeds that were replayed", "count"),
        field(
            "start",
            pa.string(),
            f"which configs come first, {MOST_FIRST} of them: none in particular ({NO_PRIOR}); those that are the best "
            f"or the worst of this run at the end ({BEST_FIRST}, {WORST_FIRST}); or those that are the best of the run "
            "of this name",
        ),
        field("epochs_mean", pa.float64(), f"share of the whole run's epochs of single seeds: mean {_OF_ORDERS}"),
        field("found", pa.float64(), "share of the orders that select the config that the whole run selects"),
        field("near", pa.float64(), "share that select one within a standard error of it, as in policies"),
        field("val_loss_mean", pa.float64(), f"loss of objective as in policies: mean {_OF_ORDERS}", "fraction"),
        field("test_loss_mean", pa.float64(), "the same of the accuracy on test", "fraction"),
    ],
    metadata={"name": "warm_starts", "rows": "one per run, dataset, method and start"},
)
ECONOMIES = {
    "policies": POLICIES,
    "fidelity": FIDELITY,
    "budgets": BUDGETS,
    "power": POWER,
    "warm_starts": WARM_STARTS,
}


def economy_tables(found: Economy) -> dict[str, pa.Table]:
    """The tables of a run; one that nothing is known for is empty."""
    return {
        "policies": table_of(_policies(found.panel) if found.panel else [], POLICIES),
        "fidelity": table_of(_fidelity(found), FIDELITY),
        "budgets": table_of(_budgets(found), BUDGETS),
        "power": table_of(_power(found), POWER),
        "warm_starts": table_of(_starts(found), WARM_STARTS),
    }


def _starts(found: Economy) -> Iterator[Row]:
    for starts in found.starts:
        for name, replayed in starts.items():
            yield {
                **_about(replayed.curves),
                "policy": replayed.policy.name,
                "trials": replayed.configs.shape[1],
                "orders": len(replayed.spent),
                "start": name,
                "epochs_mean": float(replayed.spent.mean() / replayed.curves.trained.sum()),
                "found": float(replayed.found.mean()),
                "near": None if replayed.near is None else float(replayed.near.mean()),
                "val_loss_mean": float(replayed.val_loss.mean()),
                "test_loss_mean": float(replayed.test_loss.mean()),
            }


def _fidelity(found: Economy) -> Iterator[Row]:
    for curves, ranks in found.ranks:
        for i in range(ranks.epochs):
            numbers = {name: float(getattr(ranks, name)[i]) for name in ("correlation", "low", "high")}
            yield {
                **_about(curves),
                "epoch": i + 1,
                "configs": ranks.configs,
                **{name: None if math.isnan(value) else value for name, value in numbers.items()},
                "winner": curves.trials[ranks.winner],
                "winner_rank": int(ranks.rank[i]),
                "trusted": i + 1 >= ranks.trusted_from,
            }


def _budgets(found: Economy) -> Iterator[Row]:
    for curves, drawn in found.draws:
        for n in spread_out(drawn.trials, MOST_NUMBERS):
            row = {**_about(curves), **vars(expected(drawn, n)), "epochs": n * drawn.epochs}
            for split in ("val", "test"):
                of = band(drawn, n, split)
                row |= {f"{split}_low": of.low, f"{split}_high": of.high, "interval": of.interval}
            yield row


def _power(found: Economy) -> Iterator[Row]:
    for apart in found.apart:
        of = apart.found
        names = ("accuracy", "seeds", "images", "difference", "low", "high", "spread", "chance", "detectable")
        yield {
            "run": found.run,
            "dataset": apart.dataset,
            "method": apart.first,
            "other_method": apart.second,
            **{name: getattr(of, name) for name in (*names, "seeds_needed")},
            "spread_low": of.spread_ends[0],
            "spread_high": of.spread_ends[1],
            "images_needed": of.images_needed[of.seeds],
            **{f"images_needed_{n}": of.images_needed.get(n) for n in FURTHER_SEEDS},
        }


def _about(curves: Curves) -> Row:
    return {"run": curves.run, "dataset": curves.dataset, "method": curves.method}


def _policies(panel: Panel) -> list[Row]:
    rows = []
    for outcomes, front in zip(panel.outcomes, panel.fronts, strict=True):
        for number, outcome in enumerate(outcomes):
            curves, policy, scheduler = outcome.curves, outcome.policy, outcome.policy.scheduler
            rows.append(
                {
                    **_about(curves),
                    "policy": policy.name,
                    "scheduler": scheduler.name,
                    "grace_period": None if scheduler.name == "none" else scheduler.grace_period,
                    "reduction_factor": (
                        scheduler.reduction_factor if scheduler.name in ("asha", "hyperband") else None
                    ),
                    "race": policy.is_race,
                    "trials": policy.trials(len(curves.trials)),
                    "seeds": policy.seeds,
                    "workers": panel.workers,
                    "orders": outcome.orders,
                    **_columns("epochs", outcome.share),
                    "time_mean": outcome.time,
                    "found": outcome.found,
                    "near": outcome.near,
                    **_columns("val_loss", outcome.val_loss),
                    **_columns("test_loss", outcome.test_loss),
                    "front": number in front,
                    "recommended": number == panel.recommended,
                }
            )
    return rows


def _columns(name: str, spread: Spread) -> Row:
    return {f"{name}_mean": spread.mean, f"{name}_low": spread.low, f"{name}_high": spread.high}
