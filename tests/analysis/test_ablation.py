"""Pivots of grids made by hand: every cell is there, also what is missing, and test chooses nothing."""

import math
import re

import pandas as pd
import pyarrow.parquet as pq
import pytest

from scale_tune.analysis.ablation import ablate
from scale_tune.analysis.arms import Registered
from scale_tune.errors import UserError
from scale_tune.spec.config import DfrProtocol
from scale_tune.tables.schemas import GONE
from tests.support.ablations import (
    ARMS,
    REGISTERED,
    SIZES,
    STRENGTHS,
    changed,
    counts_of,
    grid_ablation,
    grid_run,
    grid_trials,
    refit,
)
from tests.support.tables import make_spec, make_tables, poisoned, trial

NOISE, STRENGTH = "config.dataset.noise", "config.dataset.spurious_strength"
SPEC = {
    "methods": {"erm": {}, "scale": {"space": {"regularize_mode": {"type": "choice", "values": ["linear", "step"]}}}},
    "space": {
        "dataset.noise": {"type": "choice", "values": [0.5, 0.1]},
        "dataset.spurious_strength": {"type": "choice", "values": [0.9, 0.95, 1.0]},
    },
    "sampler": "grid",
}


def cell(name, noise, strength, val, test=None, **values) -> dict:
    """A trial whose accuracies on val are ``val`` and on test ``test``, with a deviation of a hundredth of them."""
    row = trial(name, val, **{NOISE: noise, STRENGTH: strength})
    for column in row:
        if column.endswith(("_mean", "_std")):
            mean = (val if test is None else test) if column.startswith("test") else val
            row[column] = mean if column.endswith("_mean") else mean / 100
    return row | values


@pytest.fixture(scope="module")
def run():
    erm = [cell(f"erm-{i}", n, s, 0.1 * i) for i, (n, s) in enumerate((n, s) for n in (0.5, 0.1) for s in (0.9, 0.95))]
    erm[1] |= {"state": "failed"}
    erm[2] |= {"diverged": 1, "seeds": 2}
    erm += [cell("erm-4", 0.1, 1.0, 0.7, state="pruned")]
    mode = "config.regularize_mode"
    scale = [
        cell("scale-0", 0.5, 0.9, 0.6, 0.2, **{mode: "linear"}),
        cell("scale-1", 0.5, 0.9, 0.5, 0.9, **{mode: "step"}),
    ]
    return make_tables(erm + scale, spec=make_spec(**SPEC))


def test_a_cell_is_the_trial_of_its_two_values(run):
    erm = ablate(run, "noise", "spurious_strength").panels[0]
    assert (erm.name, erm.rows, erm.cols) == ("erm", [0.1, 0.5], [0.9, 0.95, 1.0])
    found = erm.at(0.1, 0.95)
    assert (found.trial, found.seeds, found.mean, found.std) == (
        "erm-3",
        3,
        pytest.approx(0.3),
        pytest.approx(0.003),
    )
    assert [erm.at(row, col).trials for row in erm.rows for col in erm.cols] == [1, 1, 1, 1, 1, 0]


def test_every_missing_cell_is_there_with_its_reason(run):
    found = ablate(run, "noise", "spurious_strength")
    erm = found.panels[0]
    reasons = {(row, col): erm.at(row, col).missing for row in erm.rows for col in erm.cols}
    missing = {at: reason for at, reason in reasons.items() if isinstance(reason, str)}
    assert missing == {
        (0.5, 0.95): "failed",
        (0.1, 0.9): "a seed diverged",
        (0.1, 1.0): "pruned",
        (0.5, 1.0): "no trial",
    }
    for at in missing:
        assert (erm.at(*at).mean, erm.at(*at).seeds) == (None, 0)
    assert "erm: missing (failed): noise=0.5 spurious_strength=0.95" in found.notes


def test_of_trials_that_share_a_cell_the_best_on_val_is_shown_and_said_to_be(run):
    found = ablate(run, "noise", "spurious_strength")
    shared = found.panels[1].at(0.5, 0.9)
    assert (shared.trial, shared.trials, shared.mean) == ("scale-0", 2, 0.2)
    assert found.notes[-1] == (
        "scale: up to 2 trials share a cell, which differ in regularize_mode; "
        "shown is the one with the best validation objective"
    )


