"""A grid over data, killed in the middle: no cell lacks one of its six columns until somebody deletes what it needs."""

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from scale_tune.networks.small_cnn import small_cnn
from tests.support.commands import kill_group, run, start, wait_until
from tests.support.searches import descendants, epochs_in_ledger, wait_for_end

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

SPACE = """\
dataset: {{name: digits, noise: 0.2}}
model: {{name: small_cnn, weights: {weights}}}
methods:
  erm:
  erm_target: {{epochs: 3}}
  scale:
    space:
      group_size: 64
      regularize_mode: {{type: choice, values: [linear, step]}}
space:
  dataset.spurious_strength: {{type: choice, values: [0.9, 1.0]}}
  dataset.target_size: {{type: choice, values: [100, 200]}}
  lr: 0.03
  weight_decay: 1e-3
  batch_size: 128
seeds: [0, 1]
splits: per_seed
epochs: 2
objective: minority
sampler: grid
scheduler: {{name: none}}
"""
AXES = ("--rows", "spurious_strength", "--cols", "target_size", "--by", "regularize_mode")
COLUMNS = ["erm", "erm_target", "scale", "scale_step", "dfr", "dfr_pretrained"]


def cells(directory) -> list[dict]:
    result = run("analyze", "ablation", directory, *AXES, timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    return pq.read_table(
        directory / "results/ablation/spurious_strength-target_size-by-regularize_mode-test_minority.parquet"
    ).to_pylist()


def test_a_killed_grid_has_all_six_columns_and_says_what_was_deleted(tmp_path):
    torch.manual_seed(1)
    save_file(small_cnn()[0].state_dict(), tmp_path / "w.safetensors")
    space = tmp_path / "space.yaml"
    space.write_text(SPACE.format(weights=tmp_path / "w.safetensors"))
    directory, log = tmp_path / "runs" / "grid", tmp_path / "log"
    driver = start("tune", space, "--name", "grid", "--storage", tmp_path / "runs", log=log)
    wait_until(lambda: epochs_in_ledger(directory) >= 9, driver, log)
    processes = descendants(driver.pid)
    kill_group(driver)
    wait_for_end(processes)
    assert run("tune", "--resume", directory).returncode == 0

    found = cells(directory)
    assert {cell["method"] for cell in found} == set(COLUMNS)
    assert len(found) == 4 * len(COLUMNS)
    assert {cell["missing"] for cell in found} == {None}
    assert {cell["seeds"] for cell in found} == {2}

    (shown,) = [c for c in found if c["method"] == "dfr" and c["spurious_strength"] == 1 and c["target_size"] == 100]
    (directory / "trials" / shown["trial"] / "features-1.safetensors").unlink()
    for name in ("dfr", "dfr_path"):
        (directory / "results" / f"{name}.parquet").unlink()
    again = {(c["method"], c["spurious_strength"], c["target_size"]): c["missing"] for c in cells(directory)}
    assert [where for where, missing in again.items() if missing] == [("dfr", 1.0, 100)]
    assert "features gone" in again["dfr", 1.0, 100]
