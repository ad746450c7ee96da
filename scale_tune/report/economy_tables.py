"""What a search cost, and what smaller ones would have found, for a terminal."""

import math
from collections.abc import Iterator

from rich import box
from rich.table import Table

from scale_tune.economy.bands import band
from scale_tune.economy.budgets import Drawn, expected
from scale_tune.economy.findings import Economy
from scale_tune.economy.panel import Outcome, Panel
from scale_tune.economy.policy import Policy
from scale_tune.spec.scheduler import SchedulerSpec

MOST = 6
"""Lookups that have a table each; of more, the recommended policy alone is told, a row for each."""
WORST = 0.05
"""Of the loss on val: what loses more is of no interest, however little it costs."""
SHOWN = 6
"""Epochs, and numbers of trials, for which there is room."""
DEFAULT = Policy(scheduler=SchedulerSpec(), seeds=1).name
"""The scheduler of a search space that names none, which is always told."""


def policy_tables(panel: Panel) -> Iterator[Table]:
    """A table for each method and kind of data, with the policies that matter; the cheapest last.

    Those are the whole search, the ones that are best at their price, the recommended one, and the package's default.
    """
    timed = panel.workers > 1
    if len(panel.outcomes) > MOST:
        table = _table(f"{panel.policies[panel.recommended].name}, the recommended policy", "method", timed=timed)
        for outcomes in panel.outcomes:
            outcome = outcomes[panel.recommended]
            about = f"{outcome.curves.method} on {outcome.curves.dataset}"
            table.add_row(about, *_cells(outcome, timed=timed))
        yield table
        return
    for outcomes, front in zip(panel.outcomes, panel.fronts, strict=True):
        shown = {0, panel.recommended, *(i for i in front if outcomes[i].val_loss.mean <= WORST)}
        shown |= {i for i, policy in enumerate(panel.policies) if policy.name == DEFAULT and _is_whole(panel, i)}
        curves = outcomes[0].curves
        table = _table(f"{curves.method} on {curves.dataset}: {outcomes[0].orders:,} orders", "policy", timed=timed)
        for i in sorted(shown, key=lambda i: -outcomes[i].share.mean):
            name = outcomes[i].policy.name + " ← recommended" * (i == panel.recommended)
            table.add_row(name, *_cells(outcomes[i], timed=timed))
        yield table


def fidelity_table(found: Economy) -> Table:
    """How well early epochs foretell the end, a row for each method and kind of data."""
    table = _plain("rank correlation of the objective after an epoch with that at the end [95 % interval]")
    table.add_column("method")
    shown = _doubling(max(ranks.epochs for _, ranks in found.ranks) - 1)
    for epoch in shown:
        table.add_column(f"epoch {epoch}", justify="right")
    table.add_column("winner in the best\nthird from epoch", justify="right")
    for curves, ranks in found.ranks:
        cells = [
            _with_interval(ranks.correlation[e - 1], ranks.low[e - 1], ranks.high[e - 1], 2) if e < ranks.epochs else ""
            for e in shown
        ]
        table.add_row(_about(found, curves.method, curves.dataset), *cells, str(ranks.visible_from(3)))
    return table


def budget_table(found: Economy) -> Table:
    """What searches of so many random trials find on average, a row for each method and kind of data."""
    table = _plain(
        "expected after so many random trials: best on val [95 % interval], and its test; ± of half the trials"
    )
    table.add_column("method")
    shown = _doubling(max(drawn.trials for _, drawn in found.draws))
    for n in shown:
        table.add_column(f"{n} trial{'s' * (n != 1)}", justify="right")
    table.add_column("± over searches,\nover seeds", justify="right")
    for curves, drawn in found.draws:
        cells = [_expected(drawn, n) if n <= drawn.trials else "" for n in shown]
        half = expected(drawn, max(1, drawn.trials // 2))
        seeds = "–" if half.val_over_seeds is None else f"{half.val_over_seeds:.3f}"
        table.add_row(_about(found, curves.method, curves.dataset), *cells, f"{half.val_over_searches:.3f}, {seeds}")
    return table


def _expected(drawn: Drawn, n: int) -> str:
    of, interval = expected(drawn, n), band(drawn, n, "val")
    return f"{_with_interval(of.val, interval.low, interval.high, 3)}\ntest {of.test:.3f}"


def _doubling(most: int) -> list[int]:
    """1, 2, 4, … up to the largest, which ends it: at most six."""
    shown = [2**i for i in range(most.bit_length()) if 2**i < most] + [most] * (most > 0)
    return shown if len(shown) <= SHOWN else [*shown[: SHOWN - 1], most]


def _with_interval(value: float, low: float | None, high: float | None, digits: int) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" + ("" if low is None or high is None else f"\n[{low:.2f}, {high:.2f}]")


def _about(found: Economy, method: str, dataset: str) -> str:
    datasets = {curves.dataset for curves, _ in found.ranks}
    return f"{method} on {dataset}" if len(datasets) > 1 else method


def _plain(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _is_whole(panel: Panel, number: int) -> bool:
    policy = panel.policies[number]
    return policy.part == 1 and policy.seeds == len(panel.spec.seeds)


def _table(title: str, first: str, *, timed: bool) -> Table:
    table = _plain(title)
    table.add_column(first)
    for name in ("trials", "seeds", "epochs", *(["time"] if timed else [])):
        table.add_column(name, justify="right")
    for name in ("winner\nfound", "within\n1 s.e.", "loss\non val", "loss\non test"):
        table.add_column(name, justify="right")
    return table


def _cells(outcome: Outcome, *, timed: bool) -> list[str]:
    return [
        str(outcome.policy.trials(len(outcome.curves.trials))),
        str(outcome.policy.seeds),
        f"{outcome.share.mean:.2f}",
        *([f"{outcome.time:.2f}"] if timed else []),
        f"{outcome.found:.2f}",
        "–" if outcome.near is None else f"{outcome.near:.2f}",
        _loss(outcome.val_loss.mean),
        _loss(outcome.test_loss.mean),
    ]


def _loss(value: float) -> str:
    return f"{value + 0.0:.3f}".replace("-0.000", "0.000")
