"""What a dataset is made of: one class in one file, known by one line of the registry, or by a file of a user's own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from scale_tune.datasets.splits import DatasetInfo, SplitName, SplitPlan
from scale_tune.errors import UserError
from scale_tune.spec.frozen import MOST, Frozen


class DatasetOptions(Frozen):
    """What a dataset is loaded with; a search may vary each option whose value is a number, a text or a yes or no.

    Every field has a default, or is an error where a search names neither a value nor a range for it.
    """

    seed: int = Field(default=0, ge=0, le=MOST)
    """Seed of all that is drawn: the split into train, target, val and test, and what the dataset draws besides."""


class Dataset(ABC):
    """Four disjoint splits of (image, label, attribute), made from source files or from nothing.

    A subclass says how; preparing, caching, sharing between processes, normalising and augmenting are done for it.

    Attributes:
        Options: the class of its options.
        versions: versions of the code that its arrays depend on, by what each is of. Whoever changes what that code
            makes raises its number, and prepared copies are then made anew. (Of a file of a user's own, the content
            is its version.)
        suggested: keys of a search space with which a search on it may begin, as plain data; ``tune.py init`` writes
            them.
        options: what it is loaded with.
    """

    Options: ClassVar[type[DatasetOptions]] = DatasetOptions
    versions: ClassVar[Mapping[str, int]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def info(self) -> DatasetInfo:
        """How its images are presented and its groups judged. May read lists, but no images.

        Raises:
            UserError: a list is missing or wrong; the message says what to put where.
        """

    @abstractmethod
    def plan(self) -> Mapping[SplitName, SplitPlan]:
        """All four splits, a pure function of the options and the source files.

        Raises:
            UserError: source files are missing or wrong, or don't suffice for the options.
        """

    def files(self) -> Sequence[Path]:
        """The source files; prepared data are made anew when one of them changes. Of many pictures, their list.

        Raises:
            UserError: one is missing; the message says what to put where.
        """
        return ()

    def download(self) -> None:
        """Fetch the source files that are missing.

        Raises:
            UserError: that can't be done.
        """
        self.files()
        raise UserError("this dataset has nothing to download")
