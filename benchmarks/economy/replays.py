"""What smaller searches of two problems would have found: python benchmarks/economy/replays.py [ORDERS]

The problems are searches of four methods by 30 random configs of 3 seeds, each trained to its end: ``digits.yaml``, and
``coloured_mnist.yaml``, whose pictures ``coloured_mnist.py`` makes. What replays need of their tables is kept beside
this file, so that nothing is trained; ``replays.py keep RUN PROBLEM`` takes it from a new run.

Of each policy: the epochs that it spends, as a share of the whole search's; how often it ends within a standard error
of the winner; what it loses on val and on test. Means over the methods; the second column is of the worst method's.
"""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from scale_tune.analysis.entries import RunTables
from scale_tune.economy.lookup import Curves, curves_of
from scale_tune.economy.panel import ORDERS, Outcome, judged
from scale_tune.spec.loading import load_spec
from scale_tune.storage.location import Location
from scale_tune.tables.collect import load_results

HERE = Path(__file__).parent
PROBLEMS = ("digits", "coloured_mnist")


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS
    found = {problem: policies_of(problem, orders) for problem in PROBLEMS}
    print(f"{orders:,} orders; {' | '.join(PROBLEMS)}: share of epochs, near, near of the worst, val loss, test loss")
    names = list(found[PROBLEMS[0]])
    for name in sorted(names, key=lambda name: told(found[PROBLEMS[0]][name])[0]):
        rows = (told(found[problem][name]) for problem in PROBLEMS)
        print(f"{name:<44}", " | ".join(" ".join(f"{number:6.3f}" for number in row) for row in rows))


def policies_of(problem: str, orders: int) -> dict[str, list[Outcome]]:
    """By policy, the outcome of each method."""
    tables = {path.stem: pd.read_parquet(path) for path in (HERE / problem).glob("*.parquet")}
    run = RunTables(name=problem, spec=load_spec(HERE / f"{problem}.yaml"), tables=tables)
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
    else:
        main()
