"""Every command and snippet of the pages works. One that no rule here knows is a failure: add a rule, or correct it.

Commands of this package are run, on runs that are made up, up to where workers would train or refit and figures would
be drawn. Of a program of somebody else's, its files are looked for and what it passes on to this package is run. Pages
whose snippets belong together have tests of their own.
"""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
import typer

from scale_tune.cli.ablate import ablation_app
from scale_tune.cli.analyze import analyze_app
from scale_tune.cli.economise import economy_app
from scale_tune.cli.init import init_app
from scale_tune.cli.tune import tune_app
from scale_tune.methods import registered_methods
from scale_tune.spec.config import Hyperparameters
from scale_tune.spec.loading import validate_spec
from scale_tune.spec.space import DATASET, RunSpec
from scale_tune.spec.yamlfile import parse_yaml
from scale_tune.storage.location import Location
from scale_tune.workflows.resolving import resolved
from tests.conftest import REPOSITORY
from tests.support.ablations import grid_spec
from tests.support.blocks import FENCED, Block, fenced, inline, texts
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

LANGUAGES = {"", "bash", "python", "sql", "yaml"}
TOGETHER = {"docs/example.md": ("python", "sql"), "docs/extending.md": ("python", "yaml")}
"""Snippets that make a whole, which test_docs.py and test_extending.py run."""
APPS = {"tune": tune_app, "init": init_app, "analyze": analyze_app, "ablation": ablation_app, "economy": economy_app}
COMMANDS = {"tune.py": "tune", "scale-tune": "tune", "analyze.py": "analyze", "scale-analyze": "analyze"}
OTHERS_OPTIONS = {"--dashboard-host", "--logdir", "--project", "--backend-store-uri", "--nv"}
"""Of programs of somebody else's, which the pages speak of."""
ELSEWHERE = ("s3://", "postgresql://")
"""What a command would have to reach."""
MADE_UP = {"runs/ablation": "grid", "runs/grid": "grid", "runs/random": "random"}
"""Of which kind a run is; all others are the demo."""


def those(*languages: str) -> list[Block]:
    return [block for block in fenced(*languages) if block.language not in TOGETHER.get(block.page, ())]


def of(blocks: list[Block]):
    return pytest.mark.parametrize("block", blocks, ids=str)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory) -> dict[str, Path]:
    """A run of the demo's methods with its tables, one of the published ablation, one of full-length trials."""
    from scale_tune.workflows.evaluate import evaluate

    root = tmp_path_factory.mktemp("made-up")
    mode = {"regularize_mode": {"type": "choice", "values": ["linear", "step"]}}
    demo = fast_spec(methods={"erm": {}, "erm_target": {}, "scale": {"space": mode}}, num_samples=4, epochs=2)
    grid = resolved(grid_spec(model={"name": "resnet18"}, scheduler={"name": "none"}, epochs=1))
    random = fast_spec(num_samples=6, sampler="random", scheduler={"name": "none"})
    specs = {"demo": demo, "grid": grid, "random": random}
    runs = {name: make_run(root, spec, made_up=True, name=name) for name, spec in specs.items()}
    evaluate([runs["demo"]], (), None, lambda line: None)
    return {name: root / name for name in runs}


@pytest.fixture
def here(made_up, tmp_path, monkeypatch):
    """The current directory: a checkout of this repository, in which nothing trains or refits."""
    for folder in ("search_spaces", "examples", "cluster", "docs"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    for made in ("search.yaml", "my.yaml"):  # what the pages call a search space of the reader's
        shutil.copy(REPOSITORY / "search_spaces" / "digits.yaml", tmp_path / made)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made_up["demo"], "runs/demo")
    for target in ("launch", "resume", "confirm"):
        monkeypatch.setattr(f"scale_tune.workflows.driver.{target}", lambda *_, **__: True)
    for target in ("evaluate", "ablating"):
        monkeypatch.setattr(f"scale_tune.workflows.{target}.refit_missing", lambda *_: None)
    monkeypatch.setattr("scale_tune.workflows.reporting.write_reports", lambda *_: [Location.of("report.html")])
    for figure in ("ablation_figure", "beside_figure", "contrast_figure"):
        monkeypatch.setattr(f"scale_tune.report.ablation_figures.{figure}", lambda *_: {"png": b""})
    monkeypatch.setattr("scale_tune.report.economy_figure.policy_figure", lambda *_: {"png": b""})
    monkeypatch.setattr("scale_tune.workflows.rehearsal.rehearse", lambda *_: None)
    monkeypatch.setattr("scale_tune.datasets.ahead.prepare", lambda *_: None)
    monkeypatch.setattr("scale_tune.search.jobs.run_job", lambda *_: 0)
    return made_up


