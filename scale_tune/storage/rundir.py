"""The directory of a run: where everything is, and the spec with how the run was made."""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.loading import Check, override, validate_spec
from scale_tune.spec.mistakes import broken_rule
from scale_tune.spec.space import RunSpec
from scale_tune.spec.yamlfile import parse_yaml
from scale_tune.storage.database import Database
from scale_tune.storage.location import Location, sync_directory, write_atomically
from scale_tune.storage.provenance import provenance
from scale_tune.storage.umask import umask

FORMAT = 2
"""Of what a run's directory holds; raised when code from before can't read it, or this code what was there before."""
RECORD_FILE, ERROR_FILE = "record.json", "error.log"
"""In a trial's directory: what is remembered of it once it has ended, and of a failed one what it raised."""


class RunDir:
    """Paths below one run's directory."""

    def __init__(self, path: str | Path | Location) -> None:
        self.path = Location.of(path)
        self.spec = self.path / "spec.yaml"
        self.results = self.path / "results"
        self.trials = self.path / "trials"
        self.code = self.path / "code"
        self.prepared = self.path / "prepared"

    def trial(self, name: str) -> Location:
        """The directory of one trial."""
        return self.trials / name

    def error(self, name: str) -> Location:
        """Of a trial that has failed, what it raised, with the whole traceback; the ledger has it as well."""
        return self.trial(name) / ERROR_FILE

    @cached_property
    def ledger(self) -> Path | Database:
        """Where the ledger is: beside the spec, unless the run was started with a database."""
        if (database := self._content().get("ledger")) is not None:
            return Database(**database)
        if self.path.local is None:
            raise UserError(f"{self.spec} names no database for the ledger; restore it from a copy")
        return self.path.local / "ledger.log"

    @cached_property
    def identity(self) -> str:
        """Tells it from all other runs, whatever they are called."""
        return str(self._content().get("id"))

    @property
    def writable(self) -> bool:
        """Whether an analysis can keep anything there; of an object store it shows when it is written to."""
        return self.path.local is None or os.access(self.path.local, os.W_OK)

    def read_spec(self, overrides: dict[str, Any] | None = None, check: Check | None = None) -> RunSpec:
        """What the run searches.

        Args:
            overrides: values by dotted key that replace those of the run.
            check: a further look at it, by which its Python files must be known (:meth:`sources`).

        Raises:
            UserError: this is not the directory of a run, or an overriding value is wrong.
        """
        data, lines = self._parsed()
        places = {key[1:]: f"{self.spec}:{line}" for key, line in lines.items() if key[:1] == ("spec",)}
        override(data["spec"], places, overrides or {})
        return validate_spec(data["spec"], places, str(self.spec), check)

    def provenance(self) -> dict[str, Any]:
        """How the run was made, and by its key ``resumed`` how it was resumed."""
        found: dict[str, Any] = self._content()["provenance"]
        return found

    def sources(self) -> dict[str, str]:
        """The users' Python files that the run names, as they were when it was started.

        Raises:
            UserError: one is gone or was changed; the run's results would no longer be of one code.
        """
        found = {}
        for name, known in self.provenance().get("code", {}).items():
            try:
                found[name] = (self.code / name).read().decode()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"can't read {self.code / name}: {error}; restore it from a copy") from None
            if usercode.hashes({name: found[name]})[name] != known:
                raise UserError(
                    f"{self.code / name} was changed since the run was started, so its trials would differ; restore "
                    "it, or start a new run with the changed file"
                )
        return found

    def data(self) -> dict[str, str]:
        """What identifies the data and weights that the run trains on; see :func:`search.cluster.check_cluster`."""
        found: dict[str, str] = self._content().get("data", {})
        return found

    def note_resumed(self, spec: RunSpec, now: dict[str, Any]) -> None:
        """Note that the run goes on, by which command and versions, and what it searches from now on."""
        content = self._content()
        content["provenance"].setdefault("resumed", []).append(now)
        content["spec"] = plain_spec(spec)
        self.spec.write(_text(content))

    def _content(self) -> dict[str, Any]:
        return self._parsed()[0]

    def _parsed(self) -> tuple[dict[str, Any], dict[Any, int]]:
        try:
            text = self.spec.read().decode()
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{self.path} is not the directory of a run: it has no spec.yaml; give one that has, as runs/demo"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"can't read {self.spec}: {error}") from None
        data, lines = parse_yaml(text, str(self.spec))
        if not isinstance(data, dict) or not all(isinstance(data.get(key), dict) for key in ("spec", "provenance")):
            raise UserError(f"{self.spec} is not the spec of a run: it has no mappings 'spec' and 'provenance'")
        _check_shape(data, self.spec, lines)
        if data.get("format") != FORMAT:
            raise UserError(_of_another_version(self.path, data["provenance"]))
        return data, lines