@pytest.mark.parametrize("poison", [math.nan, 1e9, -1e9])
def test_cells_are_not_chosen_by_test(run, poison):
    shown = ablate(run, "noise", "spurious_strength", "val_worst_group").table
    assert ablate(poisoned(run, poison), "noise", "spurious_strength", "val_worst_group").table.equals(shown)


def test_by_gives_each_value_a_grid_of_its_own(run):
    found = ablate(run, "noise", "spurious_strength", by="regularize_mode", registered=REGISTERED)
    assert [panel.name for panel in found.panels] == ["erm", "scale", "scale_step"]
    assert [panel.at(0.5, 0.9).trial for panel in found.panels[1:]] == ["scale-0", "scale-1"]
    assert not any("share a cell" in note for note in found.notes)


@pytest.mark.parametrize(
    ("default", "names"),
    [("step", ["erm", "scale_linear", "scale"]), (None, ["erm", "scale_linear", "scale_step"])],
)
def test_the_value_at_the_methods_default_is_called_by_its_name_alone(run, default, names):
    registered = Registered(defaults={"scale": {"regularize_mode": default}} if default else {})
    found = ablate(run, "noise", "spurious_strength", by="regularize_mode", registered=registered)
    assert [panel.name for panel in found.panels] == names


def test_by_a_shared_parameter_gives_dfr_and_every_method_a_grid_for_each_value():
    lr = {"type": "choice", "values": [0.01, 0.1]}
    run = grid_run(space={**grid_run().spec.model_dump(mode="json")["space"], "lr": lr})
    names = [panel.name for panel in grid_ablation(run, by="lr").panels]
    assert names == [f"{m}_{v}" for m in ("erm", "erm_target", "scale", "dfr") for v in (0.01, 0.1)] + [ARMS[-1]]


