"""The section on groups: how accurate each method is on each evaluation group, then on each cell; refits too."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from scale_tune.analysis.comparison import dataset_names
from scale_tune.analysis.counts import rows_of_trial
from scale_tune.analysis.entries import Entry, RunTables, entries
from scale_tune.analysis.selection import leading
from scale_tune.report.html.data import Analysis, in_order
from scale_tune.report.html.markup import Column, PrintedTable
from scale_tune.report.html.parts import Section, label
from scale_tune.report.html.style import looks_of


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A method as it was judged on one kind of data."""

    method: str
    trial: str
    """Its name, or what stands for it; whether it counts is said besides."""
    dataset: str
    """Empty if the run has one kind of data."""
    split: str
    """Test; val if it was not judged on that."""
    cells: pd.DataFrame
    """The rows of ``groups`` of this split."""


def judged(analysed: Analysis) -> list[Judged]:
    """Every method and refit of the run, in the order of the comparison.

    One without a selectable trial is the best so far, at the end.
    """
    run = RunTables(name=analysed.name, spec=analysed.spec, tables=dict(analysed.tables))
    found = entries([run])
    names = dataset_names(found)
    several = len(names) > 1
    shown = [
        _judged(entry.method, entry.trial or "no trial", names[entry.data] * several, rows_of(entry))
        for entry in found
        if entry.measured
    ]
    for method, trial, selected in leading(run.tables["trials"]).itertuples(index=False):
        rows = rows_of_trial(run.tables["groups"], trial)
        if not selected and len(rows):
            shown.append(_judged(method, label(trial, selected), "", rows))
    return [each for dataset in in_order(each.dataset for each in shown) for each in shown if each.dataset == dataset]


def rows_of(entry: Entry) -> pd.DataFrame:
    """The rows of ``groups`` that an entry was measured by."""
    groups = entry.run.tables["groups"]
    if entry.protocol is None:
        return rows_of_trial(groups, str(entry.trial))
    of_protocol = groups[groups["protocol"] == entry.protocol]
    if entry.trial is not None:
        return of_protocol[of_protocol["trial"] == entry.trial]
    return of_protocol[
        of_protocol["trial"].isna() & of_protocol["fingerprint"].isin(entry.measured["val"].fingerprints)
    ]


def _judged(method: str, trial: str, dataset: str, rows: pd.DataFrame) -> Judged:
    split = "test" if (rows["split"] == "test").any() else "val"
    cells = rows[rows["split"] == split]
    return Judged(method=method, trial=trial, dataset=dataset, split=split, cells=cells)


def evaluation_groups(shown: Sequence[Judged]) -> pd.DataFrame:
    """The accuracy on each evaluation group at the best epochs: its mean over seeds, and how these spread.

    Returns:
        A row per method, kind of data and group, with columns ``method``, ``trial``, ``dataset``, ``split``, ``group``,
        ``n`` (images of one seed), ``mean``, ``std`` and ``worst`` (whether it is the method's lowest mean). A group
        without images has no row.
    """
    frames = []
    for each in shown:
        of_seed = each.cells.assign(seed=each.cells["seed"].fillna(-1)).groupby(["evaluation_group", "seed"])
        sums = of_seed[["n", "correct"]].sum()
        sums = sums[sums["n"] > 0]
        found = (sums["correct"] / sums["n"]).groupby("evaluation_group").agg(["mean", "std"]).reset_index()
        found = found.rename(columns={"evaluation_group": "group"})
        found["n"] = sums["n"].groupby("evaluation_group").first().to_numpy()
        found["worst"] = found.index == (found["mean"].idxmin() if len(found) else None)
        of = {"method": each.method, "trial": each.trial, "dataset": each.dataset, "split": each.split}
        frames.append(found.assign(**of))
    columns = ["method", "trial", "dataset", "split", "group", "n", "mean", "std", "worst"]
    return pd.concat([pd.DataFrame(columns=columns), *frames], ignore_index=True)[columns]


def cells(each: Judged) -> pd.DataFrame:
    """The accuracy on each cell at the best epochs, the seeds pooled.

    Returns:
        Columns ``label``, ``attribute``, ``n`` (of one seed) and ``accuracy``, which a cell without images lacks.
    """
    sums = each.cells.groupby(["label", "attribute"])[["n", "correct"]].sum().reset_index()
    sums["accuracy"] = (sums["correct"] / sums["n"]).where(sums["n"] > 0)
    sums["n"] = sums["n"] // max(1, each.cells["seed"].nunique(dropna=False))
    return sums[["label", "attribute", "n", "accuracy"]]


