import os
from pathlib import Path

import pytest
import torch

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

REPOSITORY = Path(__file__).parent.parent
DEVICE = torch.device(os.environ.get("SCALE_TUNE_TEST_DEVICE", "cpu"))
"""What tests train on."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where two run at once, files with Ray come first: they are the long ones, and the short ones even out the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("ray") is None)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Datasets are prepared once per test session, and not in the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    os.environ["SCALE_TUNE_CACHE"] = str(cache)
    yield cache
    del os.environ["SCALE_TUNE_CACHE"]


@pytest.fixture(autouse=True)
def _deterministic():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _sums_in_one_order(monkeypatch):
    """On a GPU bits are only kept where every kernel adds in one order."""
    if DEVICE.type == "cuda":
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
        torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def device() -> torch.device:
    return DEVICE


@pytest.fixture(scope="session")
def digits():
    from scale_tune import datasets

    return datasets.load_dataset("digits")
