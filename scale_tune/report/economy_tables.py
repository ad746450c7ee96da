"""What policies cost and find, for a terminal."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from scale_tune.economy.panel import Outcome, Panel

MOST = 6
"""Lookups that have a table each; of more, the recommended policy alone is told, a row for each."""
DEFAULT = "asha 1/3"
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
        shown = {0, panel.recommended, *front}
        shown |= {i for i, policy in enumerate(panel.policies) if policy.name == DEFAULT and _is_whole(panel, i)}
        curves = outcomes[0].curves
        table = _table(f"{curves.method} on {curves.dataset}: {outcomes[0].orders:,} orders", "policy", timed=timed)
        for i in sorted(shown, key=lambda i: -outcomes[i].share.mean):
            name = outcomes[i].policy.name + " ← recommended" * (i == panel.recommended)
            table.add_row(name, *_cells(outcomes[i], timed=timed))
        yield table


def _is_whole(panel: Panel, number: int) -> bool:
    policy = panel.policies[number]
    return policy.part == 1 and policy.seeds == len(panel.spec.seeds)


def _table(title: str, first: str, *, timed: bool) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
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
