"""What the tests of the ledger share."""

import pytest


@pytest.fixture
def path(tmp_path):
    """An empty ledger."""
    ledger = tmp_path / "ledger.log"
    ledger.touch()
    return ledger


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    """The journal is written to thousands of times here, and no power is cut."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
