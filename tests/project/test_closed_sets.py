"""Methods, datasets and networks are open sets: nothing but their own files and the registries knows one by name."""

import ast

from scale_tune.datasets.registry import DATASETS
from scale_tune.methods.method_registry import METHODS
from scale_tune.networks.network_registry import OWN
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "scale_tune"
NAMES = {*METHODS, *DATASETS, *OWN, "resnet18", "resnet50"}
REGISTRIES = {"datasets/registry.py", "methods/method_registry.py", "networks/network_registry.py"}
OWN_FILES = {
    PACKAGE / reference.partition(":")[0].removeprefix("scale_tune.").replace(".", "/")
    for reference in (*METHODS.values(), *DATASETS.values(), *OWN.values())
}
PROTOCOLS = {"spec/config.py"}
"""Where ``scale`` names a protocol of DFR."""


def distinctions(tree: ast.AST) -> list[tuple[int, str]]:
    """Where the code distinguishes by one of the names: in comparisons, cases, keys, look-ups and lists."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            values = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            values = [node.value]
        elif isinstance(node, ast.Dict):
            values = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            values = node.elts
        elif isinstance(node, ast.Subscript):
            values = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # as name.startswith(…), table.get(…)
            values = node.args
        else:
            continue
        inner = (each for value in values for each in ast.walk(value))
        found += [(c.lineno, c.value) for c in inner if isinstance(c, ast.Constant) and c.value in NAMES]
    return found


def test_nothing_distinguishes_methods_datasets_or_networks_by_name():
    offenders = []
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE))
        if name in REGISTRIES or name in PROTOCOLS or path.with_suffix("") in OWN_FILES:
            continue
        offenders += [f"{name}:{line}: {value}" for line, value in distinctions(ast.parse(path.read_text()))]
    assert offenders == []


def test_it_would_notice():
    code = (
        "if method == 'erm': pass\nmatch d:\n    case 'digits': pass\nx = {'scale': 1}\ny = t['small_cnn']\n"
        "SPECIAL = ('jtt',)\nLIST = ['afr']\nSET = {'lisa'}\nm.startswith('rwg')\n"
    )
    found = {value for _, value in distinctions(ast.parse(code))}
    assert found == {"erm", "digits", "scale", "small_cnn", "jtt", "afr", "lisa", "rwg"}
