"""What smaller searches of two problems would have found: python benchmarks/economy/replays.py [ORDERS]

The problems are searches of four methods by 30 random configs of 3 seeds, each trained to its end: ``digits.yaml``, and
``coloured_mnist.yaml``, whose pictures ``coloured_mnist.py`` makes. What replays need of their tables is kept beside
this file, so that nothing is trained; ``replays.py keep RUN PROBLEM`` takes it from a new run, and ``replays.py beside
RUN PROBLEM`` shows a real search of the same configs with early stopping beside what replays say of it.

Of each policy: the epochs that it spends, as a share of the whole search's; how often it ends within a standard error
of the winner; what it loses on val and on test. Means over the methods; the second column is of the worst method's.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.selection import select_best
from scale_tune.economy.lookup import Curves, curves_of
from scale_tune.economy.panel import ORDERS, Outcome, judged
from scale_tune.economy.policy import Policy
from scale_tune.economy.replay import Orders, random_orders, replay
from scale_tune.spec.loading import load_spec
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.collect import load_results

HERE = Path(__file__).parent
PROBLEMS = ("digits", "coloured_mnist")
WORKERS = 2
"""Of the searches that were made."""


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS
    found = {problem: policies_of(problem, orders) for problem in PROBLEMS}
    print(f"{orders:,} orders; {' | '.join(PROBLEMS)}: share of epochs, near, near of the worst, val loss, test loss")
    names = list(found[PROBLEMS[0]])
    for name in sorted(names, key=lambda name: told(found[PROBLEMS[0]][name])[0]):
        rows = (told(found[problem][name]) for problem in PROBLEMS)
        print(f"{name:<44}", " | ".join(" ".join(f"{number:6.3f}" for number in row) for row in rows))


def whole_search(problem: str) -> RunTables:
    tables = {path.stem: pd.read_parquet(path) for path in (HERE / problem).glob("*.parquet")}
    return RunTables(name=problem, spec=load_spec(HERE / f"{problem}.yaml"), tables=tables)


def policies_of(problem: str, orders: int) -> dict[str, list[Outcome]]:
    """By policy, the outcome of each method."""
    run = whole_search(problem)
    lookups = [curves for curves in curves_of(run) if isinstance(curves, Curves)]
    panel = judged(run.spec, lookups, orders=orders)
    of_policies = zip(panel.policies, zip(*panel.outcomes, strict=True), strict=True)
    return {f"{p.name}, {p.trials(30)} trials of {p.seeds}": list(outcomes) for p, outcomes in of_policies}


def told(outcomes: list[Outcome]) -> tuple[float, ...]:
    def mean(numbers: list[float]) -> float:
        return sum(numbers) / len(numbers)

    near = [outcome.near for outcome in outcomes]
    losses = (mean([getattr(outcome, loss).mean for outcome in outcomes]) for loss in ("val_loss", "test_loss"))
    return mean([outcome.share.mean for outcome in outcomes]), mean(near), min(near), *losses


def beside(run: str, problem: str) -> None:
    """Of each method: what the search spent and lost, and what its replays do, in random orders and in its own."""
    spec, tables = RunDir(run).read_spec(), load_results(Location.of(run))
    selected = select_best(tables["trials"])
    epochs = tables["epochs"].drop_duplicates(["trial", "seed", "epoch"])
    policy = Policy(scheduler=spec.scheduler, seeds=len(spec.seeds))
    print(f"{policy.name}: share of epochs, val loss, test loss; of replays the means, and the shares' middle 95 %")
    for curves in curves_of(whole_search(problem)):
        replayed = replay(curves, policy, random_orders(curves, ORDERS), WORKERS)
        in_order = Orders(configs=np.arange(len(curves.trials))[None], seeds=np.arange(len(curves.seeds))[None])
        own = replay(curves, policy, in_order, WORKERS)
        low, high = np.quantile(replayed.spent / curves.trained.sum(), [0.025, 0.975])
        chosen = curves.trials.index(selected[curves.method])
        test = curves.test.mean(axis=1)
        spent = (epochs["trial"].str.rpartition("-")[0] == curves.method).sum()
        found = (
            (spent, curves.final[curves.winner] - curves.final[chosen], test[curves.winner] - test[chosen]),
            (own.spent.mean(), own.val_loss.mean(), own.test_loss.mean()),
            (replayed.spent.mean(), replayed.val_loss.mean(), replayed.test_loss.mean()),
        )
        for what, (cost, *losses) in zip(("searched", "replayed in its order", "replayed"), found, strict=True):
            share = cost / curves.trained.sum()
            between = f", {low:.3f} to {high:.3f}" * (what == "replayed")
            print(f"{curves.method:<16} {what:<24} {share:.3f} {losses[0]:6.3f} {losses[1]:6.3f}{between}")


def keep(run: str, problem: str) -> None:
    """What replays read, and nothing of the machine."""
    tables = load_results(Location.of(run))
    (HERE / problem).mkdir(exist_ok=True)
    trials = tables["trials"].drop(columns=["node", "checkpoint", "features"]).dropna(axis="columns", how="all")
    epochs = tables["epochs"].query("split == 'val'")
    groups = tables["groups"].query("split in ('val', 'test')")
    for name, rows in {"trials": trials, "epochs": epochs, "groups": groups, "dfr": tables["dfr"]}.items():
        rows.to_parquet(HERE / problem / f"{name}.parquet", index=False, compression="zstd")


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        keep(*sys.argv[2:])
    elif sys.argv[1:2] == ["beside"]:
        beside(*sys.argv[2:])
    else:
        main()
