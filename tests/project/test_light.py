"""What is imported only when it is needed: a command answers at once, an analysis needs neither Ray nor torch."""

import json
import subprocess
import sys

HEAVY = ["ray", "torch", "torchvision", "optuna", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "matplotlib"]
HEAVY += ["plotly", "jinja2", "tensorboardX"]

STAGES = [
    ("scale_tune scale_tune.cli.tune scale_tune.cli.analyze", HEAVY),
    ("scale_tune.analysis.comparison scale_tune.analysis.caveats scale_tune.analysis.ablation scale_tune.report.pivots",
     ["ray", "torch", "torchvision", "optuna", "scipy", "sklearn", "matplotlib", "plotly", "jinja2"]),
    ("scale_tune.ledger.studies scale_tune.tables.collect scale_tune.workflows.evaluate scale_tune.workflows.ablating"
     " scale_tune.datasets.ahead scale_tune.workflows.economising",
     ["ray", "torch", "torchvision", "scipy", "sklearn", "matplotlib", "plotly", "jinja2"]),
    ("scale_tune.tracking.follower scale_tune.workflows.catching_up",
     ["ray", "torch", "torchvision", "scipy", "sklearn", "tensorboardX"]),
    ("scale_tune.workflows.reporting", ["ray", "torch", "torchvision", "sklearn", "matplotlib"]),
    ("scale_tune.workflows.driver", ["torch", "torchvision", "matplotlib"]),
]  # fmt: skip
"""Modules, and what none of them may bring: from light to heavy, since one interpreter imports them all in turn."""

IMPORT_ALL = """
import importlib, json, sys
for modules, forbidden in json.loads(sys.argv[1]):
    for module in modules.split():
        importlib.import_module(module)
        for name in forbidden:
            if name in sys.modules:
                print(module, "brings", name)
"""


def test_the_light_modules_stay_light():
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps(STAGES)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines() == []
