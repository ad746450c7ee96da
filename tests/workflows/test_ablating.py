"""An ablation of a run that was trained: what its cells lack is refitted, and everything is written."""

import dataclasses
import re

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from scale_tune.cli.ablate import ablation_app
from scale_tune.errors import UserError
from scale_tune.networks.small_cnn import small_cnn
from scale_tune.search import side_by_side as refits
from scale_tune.spec.config import DfrProtocol
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import create_run
from scale_tune.tables import collect as results
from scale_tune.training.trialdir import features_path
from scale_tune.workflows import ablating
from scale_tune.workflows.ablating import Shown, ablate_run, registered
from scale_tune.workflows.resolving import resolved
from tests.conftest import REPOSITORY
from tests.support.ablations import ARMS, grid_run, grid_spec
from tests.support.refits import make_few_fits
from tests.support.runs import fast_spec, make_run

SHOWN = Shown(rows="noise", cols="spurious_strength", by="regularize_mode", protocol=DfrProtocol.SCALE)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A grid of two kinds of data, whose network has weights to begin from."""
    root = tmp_path_factory.mktemp("runs")
    torch.manual_seed(3)
    save_file(small_cnn()[0].state_dict(), root / "w.safetensors")
    mode = {"regularize_mode": {"type": "choice", "values": ["linear", "step"]}}
    spec = fast_spec(
        methods={"erm": {}, "erm_target": {}, "scale": {"space": mode}},
        space={
            "lr": 0.01,
            "batch_size": 256,
            "dataset.noise": {"type": "choice", "values": [0.2, 0.5]},
            "dataset.spurious_strength": 1.0,
        },
        model={"name": "small_cnn", "weights": str(root / "w.safetensors")},
        sampler="grid",
        epochs=1,
        seeds=[0],
        scheduler={"name": "none"},
        keep_top=4,
    )
    return make_run(root, spec)


@pytest.fixture(autouse=True)
def calls(monkeypatch) -> list[int]:
    """How many networks each analysis refitted, one after the other."""
    make_few_fits(monkeypatch)
    counts: list[int] = []

    def one_by_one(given, address):
        counts.append(len(given))
        return (call() for call in given)

    monkeypatch.setattr(refits, "side_by_side", one_by_one)
    return counts


def silent(line: str) -> None:
    pass


def test_one_command_refits_every_cell_and_shows_all_six(run, calls, tmp_path):
    lines: list[str] = []
    found = ablate_run(run, SHOWN, Location.of(tmp_path), lines.append)
    assert lines[0] == "refitting the last layer of 4 networks …"
    assert [panel.name for panel in found.ablation.panels] == ARMS
    assert {cell.missing for panel in found.ablation.panels for cell in panel.cells.values()} == {None}
    table = results.load_results(run.path)["dfr"]
    for place, cell in found.ablation.panel("dfr", "").cells.items():
        (row,) = table[table["trial"] == cell.trial].to_dict("records")
        assert cell.mean == row["test_worst_group"]
        assert found.ablation.panel("erm", "").at(*place).trial == cell.trial
    name = "noise-spurious_strength-by-regularize_mode-test_worst_group"
    suffixes = (".parquet", ".tex", "-lines.pdf", "-lines.svg", "-lines.png")
    assert {path.name for path in tmp_path.iterdir()} == {name + suffix for suffix in suffixes}
    again = ablate_run(run, SHOWN, Location.of(tmp_path), silent)
    assert calls == [4], "what is refitted is not refitted again"
    assert again.ablation.table.equals(found.ablation.table)


def test_differences_and_one_row_are_written_beside(run, tmp_path):
    shown = dataclasses.replace(SHOWN, at="noise=0.5", differences=("scale,dfr",), plot="heatmap")
    found = ablate_run(run, shown, Location.of(tmp_path), silent)
    assert found.ablation.row_values == [0.5]
    assert {cell.seeds for cell in found.contrasts.panels[0].cells.values()} == {1}
    name = "noise-spurious_strength-by-regularize_mode-at-0.5-test_worst_group"
    suffixes = (".parquet", ".tex", "-differences.parquet", "-differences.tex")
    figures = (f"-differences-heatmap.{kind}" for kind in ("pdf", "svg", "png"))
    assert {path.name for path in tmp_path.iterdir()} == {name + suffix for suffix in (*suffixes, *figures)}


def test_features_that_are_gone_are_said_in_the_cell(run, tmp_path):
    shown = dataclasses.replace(SHOWN, protocol=DfrProtocol.DFR)
    features_path(run.trial("erm-00000"), 0).local.unlink()
    found = ablate_run(run, shown, Location.of(tmp_path), silent)
    reasons = [cell.missing for cell in found.ablation.panel("dfr", "").cells.values()]
    assert sorted(map(str, reasons)) == ["None", "features gone"]
    assert {cell.missing for cell in found.ablation.panel("dfr_pretrained", "").cells.values()} == {None}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"differences": ("scale,dfrr",)}, "--difference: the ablation has no 'dfrr'; did you mean 'dfr'?"),
        ({"at": "noise=7"}, "--at: the run has no noise of '7'; known are: 0.2, 0.5"),
        ({"published": True}, "--published: there are no published numbers on digits"),
        ({"metric": "test_minorty"}, "--metric: there is no accuracy 'test_minorty'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_refitted_or_written(run, calls, tmp_path, wrong, message):
    shown = dataclasses.replace(SHOWN, protocol=DfrProtocol.DFR, **wrong)
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        ablate_run(run, shown, Location.of(tmp_path / "out"), silent)
    assert calls == []
    assert not (tmp_path / "out").exists()


def test_the_names_of_the_published_ablation_are_those_that_were_published():
    known = registered(resolved(grid_spec(model={"name": "resnet18"})))
    assert known.defaults["scale"]["regularize_mode"] == "linear"
    assert known.refitted == ["erm"]
    assert known.no_baseline is None
    assert registered(grid_spec()).no_baseline.startswith("small_cnn has no pretrained weights")


def test_a_published_ablation_stands_beside_its_publication(tmp_path):
    spec = grid_spec(model={"name": "resnet18"}, scheduler={"name": "none"}, epochs=1)
    run = make_run(tmp_path / "runs", resolved(spec), made_up=True)
    shown = Shown(rows="spurious_strength", cols="val_target_size", published=True)
    found = ablate_run(run, shown, Location.of(tmp_path / "out"), silent)
    assert found.ablation.metric == "test_minority"
    assert [panel.name for panel in found.comparison.panels] == ARMS[:4]
    assert found.comparison.panels[2].at(1.0, 2000).published == pytest.approx(0.635)
    name = "spurious_strength-val_target_size-by-regularize_mode-test_minority"
    suffixes = (".parquet", ".tex", "-published.parquet", "-published.tex")
    figures = (f"-published-lines.{kind}" for kind in ("pdf", "svg", "png"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name + suffix for suffix in (*suffixes, *figures)}


def test_the_three_commands_of_the_readme_make_the_three_figures_of_the_paper(tmp_path, monkeypatch):
    """On tables made by hand, which have what these commands would refit."""
    monkeypatch.chdir(tmp_path)
    create_run(Location.of(tmp_path / "runs"), "ablation", resolved(grid_spec(model={"name": "resnet18"})), {})
    monkeypatch.setattr(ablating, "_as_it_is", lambda *_: grid_run())
    monkeypatch.setattr(ablating, "_refitted", lambda *_: (grid_run(), []))
    section = (REPOSITORY / "README.md").read_text().split("## Reproduce the paper's figures")[1].split("\n## ")[0]
    commands = re.findall(r"^python analyze\.py ablation (.+)$", section, flags=re.MULTILINE)
    drawn, before = [], set()
    for command in commands:
        result = CliRunner().invoke(ablation_app, command.split())
        assert result.exit_code == 0, result.output
        now = {path.name for path in (tmp_path / "runs/ablation/results/ablation").glob("*.pdf")}
        drawn.append(now - before)
        before = now
    by, metric = "by-regularize_mode", "test_minority"
    assert drawn == [
        {f"val_target_size-spurious_strength-{by}-at-2000-{metric}-lines.pdf"},
        {f"spurious_strength-val_target_size-{by}-at-1-{metric}-lines.pdf"},
        {f"spurious_strength-val_target_size-{by}-{metric}-differences-heatmap.pdf"},
    ]
