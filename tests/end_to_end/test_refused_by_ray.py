"""What Ray's workers can't run is refused before there is a run."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from scale_tune.search.cluster import cluster
from scale_tune.search.stopping import Stop
from scale_tune.workflows import driver
from tests.conftest import REPOSITORY
from tests.support.commands import call, handlers_kept, run

pytestmark = [pytest.mark.ray, pytest.mark.drill]

DIGITS = REPOSITORY / "search_spaces" / "digits.yaml"


@pytest.fixture(scope="module")
def connected() -> Iterator[Callable[[], None]]:
    """One Ray on this machine, as the command starts one for itself."""
    with handlers_kept(), Stop() as stop, cluster(None, stop) as reconnect:
        yield reconnect


@pytest.fixture
def refused(tmp_path) -> Callable[..., None]:
    def check(command, arguments: list[str], message: str) -> None:
        result = command("tune", DIGITS, "--name", "x", "--storage", tmp_path / "runs", *arguments)
        assert result.returncode == 2, result.stdout + result.stderr
        assert message in result.stderr
        assert "Traceback" not in result.stderr + result.stdout
        assert not (tmp_path / "runs").exists()

    return check


def test_a_search_that_asks_for_too_much_is_refused(refused):
    refused(run, ["--cpus-per-trial", "10000"], "a trial asks for 10000 CPUs")


def test_a_cluster_that_is_not_there_is_named(refused):
    refused(call, ["--address", "127.0.0.1:1"], "can't connect to a Ray cluster at --address 127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus-per-trial", "1"], "the largest node has"),
        (["--set", "model.name=resnet19"], "there is no network 'resnet19'"),
        (["--set", "model.name=vgg11"], "the model vgg11 can't train on digits's images of 3 x 16 x 8"),
    ],
)
def test_what_the_cluster_cannot_run_is_refused(connected, refused, monkeypatch, arguments, message):
    """By commands that share a connection, so that each need not wait for workers to start."""
    monkeypatch.setattr(driver, "cluster", lambda address, stop: nullcontext(connected))
    refused(call, arguments, message)
