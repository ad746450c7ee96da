"""What a job takes along to the cluster: this package and files of the user's, in a directory to be started in."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

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


@contextmanager
def job_directory(files: Sequence[Path]) -> Iterator[Path]:
    """A directory with the package and the files, to be uploaded; it is gone afterwards."""
    with TemporaryDirectory(prefix="scale-tune-") as made:
        directory = Path(made)
        shutil.copytree(PACKAGE, directory / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
        for file, place in places(files).items():
            (directory / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, directory / place)
        yield directory
