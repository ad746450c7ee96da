"""Files of a run, damaged and edited at random: whatever reads them ends as if they weren't, or says clearly what is.

Nothing in between: no other number without a word, and no traceback.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from safetensors.torch import load_file

from scale_tune.datasets import load_splits
from scale_tune.datasets.cache import cache_root
from scale_tune.datasets.splits import SPLIT_NAMES
from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.spec.config import DfrProtocol
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables import collect as results
from scale_tune.tables.run_schemas import SCHEMAS
from scale_tune.workflows.best import export_best
from scale_tune.workflows.evaluate import Evaluation, evaluate
from scale_tune.workflows.whole import check_whole
from tests.methods import made_up
from tests.support.mutations import BYTES, LINES, TEXT, Mutation
from tests.support.refits import make_few_fits_here
from tests.support.runs import REASON, drive, fast_spec, make_run

usercode.provide(usercode.read_sources({"dataset": Path(made_up.__file__)}))
FAILED, RUNNING = "erm-00002", "erm-00003"
SPEC = {
    "methods": ["erm"],
    "dataset": {"name": "tinted", "file": "made_up.py:Tinted"},
    "model": {"name": "made_up.py:without_batchnorm"},
    "space": {
        "lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
        "weight_decay": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": 45,
    },
    "num_samples": 4,
    "epochs": 3,
    "scheduler": {"name": "none"},
}
SEED, FEW, MANY = 15, 60, 540
VOLATILE = ["started", "seconds"]
"""What differs between two trainings that are the same."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A run and another one of the same names, and what an analysis found."""

    run: RunDir
    other: RunDir
    found: Evaluation
    expected: dict[Callable, object] = field(default_factory=dict)
    """What each reader reads of the run as it is."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[Made]:
    """Two trials that ended, one that failed, and one that a killed driver left after two epochs of three."""
    directory = tmp_path_factory.mktemp("mutations")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SCALE_TUNE_CACHE", str(directory / "cache"))
        patched.setattr("os.fsync", lambda descriptor: None)
        patched.setattr("os.sync", lambda: None)
        make_few_fits_here(patched)
        runs = []
        for name, seed in (("run", 0), ("other", 1)):
            spec = fast_spec(**SPEC, search_seed=seed)
            runs.append(make_run(directory / name, spec, fail=FAILED, leave_running=RUNNING, after=2))
            runs[-1].error(FAILED).write(REASON.encode())
        found = [evaluate([run], [DfrProtocol.SCALE], None, lambda line: None) for run in runs]
        yield Made(run=runs[0], other=runs[1], found=found[0])


def copied(run: RunDir, to: Path) -> RunDir:
    """With hard links, but for the ledger, which is written in place; stamps of files stay as they are."""
    shutil.copytree(run.path.local, to, copy_function=os.link)
    ledger = to / "ledger.log"
    content = ledger.read_bytes()
    ledger.unlink()
    ledger.write_bytes(content)
    return RunDir(to)


def tables(run: RunDir, made: Made, scratch: Path) -> object:
    """What an analysis begins with."""
    return {name: table.to_pylist() for name, table in results.collect(run).items()}


def resumed(run: RunDir, made: Made, scratch: Path) -> object:
    """What a search ends with."""
    check_whole(run, run.read_spec())
    drive(run)
    found = results.collect(run)
    return {
        name: table.drop_columns([c for c in VOLATILE if c in table.column_names]).to_pylist()
        for name, table in found.items()
    }


def refitted(run: RunDir, made: Made, scratch: Path) -> object:
    """What DFR makes of the features."""
    shutil.rmtree(run.results.local)
    found = evaluate([run], [DfrProtocol.SCALE], None, lambda line: None)
    return [found.runs[0].tables[name].to_csv() for name in ("dfr", "dfr_path", "groups")], found.notes


def networks(run: RunDir, made: Made, scratch: Path) -> object:
    """The exported ones."""
    written, left_out = export_best(run, made.found, Location.of(scratch / "best"))
    files = [file for directory in written for file in sorted(directory.local.glob("*.safetensors"))]
    tensors = {f"{f.parent.name}/{f.name}": {k: t.tolist() for k, t in load_file(f).items()} for f in files}
    return tensors, len(left_out)


def data(run: RunDir, made: Made, scratch: Path) -> object:
    """What a worker loads."""
    splits = load_splits(run.read_spec().dataset)
    arrays = [array for name in SPLIT_NAMES for array in vars(getattr(splits, name)).values()]
    return splits.fingerprint, [array.tobytes() for array in arrays]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of file, who reads it, and what may happen to it besides being exchanged for another of its kind."""

    files: Callable[[RunDir], list[Path]]
    readers: tuple[Callable[[RunDir, Made, Path], object], ...]
    mutations: list[Mutation]
    share: int
    """Of all mutations, in proportion."""


