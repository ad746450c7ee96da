"""A search in seconds, on real workers.

These tests take long, so each file is one or a few of them: ``make test`` deals out files.
"""

from pathlib import Path

import pytest

SPACE = """\
methods:
  erm:
  erm_target: {epochs: 6}
  scale:
    space:
      group_size: {type: choice, values: [4, 64]}
      regularize_mode: {type: choice, values: [linear, step]}
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: 256
num_samples: 2
epochs: 1
seeds: [0]
scheduler: {name: asha, grace_period: 1, reduction_factor: 2}
"""
"""An epoch of erm_target takes a fifth of one of the others, so it alone has several."""


@pytest.fixture
def space(tmp_path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, for the tests that look at a report."""
    from tests.support.browser import Browser

    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
