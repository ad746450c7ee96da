"""Search spaces as files: YAML and command-line overrides to a validated :class:`scale_tune.spec.space.RunSpec`.

Everything that is wrong becomes a message with file, line and remedy.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.frozen import LocatedError
from scale_tune.spec.mistakes import broken_rule
from scale_tune.spec.parameters import PARAMETER_TYPES
from scale_tune.spec.reading import read_text, why
from scale_tune.spec.space import RunSpec
from scale_tune.spec.yamlfile import Path as KeyPath
from scale_tune.spec.yamlfile import parse_yaml

Check = Callable[[RunSpec], RunSpec]
"""Looks at what can only be seen from above; what is wrong is a LocatedError."""
MOST_MISTAKES = 15
"""Told at once."""


def load_spec(
    path: Path,
    overrides: dict[str, Any] | None = None,
    methods: list[str] | None = None,
    epochs: int | None = None,
    check: Check | None = None,
) -> RunSpec:
    """The search space in a YAML file; the Python files that it names are known to this process afterwards.

    Args:
        path: the file; or the ``spec.yaml`` of a run, whose Python files are in ``code`` beside it.
        overrides: values by dotted key, as ``{"scheduler.grace_period": 2}``, that replace the file's.
        methods: the methods to search instead of the file's; those in the file keep what it says of them.
        epochs: for every method, also those that have epochs of their own in the file.
        check: a further look at it.

    Raises:
        UserError: the file can't be read or what it says can't be run; one line per mistake.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UserError(f"there is no search space {path}; see search_spaces/ for those that ship") from None
    except (OSError, ValueError) as error:
        if (path / "spec.yaml").is_file():
            raise UserError(
                f"{path} is a run: go on with it by --resume {path}, or search the same anew by giving {path}/spec.yaml"
            ) from None
        raise UserError(f"can't read the search space {path}: {why(error)}; give a YAML file in UTF-8") from None
    data, lines = parse_yaml(text, str(path))
    beside = path.parent
    if isinstance(data, dict) and data.keys() >= {"spec", "provenance"}:  # of a run
        data, beside = data["spec"], beside / "code"
        lines = {key[1:]: line for key, line in lines.items() if key[:1] == ("spec",)}
    if not isinstance(data, dict):
        got = "nothing" if data is None else "a list" if isinstance(data, list) else repr(data)
        raise UserError(
            f"{path}: must be a mapping of keys, as methods and space, got {got}; see search_spaces/ for examples"
        )
    places = {key_path: f"{path}:{line}" for key_path, line in lines.items()}
    if isinstance(data.get("methods"), list):
        data["methods"] = dict.fromkeys(map(str, data["methods"]))
    if methods is not None:
        in_file = data.get("methods")
        data["methods"] = {method: in_file.get(method) if isinstance(in_file, dict) else None for method in methods}
        places |= {("methods", method): "command line" for method in methods if method not in (in_file or ())}
    if epochs is not None:
        overrides = {"epochs": epochs} | (overrides or {})
        for own in data["methods"].values() if isinstance(data.get("methods"), dict) else ():
            if isinstance(own, dict):
                own.pop("epochs", None)
    override(data, places, overrides or {})
    usercode.provide(usercode.read_sources(_take_files(data, beside)))
    return validate_spec(data, places, str(path), check)


def _take_files(data: dict[str, Any], directory: Path) -> dict[str, Path]:
    """Where the Python files are that a search space names, by key; in it, their names are left."""
    found: dict[str, Path] = {}

    def name_of(where: str, text: str) -> str:
        file, colon, attribute = text.partition(":")
        found[where] = directory / file
        return f"{Path(file).name}{colon}{attribute}"

    methods = data.get("methods")
    owners = {f"methods.{name}": own for name, own in methods.items()} if isinstance(methods, dict) else {}
    for where, owner in {"dataset": data.get("dataset"), **owners}.items():
        if isinstance(owner, dict) and isinstance(owner.get("file"), str):
            owner["file"] = name_of(f"{where}.file", owner["file"])
    model = data.get("model")
    if isinstance(model, dict) and isinstance(model.get("name"), str) and ":" in model["name"]:
        model["name"] = name_of("model.name", model["name"])
    return found


def validate_spec(data: dict[str, Any], places: dict[KeyPath, str], source: str, check: Check | None = None) -> RunSpec:
    """The spec that plain data describes.

    Args:
        data: as YAML gives it.
        places: where each key stands, as ``file:line``, to be named in errors.
        source: what to name where a key has no place.
        check: a further look at it.

    Raises:
        UserError: one line per mistake.
    """
    try:
        spec = RunSpec.model_validate(data)
    except ValidationError as error:
        mistakes = [_message(e, places, source) for e in error.errors()]
        more = [f"and {len(mistakes) - MOST_MISTAKES:,} more mistakes"] if len(mistakes) > MOST_MISTAKES else []
        raise UserError("\n".join(mistakes[:MOST_MISTAKES] + more)) from None
    try:
        return check(spec) if check else spec
    except LocatedError as error:
        raise UserError(_located(error.path, str(error), places, source)) from None


def _message(error: ErrorDetails, places: dict[KeyPath, str], source: str) -> str:
    cause = error.get("ctx", {}).get("error")
    path = tuple(error["loc"]) + (cause.path if isinstance(cause, LocatedError) else ())
    # The name of a union's member, as "float" in space.lr.float.low, is no key of the file.
    path = tuple(
        part for i, part in enumerate(path) if not (i >= 2 and part in PARAMETER_TYPES and path[i - 2] == "space")
    )
    return _located(path, broken_rule(error), places, source)


def _located(path: KeyPath, rule: str, places: dict[KeyPath, str], source: str) -> str:
    known = next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), source)
    return f"{known}: {'.'.join(map(str, path))}: {rule}"


def override(data: dict[str, Any], places: dict[KeyPath, str], overrides: dict[str, Any]) -> None:
    """Replace values of plain data by dotted keys, and note in ``places`` that the command line set them."""
    for key, value in overrides.items():
        if not all(key.split(".")):
            raise UserError(f"can't set {key!r}: a key is names with dots between, as scheduler.name")
        path = _override(data, key, value)
        for below in [place for place in places if place[: len(path)] == path]:
            del places[below]
        places[path] = "command line"


def _override(data: dict[str, Any], key: str, value: Any) -> KeyPath:
    """Set a dotted key and return its path. In a ``space`` the names of parameters may contain dots themselves."""
    path: tuple[str, ...] = ()
    rest = key
    while True:
        name = _first_key(rest, data, within_space=path[-1:] == ("space",))
        path, rest = (*path, name), rest[len(name) + 1 :]
        if not rest:
            data[name] = value
            return path
        if data.get(name) is None:
            data[name] = {}
        if not isinstance(data[name], dict):
            raise UserError(f"can't set {key}: {'.'.join(path)} is {data[name]!r}, which has no keys")
        data = data[name]


def _first_key(dotted: str, data: dict[str, Any], *, within_space: bool) -> str:
    prefixes = [dotted[:i] for i, character in enumerate(dotted) if character == "."] + [dotted]
    existing = [prefix for prefix in prefixes if prefix in data]
    if existing:
        return existing[-1]
    return dotted if within_space else prefixes[0]
