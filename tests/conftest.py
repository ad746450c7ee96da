import os
import time
from pathlib import Path

import pytest
import torch

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

STARTED = time.monotonic()
REPOSITORY = Path(__file__).parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """With ``DRILL_SECONDS``, no drill is begun after so many seconds; those left out are counted as skipped."""
    limit = os.environ.get("DRILL_SECONDS")
    if limit and item.get_closest_marker("drill") and time.monotonic() - STARTED > float(limit):
        pytest.skip(f"{limit} s for drills are over")


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


@pytest.fixture(scope="session")
def digits():
    from scale_tune import datasets

    return datasets.load_dataset("digits")


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where tests train: ``SCALE_TUNE_TEST_DEVICE``, or else the CPU."""
    return torch.device(os.environ.get("SCALE_TUNE_TEST_DEVICE", "cpu"))
