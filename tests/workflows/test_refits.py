"""An analysis of real runs: what is refitted, what is kept, and what is said of the rest."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torchvision.models import get_model

from scale_tune.datasets import load_splits
from scale_tune.datasets.groups import GroupCounts
from scale_tune.dfr import protocols as dfr
from scale_tune.errors import UserError
from scale_tune.networks import torchvision_networks as models
from scale_tune.report.terminal import comparison_tables
from scale_tune.search import side_by_side as refits
from scale_tune.spec.config import DfrProtocol
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables.refits import KEY
from scale_tune.training.trialdir import features_path
from scale_tune.workflows import evaluate as evaluation
from scale_tune.workflows.evaluate import evaluate, parse_protocols
from tests.support.refits import make_few_fits
from tests.support.runs import fast_spec, make_run

BOTH = (DfrProtocol.SCALE, DfrProtocol.DFR)


def erm_spec(**options):
    fields = {
        "methods": {"erm": {}},
        "space": {"lr": 0.01, "batch_size": 256},
        "num_samples": 1,
        "epochs": 1,
        "seeds": [0, 1],
        "scheduler": {"name": "none"},
    }
    return fast_spec(**(fields | options))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), erm_spec())


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made.path.local, tmp_path / "run")
    return RunDir(tmp_path / "run")


@pytest.fixture(autouse=True)
def _short_and_serial(monkeypatch):
    """Which fits a protocol makes, and where, are other tests' matters."""
    make_few_fits(monkeypatch)
    monkeypatch.setattr(refits, "side_by_side", one_by_one)


def one_by_one(calls, address):
    for call in calls:
        try:
            yield call()
        except UserError as error:
            yield error


def analyse(run, protocols=BOTH) -> tuple[evaluation.Evaluation, list[str]]:
    lines: list[str] = []
    found = evaluate([run], protocols, None, lines.append)
    return found, [line for line in lines if line != "comparing …"]


def test_every_seed_is_refitted_by_every_protocol_and_the_path_is_kept(run):
    found, lines = analyse(run)
    assert lines == [
        "refitting the last layer of 2 networks …",
        "1 of 2: DFR (scale and dfr protocol) on erm-00000, seed 0",
        "2 of 2: DFR (scale and dfr protocol) on erm-00000, seed 1",
    ]
    tables = results.load_results(run.path)
    table, path = tables["dfr"], tables["dfr_path"]
    assert table[["trial", "seed", "protocol"]].apply(tuple, axis=1).tolist() == [
        ("erm-00000", seed, protocol) for seed in (0, 1) for protocol in ("scale", "dfr")
    ]
    assert set(table["status"]) == {"refitted"}
    assert set(table["features"]) == {"erm"}
    assert len(path) == 2 * (2 + 2)
    chosen = path[path["chosen"]].set_index(["seed", "protocol"])["C"]
    assert chosen.to_dict() == table.set_index(["seed", "protocol"])["C"].to_dict()
    for (seed, protocol), tried in path.groupby(["seed", "protocol"]):
        best = tried[tried["val_worst_group"] == tried["val_worst_group"].max()]
        assert best["C"].min() == chosen[seed, protocol]
    board = found.comparison.set_index("method")
    for protocol in ("scale", "dfr"):
        rows = table[table["protocol"] == protocol]
        row = board.loc[f"dfr ({protocol})"]
        assert (row["trial"], row["seeds"]) == ("erm-00000", 2)
        assert row["test_worst_group_mean"] == pytest.approx(rows["test_worst_group"].mean())


