from pathlib import Path

import pytest

SPACE = """\
methods:
  erm_target: {epochs: 6}
  scale:
    space:
      group_size: {type: choice, values: [4, 64]}
space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  batch_size: 64
num_samples: 3
epochs: 4
seeds: [0]
scheduler: {name: asha, grace_period: 2, reduction_factor: 2}
"""
SAMPLES = {"erm_target": 3, "scale": 3}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.drill)


@pytest.fixture
def space(tmp_path) -> Path:
    """Six trials of two methods, in half a minute."""
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path
