"""The section of all trials: a table whose rows open."""

import json

import plotly.graph_objects as go

from scale_tune.report.html import data
from scale_tune.report.html.again import note
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.opened import DIGITS, Opened, accuracies, opened
from scale_tune.report.html.packing import packed
from scale_tune.report.html.parts import DASHES as DASHED
from scale_tune.report.html.parts import Section, words
from scale_tune.report.html.style import DASHES, PANEL, looks_of, styled
from scale_tune.report.html.swatches import shade_class


def section(analysed: Analysis) -> Section:
    """The table of all trials, to be unfolded, and what each of its rows opens to."""
    trials = analysed.tables["trials"]
    if trials.empty:
        return Section(id="trials", title="All trials", lead="There are none.")
    columns = [
        Column("trial", "trial"),
        Column("state", "state"),
        Column("objective", "objective", "accuracy"),
        Column("epochs", "epochs", "integer"),
        *(Column(f"config.{name}", name, "value") for name in data.parameters(analysed.spec)),
        Column("val_worst_group", "validation worst-group", "estimate"),
        Column("test_worst_group", "test worst-group", "estimate"),
        Column("seeds", "seeds", "integer"),
        Column("diverged", "diverged", "integer"),
        Column("seconds", "seconds", "seconds"),
    ]
    found = opened(analysed)
    return Section(
        id="trials",
        title="All trials",
        lead="Every trial of the run, also in trials.parquet with all its columns. A click on a trial opens its "
        f"curves, its config, its error, and the command that trains it again.{_left_out(found)}",
        folded=[PrintedTable("trials-table", f"The {len(trials):,} trials", columns, trials, "trial")],
        details={"opened": packed(_json(analysed, found))},
    )


def _json(analysed: Analysis, found: Opened) -> str:
    """What ``trials.js`` draws."""
    looks = {method: look for method, look in looks_of(analysed).items() if method in analysed.spec.methods}
    layout = json.loads(styled(go.Figure(), PANEL).to_json())["layout"]
    content = {
        "trials": found.trials,
        "without": found.left_out,
        "metrics": [("loss", "loss"), *((each, f"{words(each)} accuracy") for each in accuracies(analysed))],
        "digits": DIGITS,
        "note": note(analysed),
        "layout": layout | {"template": None},
        "shades": {method: shade_class(look) for method, look in looks.items()},
        "symbols": {method: look.symbol for method, look in looks.items()},
        "dashes": DASHES,
        "dashed": DASHED,
    }
    return json.dumps(content, separators=(",", ":"))


def _left_out(found: Opened) -> str:
    """Said of what the page has no room for."""
    if not found.left_out:
        return ""
    kept = sum(trial["curves"] is not None for trial in found.trials.values())
    return (
        f" The curves of all would make this page too large: it has those of {kept:,}, the best of each method; those "
        f"of the other {len(found.left_out):,} are in epochs.parquet."
    )