@pytest.mark.parametrize("prefix", ["", "dataset.", "config.dataset."])
def test_names_are_taken_with_and_without_prefix(run, prefix):
    found = ablate(run, f"{prefix}noise", f"{prefix}spurious_strength")
    assert (found.axes.rows, found.axes.cols) == ("noise", "spurious_strength")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nois", "spurious_strength"), "--rows: the run has no parameter 'nois'; did you mean 'noise'"),
        (("noise", "config.dataset.strength"), "did you mean 'spurious_strength'"),
        (("noise", "noise"), "--rows, --cols must name different parameters"),
        (("noise", "spurious_strength", "test_worst"), "did you mean 'test_worst_group'"),
        (("noise", "spurious_strength", "val_average", "mode"), "--by: the run has no parameter 'mode'"),
        (("error", "spurious_strength"), "--rows: the run has no parameter 'error'"),
    ],
)
def test_what_the_run_lacks_is_an_error_with_the_nearest_name(run, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        ablate(run, *arguments)


def test_a_method_without_the_parameter_is_left_out_and_said_to_be(run):
    found = ablate(run, "noise", "regularize_mode")
    assert [panel.name for panel in found.panels] == ["scale"]
    assert found.panels[0].cols == ["linear", "step"], "words keep the order of the space"
    assert found.notes[0] == "erm is left out: it has no regularize_mode"


def test_constants_and_what_the_space_does_not_name_have_the_values_of_the_trials(run):
    panel = ablate(run, "lr", "noise").panels[0]
    assert panel.rows == [0.01]
    assert panel.at(0.01, 0.1).trial == "erm-3"


def test_a_run_without_trials_is_all_missing():
    found = ablate(make_tables([], spec=make_spec(**SPEC)), "noise", "spurious_strength")
    assert set(found.table["missing"].to_pylist()) == {"no trial"}


def test_the_metric_is_the_objective_on_test_unless_another_is_asked_for(run):
    assert ablate(run, "noise", "spurious_strength").metric == "test_worst_group"
    assert grid_ablation(grid_run()).metric == "test_minority"


def test_the_table_is_tidy_and_survives_parquet_and_pandas(run, tmp_path):
    table = ablate(run, "noise", "spurious_strength").table
    pq.write_table(table, tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").equals(table.schema, check_metadata=True)
    for field in table.schema:
        assert field.metadata[b"meaning"]
    pivot = pd.read_parquet(tmp_path / "a.parquet").query("method == 'erm'")
    pivot = pivot.pivot(index="noise", columns="spurious_strength", values="mean")
    assert pivot.shape == (2, 3)
    assert pivot.loc[0.1, 0.95] == pytest.approx(0.3)


def test_a_two_by_two_grid_has_all_six_in_every_cell():
    found = grid_ablation(grid_run())
    assert [panel.name for panel in found.panels] == ARMS
    for panel in found.panels:
        assert (panel.rows, panel.cols) == (STRENGTHS, SIZES)
        for (strength, size), cell in panel.cells.items():
            right = counts_of(panel.name, strength, size)
            pretrained = panel.name == "dfr_pretrained"
            assert cell.missing is None
            assert cell.seeds == (1 if pretrained else 3)
            assert cell.mean == pytest.approx((right[0] if pretrained else right[1]) / 100)
            assert cell.std == (None if pretrained else pytest.approx(0.01))
            assert (cell.trial is None) is pretrained
    assert found.notes == []
    assert set(found.table["method"].to_pylist()) == set(ARMS)
    assert found.table.num_rows == 24


def test_dfr_names_the_erm_trial_of_its_cell():
    run = grid_run()
    of_dfr = grid_ablation(run).panel("dfr", "")
    of_erm = grid_ablation(run).panel("erm", "")
    assert {at: cell.trial for at, cell in of_dfr.cells.items()} == {at: c.trial for at, c in of_erm.cells.items()}


@pytest.fixture
def shared_cell():
    """Of the first cell a second erm trial, worse than the first as it was trained, better once it is refitted."""
    trials, groups, dfr = grid_trials()
    first = trials[0]
    trials.append({**first, "trial": "erm-00009", "number": 9, "objective": 0.05})
    dfr += [refit("erm-00009", seed, 0.6, first["fingerprint"]) for seed in range(3)]
    return trials, groups, dfr, make_tables(trials, groups, dfr, spec=grid_run().spec)


def dfr_cell(run):
    return grid_ablation(run).panel("dfr", "").at(STRENGTHS[0], SIZES[0])


def test_dfr_shows_the_trial_whose_refits_are_best_on_val_not_the_one_that_trained_best(shared_cell):
    run = shared_cell[-1]
    assert (dfr_cell(run).trial, dfr_cell(run).mean, dfr_cell(run).trials) == ("erm-00009", 0.6, 2)
    assert grid_ablation(run).panel("erm", "").at(STRENGTHS[0], SIZES[0]).trial == "erm-00000"


def test_a_trial_without_every_seed_refitted_does_not_stand_for_dfr(shared_cell):
    trials, groups, dfr, _ = shared_cell
    run = make_tables(trials, groups, dfr[:-1], spec=grid_run().spec)
    assert dfr_cell(run).trial == "erm-00000"
    assert dfr_cell(run).remark == "1 of 2 trials left out: refitted for 2 of 3 seeds"
    note = "dfr: 1 of 2 trials left out: refitted for 2 of 3 seeds: spurious_strength=0.95 val_target_size=1000"
    assert note in grid_ablation(run).notes


@pytest.mark.parametrize("poison", [math.nan, 1e9, -1e9])
def test_no_arm_is_chosen_by_test(shared_cell, poison):
    run = shared_cell[-1]
    whole = grid_ablation(run, metric="val_minority").table
    assert grid_ablation(poisoned(run, poison), metric="val_minority").table.equals(whole)
    if not math.isnan(poison):
        shown = grid_ablation(poisoned(run, poison)).table
        assert shown["trial"].equals(whole["trial"])
        assert set(shown["mean"].to_pylist()) == {poison}


def without_refits(run, of):
    dfr = run.tables["dfr"]
    return changed(run, dfr=dfr[~of(dfr)])


@pytest.mark.parametrize(
    ("change", "arm", "reason"),
    [
        (lambda run: without_refits(run, lambda dfr: dfr["trial"] == "erm-00000"), "dfr", "not refitted yet"),
        (
            lambda run: without_refits(run, lambda dfr: (dfr["trial"] == "erm-00000") & (dfr["seed"] == 1)),
            "dfr",
            "refitted for 2 of 3 seeds",
        ),
        (
            lambda run: without_refits(run, lambda dfr: dfr["fingerprint"] == "0.95 1000"),
            "dfr_pretrained",
            "not refitted yet",
        ),
    ],
)
def test_what_is_not_refitted_is_said_in_its_cell(change, arm, reason):
    found = grid_ablation(change(grid_run()))
    assert found.panel(arm, "").at(0.95, 1000).missing == reason
    assert [cell.missing for cell in found.panel(arm, "").cells.values()].count(None) == 3
    assert any(note.startswith(f"{arm}: missing ({reason}): spurious_strength=0.95") for note in found.notes)


def test_what_is_gone_is_said_in_its_cell():
    run = grid_run()
    dfr = run.tables["dfr"].copy()
    dfr.loc[dfr["trial"] == "erm-00000", "status"] = GONE
    assert grid_ablation(changed(run, dfr=dfr)).panel("dfr", "").at(0.95, 1000).missing == GONE


@pytest.mark.parametrize(
    ("values", "reason"), [({"state": "failed"}, "failed"), ({"diverged": 1, "seeds": 2}, "a seed diverged")]
)
def test_dfr_lacks_what_its_erm_trial_lacks_but_the_baseline_does_not(values, reason):
    trials, groups, dfr = grid_trials()
    trials[0] |= values
    found = grid_ablation(make_tables(trials, groups, dfr, spec=grid_run().spec))
    assert found.panel("dfr", "").at(0.95, 1000).missing == reason
    assert found.panel("dfr_pretrained", "").at(0.95, 1000).mean == 0.46


def test_the_baseline_of_splits_per_seed_is_the_mean_over_the_seeds_of_the_cells_data():
    """``trials`` has a joint fingerprint then, ``groups`` that of each seed."""
    run = grid_run()
    groups, dfr = run.tables["groups"].copy(), run.tables["dfr"]
    own = groups["protocol"].isna()
    data = groups["trial"].map(run.tables["trials"].set_index("trial")["fingerprint"])
    groups.loc[own, "fingerprint"] = (data + " " + groups["seed"].astype(str))[own]
    baseline = dfr[dfr["trial"].isna()]
    rows = [
        {**row, "seed": seed, "fingerprint": f"{row['fingerprint']} {seed}.0", "test_minority": 0.3 + 0.1 * seed}
        for row in baseline.to_dict("records")
        for seed in range(3)
    ]
    dfr = pd.concat([dfr[dfr["trial"].notna()], pd.DataFrame(rows)], ignore_index=True)
    groups["seed"] = groups["seed"].astype(float)
    cell = grid_ablation(changed(run, groups=groups, dfr=dfr)).panel("dfr_pretrained", "").at(0.95, 2000)
    assert (cell.mean, cell.std, cell.seeds) == (pytest.approx(0.4), pytest.approx(0.1), 3)
    assert len(cell.fingerprints) == 3
    partly = grid_ablation(changed(run, groups=groups, dfr=dfr.iloc[:-1])).panel("dfr_pretrained", "")
    assert partly.at(1.0, 2000).missing == "refitted for 2 of 3 seeds"


def test_the_other_protocol_has_its_own_refits():
    found = grid_ablation(grid_run(), protocol=DfrProtocol.DFR)
    assert {cell.missing for cell in found.panel("dfr", "").cells.values()} == {"not refitted yet"}
    assert {cell.missing for cell in found.panel("dfr_pretrained", "").cells.values()} == {"not refitted yet"}


def test_without_a_protocol_there_is_no_dfr_and_without_pretrained_weights_no_baseline():
    assert [panel.name for panel in grid_ablation(grid_run(), protocol=None).panels] == ARMS[:4]
    registered = Registered(refitted=["erm"], no_baseline="small_cnn has no pretrained weights")
    found = grid_ablation(grid_run(), registered=registered)
    assert [panel.name for panel in found.panels][-1] == "dfr"
    assert found.notes == ["pretrained baseline left out: small_cnn has no pretrained weights"]


def test_one_value_of_the_rows_can_be_shown_alone():
    found = grid_ablation(grid_run())
    for text in ("spurious_strength=1", "dataset.spurious_strength = 1.0", "config.dataset.spurious_strength=1.00"):
        assert found.axes.value_at(text, found.row_values) == 1.0
    one = found.fixed_at(1.0)
    assert [(panel.rows, panel.cols) for panel in one.panels] == [([1.0], SIZES)] * 6
    assert one.table.num_rows == 12
    assert one.axes.name == "spurious_strength-val_target_size-by-regularize_mode-at-1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spurious_strength=0.5", "--at: the run has no spurious_strength of '0.5'; known are: 0.95, 1"),
        ("spurious_strength", "--at: the run has no spurious_strength of ''"),
        ("val_target_size=1000", "--at fixes the parameter of --rows, as spurious_strength=0.95; got 'val_target"),
    ],
)
def test_a_value_that_the_axis_lacks_is_an_error(text, message):
    found = grid_ablation(grid_run())
    with pytest.raises(UserError, match=re.escape(message)):
        found.axes.value_at(text, found.row_values)