def test_a_second_analysis_refits_only_what_is_missing(run, monkeypatch):
    first, _ = analyse(run, [DfrProtocol.SCALE])
    assert set(first.comparison["method"]) == {"erm", "dfr (scale)"}
    before = results.load_results(run.path)["dfr"]
    second, lines = analyse(run)
    assert lines[1:] == [f"{seed + 1} of 2: DFR (dfr protocol) on erm-00000, seed {seed}" for seed in (0, 1)]
    after = results.load_results(run.path)["dfr"]
    pd.testing.assert_frame_equal(after[after["protocol"] == "scale"].reset_index(drop=True), before)
    assert set(second.comparison["method"]) == {"erm", "dfr (scale)", "dfr (dfr)"}
    monkeypatch.setattr(dfr, "refit_trial", lambda *_: pytest.fail("nothing is left to refit"))
    third, _ = analyse(run)
    pd.testing.assert_frame_equal(third.comparison, second.comparison)
    asked_for_one, _ = analyse(run, [DfrProtocol.DFR])
    assert set(asked_for_one.comparison["method"]) == {"erm", "dfr (dfr)"}
    assert len(results.load_results(run.path)["dfr"]) == 4
    none, lines = analyse(run, [])
    assert set(none.comparison["method"]) == {"erm"}
    assert lines == []
    assert not [note for note in none.notes if "refit" in note or "dfr" in note]


def test_features_that_are_gone_are_said_in_the_table(run):
    analyse(run, [DfrProtocol.SCALE])
    path = features_path(run.trial("erm-00000"), 1).local
    kept = path.read_bytes()
    path.unlink()
    for _ in range(2):  # and said once, however often it is analysed
        found, _ = analyse(run)
        assert any("no DFR of erm-00000 (seed 1): the features are gone" in note for note in found.notes)
        table = results.load_results(run.path)["dfr"]
        assert len(table) == 4
        (gone,) = table[table["status"] != "refitted"].to_dict("records")
        assert (gone["trial"], gone["seed"], gone["protocol"], gone["status"]) == (
            "erm-00000",
            1,
            "dfr",
            "features gone",
        )
        assert all(pd.isna(gone[name]) for name in ("C", "nonzero", "val_worst_group", "test_worst_group"))
        assert len(table.query("protocol == 'scale' and status == 'refitted'")) == 2, "what was known is kept"
    path.write_bytes(kept)
    analyse(run)
    assert set(results.load_results(run.path)["dfr"]["status"]) == {"refitted"}


def test_every_completed_trial_of_every_dataset_is_asked_for(tmp_path):
    space = {
        "lr": {"type": "choice", "values": [0.01, 0.1]},
        "dataset.noise": {"type": "choice", "values": [0.1, 0.5]},
        "batch_size": 64,
    }
    run = make_run(tmp_path, erm_spec(space=space, sampler="grid"), made_up=True)
    found, _ = analyse(run, [DfrProtocol.SCALE])
    dfr = results.load_results(run.path)["dfr"]
    assert dfr["trial"].tolist() == [f"erm-{number:05d}" for number in range(4) for _ in range(2)]
    assert set(dfr["status"]) == {"features gone"}
    (gone,) = [note for note in found.notes if "features are gone" in note]
    assert "erm-00002 (seeds 0, 1) and 1 more trials" in gone


def test_a_run_that_cannot_be_written_is_analysed_elsewhere(run, tmp_path, monkeypatch):
    monkeypatch.setattr(RunDir, "writable", False)
    before = sorted(run.path.local.rglob("*"))
    evaluate([run], [DfrProtocol.SCALE], Location.of(tmp_path / "out"), lambda line: None)
    assert sorted(run.path.local.rglob("*")) == before
    assert len(pd.read_parquet(tmp_path / "out" / "dfr.parquet")) == 2


def test_a_trial_without_any_features_leaves_a_comparison_without_dfr(run):
    for seed in (0, 1):
        features_path(run.trial("erm-00000"), seed).delete()
    found, _ = analyse(run)
    assert found.comparison["method"].tolist() == ["erm"]
    assert results.load_results(run.path)["dfr"]["status"].tolist() == ["features gone"] * 4


def test_the_demos_network_has_no_pretrained_baseline_and_a_note_says_so(run):
    found, lines = analyse(run)
    assert not any("pretrained" in line for line in lines)
    assert [note for note in found.notes if "pretrained" in note] == [
        "pretrained baseline left out: small_cnn has no pretrained weights; torchvision's networks do, or a file as "
        "model.weights"
    ]