def section(analysed: Analysis) -> Section:
    """A table of the evaluation groups; those of the cells are to be unfolded."""
    shown = judged(analysed)
    title = "Accuracy by group"
    if not shown:
        return Section(id="groups", title=title, lead="No trial has been evaluated yet.")
    rows = evaluation_groups(shown)
    tables = [
        _groups_table(f"groups-{split}-table", of_split, analysed)
        for split, of_split in rows.groupby("split", sort=False)
    ]
    folded = []
    for split in rows["split"].unique():
        of_split = [each for each in shown if each.split == split]
        folded += [_cells_table(split, of_split), _counts_table(split, of_split)]
    lead = (
        "Each method’s accuracy on each evaluation group at the seeds’ best epochs, mean ± standard deviation over "
        "seeds; n is the number of images. The darker, the lower, on a scale from 0 to 1; a method’s worst group is "
        "framed. Below, to be unfolded, the same of each cell, label (down) by attribute (across), the seeds pooled."
    )
    return Section(id="groups", title=title, lead=lead, tables=tables, folded=folded)


def _groups_table(id_: str, rows: pd.DataFrame, analysed: Analysis) -> PrintedTable:
    looks = looks_of(analysed)
    of_group = {group: f"group.{group}" for group in dict.fromkeys(rows["group"])}
    found = []
    for (dataset, method, trial), of in rows.groupby(["dataset", "method", "trial"], sort=False):
        row = {"dataset": dataset, "method": method, "trial": trial, "look": looks[str(method)]}
        row |= {"key": f"{method} · {dataset}" if dataset else method}
        for each in of.itertuples():
            column = of_group[each.group]
            row |= {f"{column}_mean": each.mean, f"{column}_std": each.std}
            row |= {"worst": column} if each.worst else {}
        found.append(row)
    columns = [
        Column("method", "method", "method"),
        *(
            Column(column, f"{group} ({_sizes(rows[rows['group'] == group]['n'])})", "heat")
            for group, column in of_group.items()
        ),
        Column("trial", "trial"),
    ]
    heading = "dataset" if rows["dataset"].any() else None
    caption = f"Accuracy on the evaluation groups of {rows['split'].iloc[0]}"
    return PrintedTable(id_, caption, columns, pd.DataFrame(found), "key", heading)


def _sizes(n: pd.Series) -> str:
    """As ``n 500``, or ``n 480 to 500`` where kinds of data or methods differ."""
    return "n " + " to ".join(dict.fromkeys(f"{each:,}" for each in (n.min(), n.max())))


def _cells_table(split: str, shown: Sequence[Judged]) -> PrintedTable:
    frames = []
    for each in shown:
        table = cells(each).pivot(index="label", columns="attribute", values="accuracy")
        table.columns = [f"attribute {column}_mean" for column in table.columns]
        on = f" on {each.dataset}" * bool(each.dataset)
        heading = f"{each.method} ({each.trial}){on}"
        frames.append(table.reset_index().assign(heading=heading, key=[f"{heading}, {row}" for row in table.index]))
    rows = pd.concat(frames, ignore_index=True)
    names = [column.removesuffix("_mean") for column in rows.columns if column.endswith("_mean")]
    columns = [Column("label", "label", "value"), *(Column(name, name, "heat") for name in names)]
    caption = f"Accuracy on each cell of {split}"
    return PrintedTable(f"cells-{split}-table", caption, columns, rows, "key", "heading")


def _counts_table(split: str, shown: Sequence[Judged]) -> PrintedTable:
    frames = []
    for dataset in dict.fromkeys(each.dataset for each in shown):
        first = next(each for each in shown if each.dataset == dataset)
        table = cells(first).pivot(index="label", columns="attribute", values="n")
        table.columns = [f"attribute {column}" for column in table.columns]
        key = [f"{dataset}, {row}" if dataset else str(row) for row in table.index]
        frames.append(table.reset_index().assign(dataset=dataset, key=key))
    rows = pd.concat(frames, ignore_index=True)
    names = [column for column in rows.columns if str(column).startswith("attribute ")]
    columns = [Column("label", "label", "value"), *(Column(name, name, "integer") for name in names)]
    heading = "dataset" if rows["dataset"].any() else None
    return PrintedTable(f"cells-{split}-counts", f"Images in each cell of {split}", columns, rows, "key", heading)
