"""The tables of what a search cost and what smaller ones would have found, with schemas that explain themselves."""

import pyarrow as pa

from scale_tune.economy.panel import RANGE, Panel, Spread
from scale_tune.tables.schemas import Row, field, table_of

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
            "its reduction factor; of a race, the seeds that are compared at its rungs, and at full length",
        ),
        field("scheduler", pa.string(), "of the search space, as asha; none trains every trial to its end"),
        field("grace_period", pa.int64(), "no trial is stopped before this epoch; null for none", "epoch"),
        field("reduction_factor", pa.int64(), "at a rung the best 1/reduction_factor go on; null for none and median"),
        field("race", pa.bool_(), "whether seeds join while a config may still win, which the driver does not run"),
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
            "error (over seeds) of that of the whole run's; null of one seed",
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


def policies_table(panels: list[Panel]) -> pa.Table:
    """What every policy costs and finds, of the panel of each run."""
    return table_of([row for panel in panels for row in _rows(panel)], POLICIES)


def _rows(panel: Panel) -> list[Row]:
    rows = []
    for outcomes, front in zip(panel.outcomes, panel.fronts, strict=True):
        for number, outcome in enumerate(outcomes):
            curves, policy, scheduler = outcome.curves, outcome.policy, outcome.policy.scheduler
            rows.append(
                {
                    "run": curves.run,
                    "dataset": curves.dataset,
                    "method": curves.method,
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
