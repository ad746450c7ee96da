"""The selected networks as files that plain torch loads."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from scale_tune.datasets import load_splits
from scale_tune.errors import UserError
from scale_tune.spec.config import DfrProtocol
from scale_tune.storage.location import Location
from scale_tune.training.trialdir import weights_path
from scale_tune.workflows.best import check_best, export_best
from scale_tune.workflows.evaluate import evaluate
from tests.support.refits import make_few_fits_here
from tests.support.runs import fast_spec, make_run

ELSEWHERE = """
import json, os, runpy, sys
import numpy, torch
from safetensors.torch import load_file

test, found = numpy.load(sys.argv[1]), {}
for directory in sys.argv[2:]:
    module = runpy.run_path(os.path.join(directory, "network.py"))
    for name in sorted(os.listdir(directory)):
        if name.endswith(".safetensors"):
            model = module["build"]().eval()
            model.load_state_dict(load_file(os.path.join(directory, name)))
            with torch.inference_mode():
                predicted = model(module["prepare"](torch.from_numpy(test["images"]))).argmax(dim=1).numpy()
            found[os.path.basename(directory) + "/" + name] = int((predicted == test["labels"]).sum())
assert "scale_tune" not in sys.modules
print(json.dumps(found))
"""


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    space = {"lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}, "batch_size": 256}
    spec = fast_spec(methods=["erm", "scale"], space=space, num_samples=1, epochs=1, keep_top=2)
    return make_run(tmp_path_factory.mktemp("best"), spec)


@pytest.fixture(autouse=True)
def _few_fits(monkeypatch):
    make_few_fits_here(monkeypatch)


@pytest.fixture(scope="module")
def found(run):
    with pytest.MonkeyPatch.context() as patched:
        make_few_fits_here(patched)
        return evaluate([run], [DfrProtocol.SCALE], None, silent)


@pytest.fixture(scope="module")
def without_refits(run, tmp_path_factory):
    return evaluate([run], (), Location.of(tmp_path_factory.mktemp("tables")), silent)


def test_networks_loaded_without_this_package_get_right_what_the_tables_say(run, found, tmp_path):
    directory = Location.of(tmp_path / "best")
    written, left_out = export_best(run, found, directory)
    assert sorted(path.name for path in written) == ["dfr-scale", "erm", "scale"]
    assert left_out == []

    test = load_splits(run.read_spec().dataset).test
    np.savez(tmp_path / "test.npz", images=test.images, labels=test.labels)
    where = [str(path) for path in written]
    told = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, str(tmp_path / "test.npz"), *where],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    groups = found.runs[0].tables["groups"]
    of_test = groups[groups["split"] == "test"]
    expected = {}
    for row in found.comparison.to_dict("records"):
        refit = row["method"] == "dfr (scale)"
        same = of_test["protocol"].eq("scale") if refit else of_test["protocol"].isna()
        rows = of_test[same & (of_test["trial"] == row["trial"])]
        name = row["method"].replace(" (", "-").rstrip(")")
        expected |= {f"{name}/seed-{seed}.safetensors": n for seed, n in rows.groupby("seed")["correct"].sum().items()}
    assert json.loads(told.stdout) == expected
    assert len(expected) == 6


def test_the_card_has_config_accuracies_and_fingerprint_and_its_code_runs(run, without_refits, tmp_path, monkeypatch):
    export_best(run, without_refits, Location.of(tmp_path))
    card = (tmp_path / "scale" / "README.md").read_text()
    (row,) = (row for row in without_refits.comparison.to_dict("records") if row["method"] == "scale")
    trials = without_refits.runs[0].tables["trials"].set_index("trial")
    for text in (row["trial"], f"{row['test_worst_group_mean']:.3f} ± {row['test_worst_group_std']:.3f}"):
        assert text in card
    assert f"`lr`: {trials.loc[row['trial'], 'config.lr']}" in card
    assert trials.loc[row["trial"], "fingerprint"] in card

    monkeypatch.chdir(tmp_path / "scale")
    monkeypatch.syspath_prepend(tmp_path / "scale")
    namespace = {"images": torch.zeros(2, 3, 16, 8, dtype=torch.uint8)}
    exec(card.split("```python\n")[1].split("```")[0], namespace)
    assert namespace["logits"].shape == (2, 10)


def test_what_is_there_is_not_overwritten_and_several_runs_are_refused(run, tmp_path):
    (tmp_path / "x").write_text("mine")
    for place in (tmp_path, tmp_path / "x"):
        with pytest.raises(UserError, match="choose a directory that is not there yet"):
            check_best([run], Location.of(place))
    with pytest.raises(UserError, match="is for one run, got 2"):
        check_best([run, run], Location.of(tmp_path / "new"))
    check_best([run], Location.of(tmp_path / "new"))


@pytest.mark.parametrize("cut", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_export_that_is_cut_off_leaves_nothing_and_can_be_begun_again(
    cut, run, without_refits, tmp_path, monkeypatch
):
    directory, write, written = Location.of(tmp_path / "best"), Location.write, []

    def cut_off(place, content):
        if len(written) == 4:
            raise cut
        written.append(place)
        write(place, content)

    with monkeypatch.context() as patch:
        patch.setattr(Location, "write", cut_off)
        with pytest.raises(KeyboardInterrupt if isinstance(cut, KeyboardInterrupt) else UserError):
            export_best(run, without_refits, directory)
    assert len(written) == 4
    assert not any(place.exists() for place in written)
    check_best([run], directory)


def test_weights_that_are_gone_are_said_and_damaged_ones_are_an_error(run, without_refits, tmp_path):
    trial = without_refits.comparison.set_index("method").loc["scale", "trial"]
    path = weights_path(run.trial(trial), 1).local
    whole = path.read_bytes()
    try:
        path.unlink()
        written, left_out = export_best(run, without_refits, Location.of(tmp_path / "gone"))
        assert "scale" not in {place.name for place in written}
        assert any(note.startswith("scale on digits is not in") and "keep_top" in note for note in left_out)
        assert not (tmp_path / "gone" / "scale").exists()
        path.write_bytes(whole[:-100])
        with pytest.raises(UserError, match="restore it from a copy"):
            export_best(run, without_refits, Location.of(tmp_path / "damaged"))
        assert not [path for path in (tmp_path / "damaged").rglob("*") if path.is_file()]
        check_best([run], Location.of(tmp_path / "damaged"))  # the same command can be given again
    finally:
        path.write_bytes(whole)
