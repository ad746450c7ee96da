"""Python files of a user's own that a search names: a method, a dataset, a network.

A file is known by its name alone, as ``group_dro.py``. Its text travels with the search: it is copied into the run,
its hash is in the provenance, and workers are given it with each trial. So it need not be installed anywhere, and must
be complete in itself but for packages that are.
"""

import hashlib
import linecache
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from scale_tune.errors import UserError
from scale_tune.spec.reading import read_text, why

Sources = Mapping[str, str]
"""The texts of the files, by name."""

_provided: dict[str, str] = {}
_modules: dict[str, ModuleType] = {}
_places: dict[str, Path] = {}


def read_sources(paths: Mapping[str, Path]) -> dict[str, str]:
    """The texts of files by their names.

    Args:
        paths: where each is, by what to call it in an error, as ``methods.group_dro.file``.

    Raises:
        UserError: one can't be read, is no Python, or two different ones have one name.
    """
    sources: dict[str, str] = {}
    for what, path in paths.items():
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{what}: can't read {path}: {why(error)}; give a Python file, beside the search space"
            ) from None
        try:
            compile(text, str(path), "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the latter two of deep nesting
            raise UserError(f"{what}: {path} is no Python: {error}") from None
        _places[path.name] = path
        if sources.setdefault(path.name, text) != text:
            raise UserError(f"{what}: another file of this search is called {path.name} as well; rename one of them")
    return sources


def provide(sources: Sources) -> None:
    """Make these files known to this process; of equal names the one that came last counts."""
    _provided.update(sources)


def provided(files: Iterable[str]) -> dict[str, str]:
    """The texts of files that are known to this process."""
    return {file: _text(file) for file in files}


def places(files: Iterable[str]) -> list[Path]:
    """Where files were that this process has read by :func:`read_sources`."""
    return [_places[file] for file in files]


def hashes(sources: Sources) -> dict[str, str]:
    """SHA-256 of each file, by name."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sources.items()}


def version(file: str) -> str:
    """What tells a file from what it was before an edit."""
    return hashes({file: _text(file)})[file]


def load(file: str) -> ModuleType:
    """The module that a file makes; it is run once.

    Raises:
        UserError: the file was not provided, or running it raised an error.
    """
    key = version(file)
    if key not in _modules:
        address = f"<{file} {key[:8]}>"
        text = _text(file)
        # So that a traceback shows the lines.
        linecache.cache[address] = (len(text), None, text.splitlines(keepends=True), address)
        module = ModuleType(f"scale_tune_user_{Path(file).stem}")
        module.__file__ = address
        try:
            exec(compile(text, address, "exec"), module.__dict__)  # noqa: S102 - the user's own file, named by the user
        except Exception:
            raise UserError(f"{file} can't be loaded:\n{traceback.format_exc(limit=-3)}") from None
        _modules[key] = module
    return _modules[key]


def load_attribute(reference: str) -> object:
    """What ``file.py:name`` means.

    Raises:
        UserError: as :func:`load`; or the file has nothing of that name.
    """
    file, _, name = reference.partition(":")
    module = load(file)
    if not hasattr(module, name):
        raise UserError(f"{file} has no {name!r}; it has {', '.join(n for n in vars(module) if not n.startswith('_'))}")
    return getattr(module, name)


def load_class(file: str, base: type) -> type:
    """The one class in a file that is derived from ``base``; ``file.py:Name`` names one of several.

    Raises:
        UserError: as :func:`load`; or there is none, or more than one.
    """
    if ":" in file:
        named = load_attribute(file)
        if not (isinstance(named, type) and issubclass(named, base)):
            raise UserError(f"{file} is no class derived from scale_tune.{base.__name__}")
        return named
    module = load(file)
    own = (each for each in vars(module).values() if isinstance(each, type) and issubclass(each, base))
    found = [each for each in own if each.__module__ == module.__name__]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found) or "none"
        raise UserError(
            f"{file} must hold one class derived from scale_tune.{base.__name__}, but has {names}"
            + (f"; name one, as {file}:{found[0].__name__}" if found else "")
        )
    return found[0]


def is_users(cls: type) -> bool:
    """Whether a class is in a file of a user's own."""
    return cls.__module__ in {module.__name__ for module in _modules.values()}


def _text(file: str) -> str:
    name = file.partition(":")[0]
    if name not in _provided:
        raise UserError(f"the file {name} is not known here; name it in the search space, beside which it lies")
    return _provided[name]
