"""Search spaces and command lines as nobody would write them, each a pure function of its number."""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.conftest import REPOSITORY

SPACES = sorted((REPOSITORY / "search_spaces").glob("*.yaml"))
ODD = (
    "0", "-1", "1", "2", "1.5", "-0.0", "1e-320", "1e308", "-1e308", "1e999", ".nan", ".inf", "-.inf", "010", "0x1f",
    str(2**31), str(2**53), str(2**63), str(-(2**63) - 1), "1" + "0" * 30, "9" * 5000, "1_000", "1:30",
    "", "~", "null", "true", "false", "yes", "'1'", '"0.1"', "' '", "x", "X" * 3000, "erm", "scale", "tpe", "grid",
    "é", "\N{SNOWMAN}", '"\\x1b[31m"', '"\\0"', '"\\ud800"', '"a\\nb"', '"\\u202e"', "%", "@", "`", "&", "*x",
    "!", "|", ">",
    "[]", "{}", "[[]]", "[1, [2]]", "{a: b}", "{type: float}", "{type: float, low: 1, high: 2, log: true}",
    "{type: int, low: 1, high: 1000000000000000000000}", "{type: choice, values: [1, 1.0, true]}",
    "{type: choice, values: [a, 1, null]}", "{type: constant, value: 1}", "{type: choice, values: []}",
    "[0, 0]", "[0.5]", "[-1]", "[1, 2, 3", "{", "]", "&a [*a]", "&a {b: *a}", "!!python/object:os.system x",
    "!!set {a}",
    "!!binary aGk=", "!own x", "2026-11-27", "../../etc/passwd", "/dev/zero", "file.py", "file.py:net", "a.b.c",
    "?", "-",
    "{<<: {lr: 1}}", "[{lr: 0.1}]", "[{}]", "[{lr: [1]}, {lr: [1]}]", "{erm: {space: {lr: 1}}}", "timm/x", "resnet18",
)  # fmt: skip
"""Values."""
KEYS = (
    "dataset", "model", "methods", "space", "num_samples", "seeds", "splits", "epochs", "schedule", "objective",
    "sampler",
    "try_first", "scheduler", "search_seed", "keep_top", "resources", "track", "lr", "batch_size", "name", "type",
    "low",
    "high", "log", "values", "value", "file", "variant_of", "weights", "group_size", "dataset.seed", "dataset.x", "",
    "a b",
    "__class__", "model_config", "0", "null", "<<", "é",
)  # fmt: skip
"""Keys."""
_VALUE = re.compile(r"(?<=: )[^\n#{}\[\],]+|(?<=[\[,] )[^\n#{}\[\],]+")
_KEY = re.compile(r"[\w.]+(?=:)")


def space(number: int) -> tuple[str, str]:
    """A shipped search space with a mutation or a few: its name, and what has become of it."""
    draw = random.Random(number)
    path = draw.choice(SPACES)
    text = path.read_text()
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        text = draw.choice(_MUTATIONS)(text, draw)
    return path.name, text


def _replace_one(pattern: re.Pattern[str], by: Sequence[str]) -> Callable[[str, random.Random], str]:
    def mutate(text: str, draw: random.Random) -> str:
        found = list(pattern.finditer(text))
        if not found:
            return text
        one = draw.choice(found)
        return text[: one.start()] + draw.choice(by) + text[one.end() :]

    return mutate


def _of_lines(change: Callable[[list[str], int, random.Random], object]) -> Callable[[str, random.Random], str]:
    def mutate(text: str, draw: random.Random) -> str:
        lines = text.splitlines(keepends=True) or [""]
        change(lines, draw.randrange(len(lines)), draw)
        return "".join(lines)

    return mutate


def _flip(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text) + 1)
    return (
        text[:at]
        + chr(draw.choice((*range(32, 127), 0, 7, 9, 10, 13, 27, 0x85, 0x2028, 0xFEFF, 0x1F600)))
        + text[at + 1 :]
    )


def _cut(text: str, draw: random.Random) -> str:
    return text[: draw.randrange(len(text) + 1)]


def _add(text: str, draw: random.Random) -> str:
    return f"{text}\n{draw.choice(KEYS)}: {draw.choice(ODD)}\n"


