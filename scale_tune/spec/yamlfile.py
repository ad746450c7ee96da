"""YAML as people mean it, with the line of every key.

Some things that PyYAML would let pass matter here: it reads ``1e-3`` as text (YAML 1.1 wants ``1.0e-3``), takes the
last of two equal keys without a word, and makes gigabytes of a few lines whose aliases multiply.
"""

import re
from typing import Any

import yaml

from scale_tune.errors import UserError

Path = tuple[str | int, ...]
"""Keys and list positions from the document's root."""
MOST_VALUES = 20_000
"""In one document; it takes a second or two to read so many."""
_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map"))
"""Tags of what a document is made of; PyYAML's others make dates, bytes, sets or Python's objects of it."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema: numbers with an exponent are numbers; yes, no, on and off are text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # as PyYAML declares it; filled below

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.composed = 0
        self.constructed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node; they are counted, so that a long document is not read to its end."""
        self.composed += 1
        if self.composed > 2 * MOST_VALUES:  # keys are nodes as well
            raise _TooMuchError
        return super().compose_node(parent, index)


class _TooMuchError(Exception):
    pass


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def parse_yaml(text: str, source: str) -> tuple[Any, dict[Path, int]]:
    """The document's value, and the line (from 1) of every key and list item by its path.

    Args:
        text: one YAML document.
        source: what to call it in an error.

    Raises:
        UserError: the text is not YAML, a mapping has a key twice, or there is too much of it; the message names the
            line where one is wrong.
    """
    lines: dict[Path, int] = {}
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        value = None if root is None else _construct(loader, root, (), lines, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        raise UserError(f"{where}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    except _TooMuchError:
        raise UserError(
            f"{source}: not usable: with what its aliases repeat, it has more than {MOST_VALUES:,} values; shorten it"
        ) from None
    except RecursionError:
        raise UserError(f"{source}: not usable: an alias contains itself, or the nesting is too deep") from None
    return value, lines


def on_one_line(value: Any) -> str:
    """Plain data as YAML that may stand behind a key."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _construct(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int], source: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    loader.constructed += 1
    if loader.constructed > MOST_VALUES:
        raise _TooMuchError
    if isinstance(node, yaml.SequenceNode):
        _check_tag(node, source)
        return [_construct(loader, item, (*path, i), lines, source) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node, source)
    _check_tag(node, source)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError(
                f"{source}:{line}: a key is a word, and not a list or a mapping; quote what is meant as text"
            )
        key = str(_scalar(loader, key_node, source))
        if key in mapping:
            raise UserError(
                f"{source}:{line}: the key {key!r} stands twice, first in line {lines[*path, key]}; leave one out"
            )
        lines[*path, key] = line
        mapping[key] = _construct(loader, value_node, (*path, key), lines, source)
    return mapping


def _check_tag(node: yaml.Node, source: str) -> None:
    if node.tag not in _PLAIN:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise UserError(f"{source}:{node.start_mark.line + 1}: the tag {tag} means nothing here; leave it out")


def _scalar(loader: _Loader, node: yaml.Node, source: str) -> Any:
    _check_tag(node, source)
    try:
        if node.tag == "tag:yaml.org,2002:int":
            return int(node.value)  # PyYAML reads 010 as octal
        return loader.construct_object(node)
    except (ValueError, KeyError, AttributeError, TypeError):
        line = node.start_mark.line + 1
        raise UserError(f"{source}:{line}: {node.value!r} is no {node.tag.rpartition(':')[2]}") from None
