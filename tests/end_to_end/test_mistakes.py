"""What users get wrong, collected: each is one message that names what is wrong, the value, and what to do.

To read them all in a row: ``python -m tests.end_to_end.test_mistakes``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.commands import call
from tests.support.runs import fast_spec, make_run

DIGITS = str(REPOSITORY / "search_spaces" / "digits.yaml")
MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A command, and what its message says.

    In the arguments, SPACE stands for a file of ``text``, and RUN for the directory of a run that was searched.
    """

    arguments: list[str]
    wrong: str
    """What is wrong: an option, a key, or a place in a file."""
    value: str
    """As the user gave it."""
    remedy: str
    text: str = ""
    script: str = "tune"


def in_space(text: str, wrong: str, value: str, remedy: str) -> Mistake:
    return Mistake(arguments=["SPACE"], text=text, wrong=f"SPACE:{wrong}:" if wrong else "", value=value, remedy=remedy)


def in_tune(arguments: str, wrong: str, value: str, remedy: str) -> Mistake:
    return Mistake(arguments=arguments.split(), wrong=wrong, value=value, remedy=remedy)


def in_analysis(arguments: str, wrong: str, value: str, remedy: str) -> Mistake:
    return Mistake(arguments=arguments.split(), wrong=wrong, value=value, remedy=remedy, script="analyze")