# Commands


@of(those("bash"))
def test_every_command_of_a_block_works(block, here):
    for words in block.commands:
        perform(words, here)


def perform(words: list[str], made_up: dict[str, Path]) -> None:
    """A command as far as it can be had here; several with && between them."""
    if "&&" in words:
        at = words.index("&&")
        perform(words[:at], made_up)
        perform(words[at + 1 :], made_up)
        return
    while re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    program, *arguments = words
    if Path(program).name == "python":
        program, *arguments = arguments
    name = Path(program).name
    assert name in RULES, f"no rule says how {name} is tested; add one to RULES"
    RULES[name](program, arguments, made_up)


def tune(_: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    if any(place in word for word in arguments for place in ELSEWHERE):
        parse("tune", arguments)
        return
    if arguments[0] == "init":
        Path(arguments[-1]).unlink(missing_ok=True)
    if "--name" in arguments:
        shutil.rmtree(Path("runs") / arguments[arguments.index("--name") + 1], ignore_errors=True)
    succeed("tune", arguments, made_up)


def analyze(_: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    succeed("analyze", arguments, made_up)


def succeed(command: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    for word in arguments:
        if re.fullmatch(r"runs/\w+", word) and not Path(word).exists():
            shutil.copytree(made_up[MADE_UP.get(word, "demo")], word)
    result = call(command, *arguments)
    assert result.returncode == 0, result.stderr


def parse(command: str, arguments: list[str]) -> None:
    """See that the command takes these arguments."""
    with typer.main.get_command(APPS[command]).make_context(command, list(arguments)):
        pass


def submit(_: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    """A script of cluster/ with the arguments of a search, by a scheduler or a shell."""
    (at,) = (i for i, word in enumerate(arguments) if word.startswith("cluster/"))
    assert Path(arguments[at]).exists(), arguments[at]
    tune("", arguments[at + 1 :], made_up)


def ray(_: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    subcommand, config, *inner = arguments
    assert subcommand in ("up", "exec")
    assert Path(config).exists(), config
    for line in inner:
        for words in Block(page="", line=0, language="bash", text=line).commands:
            perform(words, made_up)


def name_files(_: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    """Of a program that is somebody else's, only the files of this repository."""
    for word in arguments:
        if word.split("/")[0] in ("cluster", "docs", "examples", "search_spaces"):
            assert Path(word).exists(), word


def make(_: str, arguments: list[str], made_up: dict[str, Path] | None) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in arguments:
        assert f"\n{target}:" in makefile, f"make {target}"


def install(_: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in arguments:
        assert set(re.findall(r"\w+", (re.findall(r"\[(.*)\]", word) or [""])[0])) <= set(extras), word


def script(program: str, arguments: list[str], made_up: dict[str, Path]) -> None:
    """A script of this repository's, which a test of its own runs."""
    assert Path(program).exists(), program


RULES = {
    **{name: tune if command == "tune" else analyze for name, command in COMMANDS.items()},
    "make": make,
    "pip": install,
    "sbatch": submit,
    "bash": submit,
    "optuna-dashboard": name_files,
    "ray": ray,
    "kubectl": name_files,
    "rsync": name_files,
    "cd": name_files,
    "uv": install,
    "touch": name_files,
    "make_images.py": script,
}
"""How a program is tested, by its name."""


@of(inline())
def test_every_command_within_a_line_has_options_that_exist(block):
    (words,) = block.commands
    if words[0] == "make":
        make("", words[1:], None)
        return
    at = next(i for i, word in enumerate(words) if word in COMMANDS)
    command = next((word for word in words[at + 1 : at + 2] if word in APPS), COMMANDS[words[at]])
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options_of(command)


def options_of(command: str) -> set[str]:
    options = {option for parameter in typer.main.get_command(APPS[command]).params for option in parameter.opts}
    return options | {"--help"}


def test_every_option_within_a_line_exists():
    known = {option for command in APPS for option in options_of(command)} | OTHERS_OPTIONS
    for page, text in texts():
        assert set(re.findall(r"`(--[a-z][a-z-]*)", text)) <= known, page


# Snippets


@of(those("python"))
def test_every_python_block_runs(block, here, capsys):
    exec(block.text, {})
    assert capsys.readouterr().out


@of(those("sql"))
def test_every_query_finds_something(block, here):
    import duckdb

    assert duckdb.sql(block.text).fetchall()


@of(those("yaml"))
def test_every_piece_of_a_search_space_passes_validation(block):
    """Keys of the top, or parameters where they belong."""
    piece = parse_yaml(block.text, str(block))[0]
    if piece.keys() <= RunSpec.model_fields.keys():
        space = {"methods": {"erm": None}, "space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-1}}} | piece
    else:
        space = {"methods": {}, "space": {}}
        for name, parameter in piece.items():
            if name in Hyperparameters.model_fields or name.startswith(DATASET):
                space["space"][name] = parameter
            else:
                owner = next(method for method, cls in registered_methods() if name in cls.Options.model_fields)
                space["methods"][owner] = {"space": {name: parameter}}
    if "try_first" in piece:
        space["space"] |= {"batch_size": {"type": "int", "low": 8, "high": 64}}
    validate_spec(space, {}, str(block), resolved)


# Links


@pytest.mark.parametrize(("page", "text"), texts(), ids=[page for page, _ in texts()])
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page, text):
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", FENCED.sub("", text)):
        file, _, heading = target.partition("#")
        path = REPOSITORY / page if not file else (REPOSITORY / page).parent / file
        assert path.exists(), target
        if heading:
            assert heading in anchors(path.read_text()), target


def test_every_file_that_a_page_names_is_there():
    named = r"\b((?:benchmarks|cluster|docs|examples|scale_tune|search_spaces|tests)/[\w*/-]+\.\w+)"
    found = {(page, name) for page, text in texts() if page != "docs/extending.md" for name in re.findall(named, text)}
    assert len(found) > 30
    assert [each for each in sorted(found) if not list(REPOSITORY.glob(each[1]))] == []


def anchors(text: str) -> list[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


# What the rules rest on


def test_every_block_is_of_a_language_that_is_tested():
    for block in fenced():
        assert block.language in LANGUAGES, f"{block}: no test runs {block.language}"
        command = r"^\s*(\$ |python |make |pip |tune\.py |analyze\.py )"
        if not block.language:
            commands = re.findall(command, block.text, re.MULTILINE)
            assert not commands, f"{block}: say ```bash, so that it is tested"


def test_every_fence_is_seen():
    for page, text in texts():
        rest = FENCED.sub("", text)
        assert not re.findall(r"^ *(```|~~~).*$", rest, re.MULTILINE), page


def test_a_wrong_command_is_noticed(here):
    for command in (
        "python tune.py search_spaces/digits.yaml --nmae digits",
        "python tune.py search_spaces/digts.yaml",
        "python tune.py --resume runs/demo --epochs 3",
        "python analyze.py runs/demo --dfr drf",
        "python analyze.py ablation runs/grid --rows strength --cols val_target_size",
        "sbatch cluster/slrum.sh search_spaces/digits.yaml --name digits",
        "make dmeo",
        "pip install '.[job]'",
        "rm -r runs",
    ):
        (words,) = Block(page="", line=0, language="bash", text=command).commands
        with pytest.raises((AssertionError, ValueError)):
            perform(words, here)
