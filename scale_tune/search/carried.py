"""What is sent to a cluster: this package as it was published, and files of the user's that a job takes along."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path, PurePosixPath

from scale_tune.search.leftovers import own_directory

PACKAGE = Path(__file__).parents[1]
FILES = PurePosixPath("files")
"""The directory of the user's files, beside the package."""


def places(files: Sequence[Path]) -> dict[Path, PurePosixPath]:
    """Where files will be, in the layout that they have here: relative paths from one to another still hold.

    Args:
        files: by paths from the current directory or the root.

    Returns:
        For each file, its path from the job's directory.
    """
    if not files:
        return {}
    # Without `..`, but through links: what stands in a file is meant from where the file is named.
    absolute = {file: Path(os.path.abspath(file)) for file in files}  # noqa: PTH100
    root = os.path.commonpath([path.parent for path in absolute.values()])
    return {file: FILES / path.relative_to(root).as_posix() for file, path in absolute.items()}


def package_files(package: Path = PACKAGE) -> list[Path]:
    """The package's own files: those that git knows, or that the wheel has brought.

    Whatever else somebody has left in its folder is for nobody to run. Where neither tells, as in a copy of a checkout,
    all files are the package's.
    """
    known = _known_to_git(package) or _of_wheel(package) or list(package.rglob("*"))
    return sorted(file for file in known if file.is_file() and "__pycache__" not in file.parts)


def _known_to_git(package: Path) -> list[Path]:
    if not (package.parent / ".git").exists():
        return []
    command = ["git", "-C", str(package), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, check=False).stdout
    return [package / os.fsdecode(name) for name in listed.split(b"\0") if name]


def _of_wheel(package: Path) -> list[Path]:
    try:
        listed = metadata.files("scale-tune") or []
    except metadata.PackageNotFoundError:
        return []
    return [file for file in map(Path, map(str, (each.locate() for each in listed))) if file.is_relative_to(package)]


@contextmanager
def job_directory(files: Sequence[Path]) -> Iterator[Path]:
    """A directory with the package and the files, to be uploaded and started in; it is gone afterwards."""
    with own_directory() as made:
        directory = made / "job"
        directory.mkdir()
        there = {file: Path(PACKAGE.name) / file.relative_to(PACKAGE) for file in package_files()}
        for file, place in {**there, **places(files)}.items():
            (directory / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, directory / place)
        yield directory