MISTAKES = [
    # The file.
    in_tune("absent.yaml", "search space", "absent.yaml", "search_spaces/"),
    in_space("methods: [erm", "1", "not valid YAML", "expected"),
    in_space("methods: [erm]\nepochs: 3\nepochs: 4", "3", "'epochs'", "first in line 2"),
    in_space("- erm\n- scale", "", "got a list", "methods"),
    in_space("", "", "got nothing", "methods"),
    # Its keys.
    in_space("methods: [erm]\nepoch: 3", "2", "epoch", "did you mean 'epochs'?"),
    in_space("epochs: 3", "", "methods", "is missing"),
    in_space("methods: []", "1", "methods", "name at least one"),
    in_space("methods: [erm]\nscheduler: {name: asha, grace: 2}", "2", "grace", "known are: name, grace_period"),
    in_space("methods: [erm]\nresources: {gpu_per_trial: 1}", "2", "gpu_per_trial", "'gpus_per_trial'"),
    # Their types and values.
    in_space("methods: [erm]\nepochs: ten", "2", "'ten'", "must be a valid integer"),
    in_space("methods: [erm]\nepochs: 0", "2", "0", "greater than or equal to 1"),
    in_space("methods: [erm]\nepochs: '3'", "2", "'3'", "a number in quotes is text; remove them"),
    in_space("methods: [erm]\nnum_samples: 2.5", "2", "2.5", "must be a valid integer"),
    in_space("methods: [erm]\nseeds: [0, 0]", "2", "0", "list it once"),
    in_space("methods: [erm]\nseeds: []", "2", "[]", "at least 1"),
    in_space("methods: [erm]\nsampler: bayes", "2", "'bayes'", "'tpe'"),
    in_space("methods: [erm]\nscheduler: {name: ahsa}", "2", "'ahsa'", "'asha'"),
    in_space("methods: [erm]\nobjective: worst", "2", "'worst'", "'worst_group'"),
    in_space("methods: [erm]\nsplits: each", "2", "'each'", "'per_seed'"),
    # Parameters.
    in_space("methods: [erm]\nspace: {lr: {type: flaot, low: 1, high: 2}}", "2", "'flaot'", "float, int, choice"),
    in_space("methods: [erm]\nspace: {lr: {low: 1, high: 2}}", "2", "'none'", "float, int, choice"),
    in_space("methods: [erm]\nspace: {lr: {type: float, low: 0.1, high: 0.01}}", "2", "0.1", "swap"),
    in_space("methods: [erm]\nspace: {lr: {type: float, low: 0.1, high: 0.1}}", "2", "0.1", "write the value alone"),
    in_space("methods: [erm]\nspace: {lr: {type: float, low: 0, high: 1, log: true}}", "2", "0", "leave log out"),
    in_space("methods: [erm]\nspace: {lr: {type: choice, values: []}}", "2", "values", "list at least one value"),
    in_space("methods: [erm]\nspace: {learning_rate: 0.1}", "2", "learning_rate", "known are: lr"),
    in_space("methods: [erm, scale]\nspace: {group_size: 4}", "2", "group_size", "move it to methods.scale.space"),
    in_space("methods: [scale]\nspace: {lr: -0.1}", "2", "-0.1", "greater than 0"),
    in_space("methods: [erm]\nsampler: grid\nspace: {lr: {type: float, low: 1e-3, high: 1}}", "3", "lr", "a choice"),
    in_space("methods: [erm]\ntry_first: [{lr: 1}]\nspace: {lr: {type: float, low: 1e-3, high: 0.1}}", "2", "1", "0.1"),
    # Methods, data, networks.
    in_space("methods: [ermm]", "1", "'ermm'", "did you mean 'erm'?"),
    in_space("methods: {mine: {file: mine.py}}", "", "mine.py", "give a Python file"),
    in_space("methods: [erm]\ndataset: {name: digist}", "2", "'digist'", "did you mean 'digits'"),
    in_space("methods: [erm]\ndataset: {name: digits, strength: 1}", "2", "strength", "'spurious_strength'"),
    in_space("methods: [erm]\ndataset: {name: digits, spurious_strength: 1.5}", "2", "1.5", "less than or equal to 1"),
    in_space("methods: [erm]\ndataset: {name: table}", "2", "csv", "is missing"),
    in_space(
        "methods: [erm]\ndataset: {name: waterbirds}",
        "",
        "waterbird_complete95",
        "SCALE_TUNE_DATA sets another directory",
    ),
    # Options.
    in_tune("", "search space", "--resume", "--help"),
    in_tune(f"{DIGITS} --methods erm,scal", "command line: methods.scal", "'scal'", "did you mean 'scale'?"),
    in_tune(f"{DIGITS} --seeds 0,x", "command line: seeds.1", "'x'", "must be a valid integer"),
    in_tune(f"{DIGITS} --epochs many", "--epochs", "'many'", "valid integer"),
    in_tune(f"{DIGITS} --set epochs", "--set", "'epochs'", "KEY=VALUE"),
    in_tune(f"{DIGITS} --set scheduler.nam=asha", "command line", "scheduler.nam", "did you mean 'name'?"),
    in_tune(f"{DIGITS} --name a/b", "--name", "'a/b'", "use --storage"),
    in_tune(f"{DIGITS} --storage gs://bucket/x", "storage", "gs://bucket/x", "s3://bucket/path"),
    in_tune(f"{DIGITS} --ledger sqlite:///x.db", "--ledger", "sqlite:///x.db", "postgresql://user@host/database"),
    in_tune(f"{DIGITS} --ledger postgresql://me:secret@host/lab", "--ledger", "password", "~/.pgpass"),
    in_tune(f"{DIGITS} --time-budget 2hours", "--time-budget", "'2hours'", "as 90s, 30m, 2h"),
    in_tune(f"{DIGITS} --address 127.0.0.1:1", "--address", "127.0.0.1:1", "leave --address out"),
    in_tune(f"{DIGITS} --address ray://head:10001", "--address", "ray://head:10001", "http://head:8265"),
    in_tune(f"{DIGITS} --storage runs --address http://head:8265", "--storage", "runs", "give a path"),
    in_tune(f"{DIGITS} --retry-failed", "--retry-failed", "new run", "--resume RUN_DIR"),
    in_tune(f"{DIGITS} --epoch 3", "--epoch", "--epoch", "--epochs"),
    # Runs.
    in_tune("--resume absent", "absent", "spec.yaml", "give one"),
    in_tune("--resume RUN --epochs 9", "--epochs", "--resume", "start a new run"),
    in_tune("--resume RUN --max-concurrent 0", "max_concurrent", "0", "greater than or equal to 1"),
    in_tune(f"{DIGITS} --resume RUN", "SPACE", "--resume", "start a new run"),
    in_tune("--status absent", "absent", "spec.yaml", "give one"),
    in_tune("--status RUN --num-samples 3", "--num-samples", "--status", "leave it out"),
    in_tune(f"{DIGITS} --storage STORAGE --name run", "run", "exists", "--resume"),
    # Analyses.
    in_analysis("absent", "absent", "spec.yaml", "give one"),
    in_analysis("", "RUN_DIR", "is missing", "--help"),
    in_analysis("RUN RUN", "STORAGE/run", "twice", "leave one out"),
    in_analysis("RUN --dfr drf", "--dfr", "'drf'", "did you mean 'dfr'?"),
    in_analysis("RUN --format xml", "--format", "'xml'", "'parquet'"),
    in_analysis("RUN --top-k 0", "--top-k", "'0'", "greater than or equal to 1"),
    in_analysis("RUN STORAGE/run --report x.html", "--report", "x.html", "leave it out"),
    in_analysis("ablation RUN --rows lr", "--cols", "is missing", "--help"),
    in_analysis("ablation RUN --rows lrr --cols batch_size", "--rows", "'lrr'", "did you mean 'lr'?"),
    in_analysis("ablation RUN --rows lr --cols lr", "--cols", "got lr, lr", "different"),
    in_analysis("ablation RUN --rows lr --cols batch_size --metric acc", "--metric", "'acc'", "test_average"),
    in_analysis("ablation RUN --rows lr --cols batch_size --at lr=7", "--at", "'7'", "known are: 0.01, 0.1"),
    in_analysis("ablation RUN --rows lr --cols batch_size --dfr scale,dfr", "--dfr", "'scale,dfr'", "give one"),
]


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """What holds a run."""
    return storage_in(tmp_path_factory.mktemp("runs"))


