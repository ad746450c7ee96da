"""What the pages show as code, by page and line."""

import re
import shlex
from dataclasses import dataclass

from tests.conftest import REPOSITORY

PLACES = ("*.md", "docs/*.md", "cluster/*.md", "benchmarks/*.md", "examples/*/*.md")
PAGES = sorted(path for place in PLACES for path in REPOSITORY.glob(place))
FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:python |\.venv/bin/python )?(?:tune\.py|analyze\.py|scale-tune|scale-analyze|make) [^`]+)`")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Code of a page, between fences or within a line.

    Attributes:
        page: path of the page below the repository.
        line: where it begins.
        language: that of the fence; none, if nothing is to be run.
        text: what it says.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def fenced(*languages: str) -> list[Block]:
    """The blocks of these languages, of all pages in order; of all languages, if none is named."""
    found = []
    for path, text in texts():
        for match in FENCED.finditer(text):
            if not languages or match["language"] in languages:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(page=path, line=line, language=match["language"], text=match["text"]))
    return found


def inline() -> list[Block]:
    """The commands of this package, and of its Makefile, that stand within lines."""
    found = []
    for path, text in texts():
        prose = FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
        for match in INLINE.finditer(prose):
            line = prose.count("\n", 0, match.start()) + 1
            found.append(Block(page=path, line=line, language="bash", text=match[1].replace("\n", " ")))
    return found


def texts() -> list[tuple[str, str]]:
    """Of all pages."""
    return [(str(path.relative_to(REPOSITORY)), path.read_text()) for path in PAGES]
