"""On a running cluster: raylets of their own, as on other machines."""

from collections.abc import Iterator

import pytest
from ray.cluster_utils import Cluster

from scale_tune.ledger.studies import read_trials
from tests.conftest import REPOSITORY
from tests.support.commands import run
from tests.support.sources import make_cifar, make_mnist

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that trains nothing, and two nodes of one CPU and a GPU that is only declared."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 2**27})
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=2**27)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def test_missing_data_on_a_remote_node_is_an_error_before_any_trial(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path / "cache"))
    space = REPOSITORY / "search_spaces/dominoes_erm.yaml"
    options = ["--storage", tmp_path / "runs", "--address", cluster.address, "--cpus-per-trial", 1]
    result = run("tune", space, *options, "--gpus-per-trial", 0)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "can't run trials: the data of dominoes is not there" in result.stderr
    assert str(tmp_path / "data") in result.stderr
    assert not (tmp_path / "runs").exists()


def test_dominoes_are_searched_on_two_nodes(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCALE_TUNE_CACHE", str(tmp_path / "cache"))
    make_mnist(tmp_path / "data", 1500, 200)
    make_cifar(tmp_path / "data", 1000, 200)
    space = REPOSITORY / "search_spaces/dominoes_ablation.yaml"
    options = ["--storage", tmp_path / "runs", "--name", "x", "--address", cluster.address, "--cpus-per-trial", 1]
    options += ["--epochs", 1, "--seeds", 0, "--set", "model={name: small_cnn}", "--methods", "erm_target"]
    options += ["--set", "space.dataset.val_target_size={type: choice, values: [100, 200]}"]
    options += ["--set", "space.dataset.spurious_strength={type: choice, values: [0.9, 1.0]}"]
    result = run("tune", space, *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "torch finds none" in result.stdout, "the GPUs are only declared"
    trials = read_trials(tmp_path / "runs" / "x" / "ledger.log")
    assert [trial.state.value for trial in trials] == ["complete"] * 4
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == 4