def test_the_pretrained_baseline_needs_weights_and_is_of_no_trial(tmp_path, monkeypatch):
    run = make_run(tmp_path, erm_spec(model={"name": "resnet18"}, seeds=[0]))

    def absent(name):
        raise UserError(f"the ImageNet weights of {name} can't be had")

    monkeypatch.setattr(models, "_imagenet_weights", absent)
    found, _ = analyse(run, [DfrProtocol.DFR])
    assert "pretrained baseline left out: the ImageNet weights of resnet18 can't be had" in found.notes
    assert set(found.comparison["method"]) == {"erm", "dfr (dfr)"}

    torch.manual_seed(5)
    state = get_model("resnet18", weights=None).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    monkeypatch.setattr(models, "_imagenet_weights", lambda name: dict(state))
    found, lines = analyse(run, [DfrProtocol.DFR])
    assert lines[1:] == ["1 of 1: pretrained baseline (dfr protocol) of resnet18, imagenet"]
    row = results.load_results(run.path)["dfr"].set_index("features").loc["pretrained"]
    assert (pd.isna(row["trial"]), pd.isna(row["seed"])) == (True, True)
    on_board = found.comparison.set_index("method").loc["pretrained (dfr)"]
    assert on_board["test_worst_group_mean"] == row["test_worst_group"]
    assert (on_board["seeds"], np.isnan(on_board["test_worst_group_std"])) == (1, True)
    console = Console(width=120)
    with console.capture() as shown:
        for table in comparison_tables(found.comparison, 120, "report.html"):
            console.print(table)
    assert "pretrained (dfr)" in shown.get()
    assert "none eligible" not in shown.get()
    monkeypatch.setattr(dfr, "refit_pretrained", lambda *_: pytest.fail("it is known already"))
    again, _ = analyse(run, [DfrProtocol.DFR])
    pd.testing.assert_frame_equal(again.comparison, found.comparison)


def test_what_is_refitted_is_kept_when_an_analysis_is_interrupted(run, monkeypatch):
    def interrupted(calls, address):
        yield from one_by_one(calls[:1], address)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(refits, "side_by_side", interrupted)
        with pytest.raises(KeyboardInterrupt):
            analyse(run)
    assert set(run.results.names()) == {"groups.parquet", "dfr.parquet", "dfr_path.parquet"}
    kept = results.load_results(run.path)
    assert kept["dfr"]["seed"].tolist() == [0, 0]
    (run.results / "dfr.parquet").delete()  # as if it had died between the two files
    found, _ = analyse(run)
    assert len(found.runs[0].tables["dfr"]) == 4
    tables = results.load_results(run.path)
    assert not tables["dfr_path"].duplicated(["seed", "protocol", "C"]).any()
    assert not tables["groups"].duplicated(CELL).any()


CELL = [*KEY, "split", "label", "attribute"]


def test_groups_hold_the_counts_of_every_refit_beside_those_of_the_trials(run):
    own = results.load_results(run.path)["groups"]
    found, _ = analyse(run)
    tables = results.load_results(run.path)
    groups, dfr = tables["groups"], tables["dfr"]
    pd.testing.assert_frame_equal(groups[groups["protocol"].isna()], own, check_dtype=False)
    assert not groups.duplicated(CELL).any()
    assert len(dfr) == 4
    info = load_splits(found.runs[0].spec.dataset).info
    for row in dfr.to_dict("records"):
        of_refit = groups[np.logical_and.reduce([groups[name] == row[name] for name in KEY])]
        assert set(of_refit["split"]) == {"val", "test"}
        for split, cells in of_refit.groupby("split"):
            n, right = (cells.pivot(index="label", columns="attribute", values=v).to_numpy() for v in ("n", "correct"))
            accuracies = GroupCounts(n=n, correct=right, groups=info.groups).summary()
            assert accuracies == {name: row[f"{split}_{name}"] for name in accuracies}
    assert_same_rows(found.runs[0].tables["groups"], groups)
    none, _ = analyse(run, [])
    assert_same_rows(none.runs[0].tables["groups"], own)
    assert_same_rows(results.load_results(run.path)["groups"], groups)


