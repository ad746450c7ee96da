"""Imports run one way, and the light modules stay light."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

ORDER = [
    "errors",
    "stopping",
    "seeding",
    "files",
    "config",
    "yamlfile",
    "parameters",
    "mistakes",
    "space",
    "specfile",
    "plan",
    "provenance",
    "rundir",
    "lock",
    "metrics",
    "records",
    "datasets.splits",
    "datasets.cache",
    "datasets.raw",
    "datasets.pictures",
    "datasets.digits",
    "datasets.dominoes",
    "datasets.celeba",
    "datasets.waterbirds",
    "datasets",
    "datasets.transforms",
    "models",
    "scale",
    "training",
    "checkpoint",
    "trial",
    "features",
    "dfr",
    "samplers",
    "ledger",
    "prepare",
    "progress",
    "confirm",
    "schemas",
    "formats",
    "columns",
    "exported",
    "results",
    "bootstrap",
    "measuring",
    "analysis",
    "search",
    "search.watchdog",
    "search.cluster",
    "search.refits",
    "search.worker",
    "search.run",
    "search.remote",
    "driver",
    "caveats",
    "ablation",
    "pivots",
    "figures",
    "report.data",
    "report.importance",
    "report.markup",
    "report.style",
    "report.figures",
    "report.lines",
    "report.estimates",
    "report.parts",
    "report.comparing",
    "report.selected",
    "report.searching",
    "report.sections",
    "report.page",
    "report",
    "refitting",
    "evaluation",
    "reporting",
    "cli",
    "cli.common",
    "cli.on_head",
    "cli.tune",
    "cli.analyze",
]
HEAVY = ["ray", "torch", "optuna", "pandas", "pydantic", "sklearn", "matplotlib", "plotly", "jinja2"]
PACKAGE = REPOSITORY / "scale_tune"


def modules() -> dict[str, str]:
    """Source by module name below the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path.read_text()
    del found["__init__"]
    return found


def imported(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("scale_tune")}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would escape this test"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("scale_tune"):
            below = node.module.removeprefix("scale_tune").lstrip(".")
            for alias in node.names:
                submodule = f"{below}.{alias.name}".lstrip(".")
                names.add(submodule if submodule in ORDER else below)
    return names


def test_the_order_lists_every_module_once():
    assert sorted(ORDER) == sorted(modules())


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_modules_before_it(module):
    before = ORDER[: ORDER.index(module)]
    assert imported(modules()[module]) <= set(before)


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("training", ["ray", "optuna"]),
        ("trial", ["ray", "optuna"]),
        ("features", ["ray", "optuna"]),
        ("dfr", ["ray", "optuna"]),
        ("samplers", ["ray", "torch", "scipy"]),
        ("ledger", ["ray", "torch"]),
        ("results", ["ray", "torch"]),
        ("analysis", ["ray", "torch", "optuna"]),
        ("evaluation", ["ray", "torch", "sklearn", "matplotlib"]),
        ("report", ["ray", "torch", "matplotlib"]),
        ("driver", ["torch"]),
        ("prepare", ["ray", "torch"]),
        ("cli.tune", HEAVY),
        ("cli.analyze", HEAVY),
    ],
)
def test_a_module_does_without(module, forbidden):
    code = f"import sys, scale_tune.{module}; print(*(name for name in {forbidden!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def roots_of_imports(source: str) -> set[str]:
    roots = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.partition(".")[0])
    return roots


@pytest.mark.parametrize(("library", "package"), [("ray", "search"), ("plotly", "report"), ("jinja2", "report")])
def test_only_one_package_names(library, package):
    naming = {name.partition(".")[0] for name, source in modules().items() if library in roots_of_imports(source)}
    assert naming == {package}