def storage_in(directory: Path) -> Path:
    spec = fast_spec(
        methods=["erm", "scale"],
        space={
            "lr": {"type": "choice", "values": [0.01, 0.1]},
            "batch_size": {"type": "choice", "values": [32, 64]},
        },
        sampler="grid",
        epochs=1,
        scheduler={"name": "none"},
    )
    make_run(directory, spec, made_up=True)
    return directory


def message_of(mistake: Mistake, directory: Path, storage: Path) -> tuple[int, str]:
    """The exit code and what is said, with the names that stand in the mistakes for what is made here."""
    space = directory / "space.yaml"
    if "SPACE" in mistake.arguments:
        space.write_text(mistake.text)
    places = {"SPACE": str(space), "RUN": str(storage / "run"), "STORAGE": str(storage)}
    words = [places.get(word, word.replace("STORAGE/", f"{storage}/")) for word in mistake.arguments]
    result = call(mistake.script, *words, cwd=directory)
    said = result.stderr.replace(str(space), "SPACE").replace(str(storage), "STORAGE")
    assert "Traceback" not in result.stdout + said
    return result.returncode, said


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=lambda mistake: f"{mistake.script} {' '.join(mistake.arguments)[-60:]}"
)
def test_a_mistake_is_told_in_one_message_that_says_what_to_do(mistake, tmp_path, storage, monkeypatch):
    monkeypatch.delenv("SCALE_TUNE_DATA", raising=False)
    before = sorted(storage.rglob("*"))
    code, said = message_of(mistake, tmp_path, storage)
    assert code == 2, said
    assert said.startswith("error: ")
    assert said.count("error: ") == 1
    assert len(said.splitlines()) <= MOST_LINES
    for part in (mistake.wrong, mistake.value, mistake.remedy):
        assert part in said
    assert [path.name for path in tmp_path.iterdir()] in ([], ["space.yaml"])
    assert sorted(storage.rglob("*")) == before


def test_there_are_at_least_forty_of_them_and_no_two_alike():
    assert len({(mistake.script, *mistake.arguments, mistake.text) for mistake in MISTAKES}) == len(MISTAKES) >= 40


def all_in_a_row(directory: Path) -> Iterator[str]:
    storage = storage_in(directory / "runs")
    (directory / "here").mkdir()
    for mistake in MISTAKES:
        code, said = message_of(mistake, directory / "here", storage)
        yield f"{mistake.script} {' '.join(mistake.arguments)}   {mistake.text!r}\n  {code}: {said.strip()}"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "runs").mkdir()
        for line in all_in_a_row(Path(scratch)):
            print(line)