def assert_same_rows(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_refits_whose_counts_somebody_deleted_are_refitted_again(run):
    first, _ = analyse(run)
    (run.results / "groups.parquet").delete()
    again, lines = analyse(run)
    assert lines[0] == "refitting the last layer of 2 networks …"
    pd.testing.assert_frame_equal(again.comparison, first.comparison)
    assert not results.load_results(run.path)["dfr"].duplicated([*KEY]).any()


def test_an_error_of_a_checkpoint_ends_the_analysis_and_keeps_what_was_refitted(run, monkeypatch):
    def fails_at_last(calls, address):
        yield from one_by_one(calls[:1], address)
        yield UserError("other splits")

    monkeypatch.setattr(refits, "side_by_side", fails_at_last)
    with pytest.raises(UserError, match="other splits"):
        analyse(run)
    assert len(results.load_results(run.path)["dfr"]) == 2


def test_several_runs_are_refitted_together_and_notes_name_the_run(run, made, tmp_path):
    other = RunDir(shutil.copytree(made.path.local, tmp_path / "other"))
    for seed in (0, 1):
        features_path(run.trial("erm-00000"), seed).delete()
    lines = []
    found = evaluate([run, other], [DfrProtocol.SCALE], None, lines.append)
    assert lines[0] == "refitting the last layer of 2 networks …"
    gone = [note for note in found.notes if "features are gone" in note]
    assert [note.partition(":")[0] for note in gone] == [found.runs[0].name]
    with_dfr = found.comparison[found.comparison["method"] == "dfr (scale)"]
    assert with_dfr["run"].tolist() == [found.runs[1].name]


def test_features_that_go_while_they_are_about_to_be_refitted_are_said_likewise(run, monkeypatch):
    def late(calls, address):
        for path in (features_path(run.trial("erm-00000"), seed) for seed in (0, 1)):
            path.delete()
        return one_by_one(calls, address)

    monkeypatch.setattr(refits, "side_by_side", late)
    found, _ = analyse(run)
    assert sum("(seeds 0, 1): the features are gone" in note for note in found.notes) == 1
    assert results.load_results(run.path)["dfr"]["status"].tolist() == ["features gone"] * 4


def test_an_analysis_with_nothing_to_refit_starts_no_worker(run, monkeypatch):
    for seed in (0, 1):
        features_path(run.trial("erm-00000"), seed).delete()
    monkeypatch.setattr(refits, "side_by_side", lambda *_: pytest.fail("there is nothing to refit"))
    _, lines = analyse(run)
    assert lines == []


def test_protocols_are_parsed_and_a_wrong_one_gets_the_nearest():
    assert parse_protocols("scale,dfr") == BOTH
    assert parse_protocols(" dfr , scale,dfr") == (DfrProtocol.DFR, DfrProtocol.SCALE)
    assert parse_protocols("none") == ()
    with pytest.raises(UserError, match="there is no protocol 'scal'; did you mean 'scale'"):
        parse_protocols("scal")
    with pytest.raises(UserError, match="there is no protocol ''; known are: scale, dfr, class, train, none"):
        parse_protocols("scale,")
    with pytest.raises(UserError, match="none stands alone, got 'scale,none'"):
        parse_protocols("scale,none")


def test_where_a_protocol_is_undefined_the_table_says_so_once_and_for_all(run, monkeypatch):
    """At strength 1, train has no conflicting sample."""
    found, _ = analyse(run, [DfrProtocol.TRAIN, DfrProtocol.CLASS])
    table = results.load_results(run.path)["dfr"]
    status = table.groupby("protocol")["status"].unique().map(list).to_dict()
    assert status == {"train": ["train lacks a group"], "class": ["refitted"]}
    assert set(found.comparison["method"]) == {"erm", "dfr (class)"}
    assert any(note.startswith("no DFR (train) of 2 networks: their train lacks a group") for note in found.notes)
    monkeypatch.setattr(refits, "side_by_side", lambda *_: pytest.fail("it is known"))
    again, lines = analyse(run, [DfrProtocol.TRAIN])
    assert lines == []
    assert set(again.comparison["method"]) == {"erm"}


def test_dfr_on_train_is_a_method_of_its_own(tmp_path):
    made = make_run(tmp_path, erm_spec(dataset={"name": "digits", "spurious_strength": 0.9}))
    found, lines = analyse(made, [DfrProtocol.TRAIN])
    assert lines[1:] == [f"{n + 1} of 2: DFR (train protocol) on erm-00000, seed {n}" for n in (0, 1)]
    assert set(found.comparison["method"]) == {"erm", "dfr (train)"}