class _Database(TypedDict):
    url: str
    run: str


class _Provenance(TypedDict, total=False):
    code: dict[Annotated[str, Field(pattern=r"^[^/]+$")], str]
    versions: dict[str, str | None]
    resumed: list[dict[str, Any]]


class _Content(TypedDict, total=False):
    provenance: _Provenance
    data: dict[str, str]
    ledger: _Database


_CONTENT = TypeAdapter(_Content)
"""What is written beside the spec, of which more may be there."""


def _check_shape(content: dict[str, Any], file: Location, lines: Mapping[tuple[str | int, ...], int]) -> None:
    try:
        _CONTENT.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        path = first["loc"]
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)
        where = ".".join(map(str, path))
        raise UserError(f"{file}:{line}: {where}: {broken_rule(first)}; restore the file from a copy") from None


def _of_another_version(path: Location, made: dict[str, Any]) -> str:
    versions = made.get("versions")
    version = versions.get("scale-tune") if isinstance(versions, dict) else None
    by = ", ".join(f"{what} {of}" for what, of in (("version", version), ("commit", made.get("git_commit"))) if of)
    return (
        f"the run {path} was made by another scale-tune{f' ({by})' if by else ''}, whose files this one can't check; "
        f"use that one for it, or search the same anew by\n  python tune.py {path / 'spec.yaml'}"
    )


def check_name(name: str) -> None:
    """Whether a run can have this name.

    Raises:
        UserError: it can't be a directory's.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UserError(
            "--name: must be up to 100 letters, digits, '.', '_' and '-', and start with a letter or digit, "
            f"got {name!r}; use --storage for the directory it goes into"
        )


def check_new_run(storage: Location, name: str) -> RunDir:
    """Where the run would be.

    Raises:
        UserError: the name can't be a directory's, or is taken; or the storage can't be reached.
    """
    check_name(name)
    path = storage / name
    try:
        taken = path.exists()
        above = () if storage.local is None else (storage.local, *storage.local.parents)
        for place in above:
            if os.path.lexists(place):
                if not place.is_dir():
                    raise NotADirectoryError(f"{place} is no directory")
                break
    except OSError as error:
        raise UserError(f"can't reach --storage {storage}: {error}; choose another") from None
    if taken:
        raise UserError(
            f"the run {path} exists; go on with it by\n  python tune.py --resume {path}\nor choose another --name"
        )
    return RunDir(path)


def create_run(
    storage: Location,
    name: str,
    spec: RunSpec,
    data: dict[str, str],
    database: Database | None = None,
    priors: Sequence[Mapping[str, Any]] = (),
) -> RunDir:
    """Make the directory of a new run, complete with its spec, or nothing.

    Args:
        storage: what the directory goes into.
        name: of the directory.
        spec: what is searched.
        data: what identifies the data that it trains on.
        database: where the ledger is, if not in the directory.
        priors: from which trials of which runs points to try first are, for the provenance.

    Raises:
        UserError: as :func:`check_new_run`, or the storage can't be written.
    """
    run = check_new_run(storage, name)
    sources = usercode.provided(spec.files)
    made = provenance() | {"code": usercode.hashes(sources)}
    if priors:
        made["priors"] = [dict(prior) for prior in priors]
    content = {"format": FORMAT, "id": secrets.token_hex(8), "provenance": made, "data": data, "spec": plain_spec(spec)}
    if database is not None:
        content["ledger"] = asdict(database)
    try:
        if run.path.local is None:
            for file, text in sources.items():
                (run.code / file).write(text.encode())
            run.spec.write(_text(content))
        else:
            _create_directory(run.path.local, content, sources)
    except OSError as error:
        raise UserError(f"can't make the run {run.path}: {error}; choose another --storage or --name") from None
    return run


def _create_directory(path: Path, content: dict[str, Any], sources: usercode.Sources) -> None:
    storage = path.parent
    storage.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=storage))
    try:
        write_atomically(temporary / "spec.yaml", _text(content))
        for file, text in sources.items():
            write_atomically(temporary / "code" / file, text.encode())
        # From now on a run without a ledger is one that lost it, and not one that has not begun.
        if "ledger" not in content:
            write_atomically(temporary / "ledger.log", b"")
        temporary.chmod(0o777 & ~umask())
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(storage)


def _text(content: dict[str, Any]) -> bytes:
    text = "# Written by scale-tune: what this run searches, and how it was made.\n"
    return (text + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).encode()


def plain_spec(spec: RunSpec) -> dict[str, Any]:
    """The spec as plain data, which :func:`scale_tune.spec.loading.validate_spec` takes back."""
    return spec.model_dump(mode="json")