_MUTATIONS = (
    *[_replace_one(_VALUE, ODD)] * 5,
    *[_replace_one(_KEY, KEYS)] * 2,
    _of_lines(lambda lines, i, draw: lines.pop(i)),
    _of_lines(lambda lines, i, draw: lines.insert(draw.randrange(len(lines)), lines[i])),
    _of_lines(lambda lines, i, draw: lines.insert(i, draw.choice(("  ", "\t", "- ", "? ", "#")) + lines[i])),
    _of_lines(lambda lines, i, draw: draw.shuffle(lines)),
    _flip,
    _flip,
    _cut,
    _add,
    _add,
)

TEXTS = (
    "", " ", "x", "-", "--", "0", "-1", "1", "1.5", "1e400", "nan", "inf", str(2**63), "9" * 400, "0,1", "0,0", "0,1]#",
    "0;1", ",", "1,", "a,b", "erm", "erm,", "erm,erm", "scale,none", "none,scale", "none", "dfr", "auto", "10m", "0s",
    "9" * 30 + "d", "٣h", "=", "a=", "=b", "epochs=", "epochs=[", "space.lr=1e-3", "a.b.c=1", ".=1", "methods={}",
    "methods.erm=~", "sampler=grid", "seeds=[1]", "space={}", "dataset=1", 'epochs="\\x1b[2J"', "é", "\N{SNOWMAN}",
    "\x1b[31m",
    "a\nb", "\udcff", "../x", "/dev/null", "/dev/full", ".", "s3://", "s3:///x", "s3://key:hush@b/x", "gs://b/x",
    "file:///x", "postgresql://me:hush@h/d", "postgresql://h/d?password=hush", "sqlite:///x", "http://", "tensorboard",
    "tensorboard,x", "x" * 5000, "[", "{", "*", "%s", "${HOME}", "$(id)", "scale,dfr,class,train", "lr=0.1",
    "scale,erm",
)  # fmt: skip
"""What options may be given."""
TUNE = (
    "--name", "--storage", "--ledger", "--methods", "--num-samples", "--epochs", "--seeds", "--max-concurrent",
    "--cpus-per-trial", "--gpus-per-trial", "--time-budget", "--set", "--retry-failed", "--prepare", "--status",
    "--resume", "--prior",
    "--help", "--unknown", "-x",
)  # fmt: skip
ANALYZE = (
    "--top-k",
    "--dfr",
    "--export",
    "--format",
    "--latex",
    "--report",
    "--best",
    "--track",
    "--optuna",
    "--help",
    "--unknown",
)
ECONOMY = ("--orders", "--workers", "--export", "--help", "--unknown")
ABLATE = ("--rows", "--cols", "--metric", "--by", "--at", "--dfr", "--plot", "--difference", "--published", "--export")
FLAGS = ("--retry-failed", "--prepare", "--help", "--unknown", "-x", "--latex", "--published")


def command(number: int, run: Path) -> tuple[str, list[str]]:
    """A script and its arguments: such as start nothing that takes long.

    Args:
        number: of it.
        run: the directory of a run.
    """
    draw = random.Random(number)
    digits = str(REPOSITORY / "search_spaces" / "digits.yaml")
    script, words, options = draw.choice(
        (
            ("tune", [digits, "--dry-run"], TUNE),
            ("tune", ["--resume", str(run), "--dry-run"], TUNE),
            ("tune", ["--status", str(run)], TUNE),
            (
                "tune",
                ["init", "--dataset", "digits", "--methods", "erm"],
                ("--dataset", "--methods", "--csv", "--help"),
            ),
            ("analyze", [str(run), "--dfr", "none"], ANALYZE),
            ("analyze", ["ablation", str(run), "--rows", "lr", "--cols", "batch_size", "--dfr", "none"], ABLATE),
            ("analyze", ["economy", str(run), "--orders", "10"], ECONOMY),
        )
    )
    words = list(words)
    for _ in range(draw.choice((1, 1, 2, 3))):
        option = draw.choice(options)
        words += [option] if option in FLAGS else [option, draw.choice(TEXTS)]
    if draw.random() < 0.2:
        words.insert(draw.randrange(len(words) + 1), draw.choice(TEXTS))
    if draw.random() < 0.1:
        words.pop(draw.randrange(len(words)))
    return script, words