def in_trials(pattern: str) -> Callable[[RunDir], list[Path]]:
    return lambda run: sorted(run.trials.local.glob(pattern))


def prepared(run: RunDir) -> list[Path]:
    (directory,) = cache_root().glob("tinted-*[0-9a-f]")
    return sorted(directory.glob("*.npy"))


TARGETS = {
    "ledger": Target(
        files=lambda run: [run.ledger], readers=(tables, resumed), mutations=[*BYTES, *TEXT, *LINES], share=4
    ),
    "record": Target(files=in_trials("*/record.json"), readers=(tables,), mutations=[*BYTES, *TEXT], share=4),
    "checkpoint": Target(files=in_trials("*/checkpoint-*"), readers=(resumed,), mutations=BYTES, share=2),
    "weights": Target(files=in_trials("*/seed-*"), readers=(networks,), mutations=BYTES, share=2),
    "features": Target(files=in_trials("*/features-*"), readers=(refitted, networks), mutations=BYTES, share=2),
    "prepared data": Target(files=prepared, readers=(data,), mutations=BYTES, share=2),
    "tables": Target(
        files=lambda run: sorted(run.results.local / f"{name}.parquet" for name in SCHEMAS),
        readers=(tables,),
        mutations=BYTES,
        share=4,
    ),
}


def outcome(made: Made, number: int, scratch: Path) -> str:
    """Of one mutation: ``equal`` or ``refused``."""
    random = Random(f"{SEED}-{number}")
    name = random.choices(list(TARGETS), [target.share for target in TARGETS.values()])[0]
    target = TARGETS[name]
    run = copied(made.run, scratch / "run")
    victim, reader = random.choice(target.files(run)), random.choice(target.readers)
    mutation = random.choice([*target.mutations, None])
    before = victim.read_bytes()
    if mutation is None:
        how = "exchange"
        after = random.choice([*target.files(run), *target.files(made.other)]).read_bytes()
    else:
        how, after = mutation.__name__, mutation(before, random)
    what = f"mutation {number}: {how} of the {name}: {victim.name}, read by {reader.__name__}"
    if reader not in made.expected:
        made.expected[reader] = reader(copied(made.run, scratch / "whole"), made, scratch)
    replace_file(victim, after)
    try:
        found, refused = reader(run, made, scratch / "found"), ""
    except UserError as error:
        found, refused = None, str(error)
    except Exception as error:
        raise AssertionError(f"{what} ends in a traceback") from error
    finally:
        replace_file(victim, before)  # the prepared data are everybody's
    if refused:
        assert victim.name in refused or str(victim.parent) in refused, f"{what}: {refused}"
        assert len(refused) < 2000, f"{what}: {refused}"
        return "refused"
    assert found == made.expected[reader], f"{what} is believed"
    return "equal"


def replace_file(path: Path, content: bytes) -> None:
    """In its place: what shares its bytes by a link stays as it is."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def outcomes(made: Made, numbers: range, scratch: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in numbers:
        (own := scratch / str(number)).mkdir()
        found[outcome(made, number, own)] += 1
        shutil.rmtree(own)
    return found


def test_what_is_damaged_or_edited_is_never_believed(made, tmp_path):
    assert outcomes(made, range(FEW), tmp_path)["refused"] > FEW / 2


@pytest.mark.drill
def test_what_is_damaged_or_edited_is_never_believed_however_often(made, tmp_path):
    assert outcomes(made, range(FEW, FEW + MANY), tmp_path)["refused"] > MANY / 2


@pytest.mark.parametrize(
    ("name", "reader", "message"),
    [
        ("seed-{}.safetensors", networks, "seed-0.safetensors is not of the training that the trial's record tells of"),
        ("features-{}.safetensors", refitted, "features-0.safetensors (holds the features of|is not of the training)"),
    ],
)
@pytest.mark.parametrize("of", ["another seed", "another run"])
def test_tensors_of_another_training_are_refused(made, tmp_path, name, reader, message, of):
    run = copied(made.run, tmp_path / "run")
    for victim in run.trials.local.glob(f"*/{name.format(0)}"):
        other = run if of == "another seed" else made.other
        donor = other.trial(victim.parent.name).local / name.format(int(of == "another seed"))
        replace_file(victim, donor.read_bytes())
    with pytest.raises(UserError, match=message):
        reader(run, made, tmp_path)


@pytest.mark.parametrize("reader", [tables, resumed])
@pytest.mark.parametrize("file", ["ledger.log", "trials/erm-00000/record.json"])
def test_a_ledger_or_a_record_of_another_run_is_refused(made, tmp_path, reader, file):
    run = copied(made.run, tmp_path / "run")
    replace_file(run.path.local / file, (made.other.path.local / file).read_bytes())
    with pytest.raises(
        UserError, match=r"disagree: by the ledger the lr is .*, by the record .*; by the ledger the wei"
    ):
        reader(run, made, tmp_path)
