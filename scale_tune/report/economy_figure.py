"""The figure of policies: what each costs against what it loses, a panel for each method and kind of data."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scale_tune.economy.panel import Outcome, Panel
from scale_tune.economy.policy import Policy
from scale_tune.report.drawing import COLOURS, arranged, figure_files

KINDS = ("to the end", "asha", "hyperband", "median", "race of seeds")
"""Of policies, each with a colour and a marker."""
MARKERS = "sovDP"


def policy_figure(panel: Panel) -> dict[str, bytes]:
    """By format: a mark for each policy, hollow if it has fewer seeds or trials, and a line through the best ones."""

    def draw() -> Figure:
        figure, axes = arranged(len(panel.outcomes), 3.4, 2.8)
        for axis, outcomes, front in zip(axes, panel.outcomes, panel.fronts, strict=True):
            _draw(axis, panel, outcomes, front)
        for axis in axes[::3]:
            axis.set_ylabel("mean loss on val")
        for axis in axes[-3:]:
            axis.set_xlabel("share of the epochs")
            axis.tick_params(labelbottom=True)
        figure.legend(handles=_legend(panel), loc="outside right center", frameon=False)
        return figure

    return figure_files(draw)


def kind_of(policy: Policy) -> str:
    """One of :data:`KINDS`."""
    name = "to the end" if policy.scheduler.name == "none" else policy.scheduler.name
    return "race of seeds" if policy.is_race else name


def _draw(axis: Axes, panel: Panel, outcomes: list[Outcome], front: set[int]) -> None:
    best = sorted((outcomes[i] for i in front), key=lambda outcome: outcome.share.mean)
    axis.plot([o.share.mean for o in best], [o.val_loss.mean for o in best], color="#888888", linewidth=1, zorder=1)
    for i, outcome in enumerate(outcomes):
        look = KINDS.index(kind_of(outcome.policy))
        whole = outcome.policy.part == 1 and outcome.policy.seeds == len(panel.spec.seeds)
        axis.plot(
            [outcome.share.mean],
            [outcome.val_loss.mean],
            marker=MARKERS[look],
            color=COLOURS[look],
            markerfacecolor=COLOURS[look] if whole else "white",
            markersize=4,
        )
        if i == panel.recommended:
            place = (outcome.share.mean, outcome.val_loss.mean)
            axis.plot([place[0]], [place[1]], marker="o", color="black", markersize=10, markerfacecolor="none")
    axis.set_title(f"{outcomes[0].curves.method} on {outcomes[0].curves.dataset}")


def _legend(panel: Panel) -> list[Line2D]:
    there = {kind_of(policy) for policy in panel.policies}
    handles = [
        Line2D([], [], label=kind, color=COLOURS[i], marker=MARKERS[i], markersize=4, linestyle="")
        for i, kind in enumerate(KINDS)
        if kind in there
    ]
    hollow: dict[str, Any] = {"color": "black", "marker": "o", "linestyle": "", "markerfacecolor": "white"}
    handles.append(Line2D([], [], label="fewer trials or seeds", markersize=4, **hollow))
    handles.append(Line2D([], [], label="recommended", markersize=10, **(hollow | {"markerfacecolor": "none"})))
    handles.append(Line2D([], [], label="least loss at its price", color="#888888", linewidth=1))
    return handles
