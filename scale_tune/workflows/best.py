"""Export the networks that were selected: weights that load where this package is not, each kind with a card.

Of every method the selected trial's networks, one for each seed, at their best epochs; and of every refit these with
the refitted last layer, which is fitted again from the features that the trial has kept.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from scale_tune import __version__
from scale_tune.analysis.entries import Entry
from scale_tune.datasets.registry import dataset_of
from scale_tune.datasets.splits import DatasetInfo
from scale_tune.errors import UserError
from scale_tune.methods import Method, class_of
from scale_tune.networks import recipe_of
from scale_tune.report.card import Exported, card
from scale_tune.spec import usercode
from scale_tune.spec.config import TrialConfig
from scale_tune.storage.location import Location
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.schemas import Row, rows_of
from scale_tune.workflows.evaluate import Evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from scale_tune.training.records import TrialRecord

CARD, BUILDER = "README.md", "network.py"

PREPARE = '''

def prepare(images):
    """What the network takes: uint8 (batch, 3, {height}, {width}) as float32 (batch, 3, {seen[0]}, {seen[1]})."""
    seen = images[:, :, {top}:{bottom}, {left}:{right}]
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in ({mean}, {std}))
    return (seen.float() / 255 - mean) / std
'''


class _AbsentError(Exception):
    """There is nothing to export of a method, and why."""


def check_best(runs: Sequence[RunDir], directory: Location) -> None:
    """Refuse a place before anything that takes time.

    Raises:
        UserError: there are several runs, or a file is in the directory.
    """
    if len(runs) > 1:
        raise UserError(f"--best {directory} is for one run, got {len(runs)}; give each a directory of its own")
    try:
        taken = directory.is_file() or bool(directory.names_below())
    except OSError as error:  # it is a device, or in what is no directory
        raise UserError(f"can't look into --best {directory}: {error}; choose another directory") from None
    if taken:
        raise UserError(f"--best {directory} is there and not empty; choose a directory that is not there yet")


def export_best(run: RunDir, found: Evaluation, directory: Location) -> tuple[list[Location], list[str]]:
    """Write the networks of every row of a run's comparison, each into a directory of its own.

    Args:
        run: as it was evaluated.
        found: by the evaluation.
        directory: what these directories go into.

    Returns:
        The directories, and what was left out, with the reason.

    Raises:
        UserError: a file of weights or features is damaged, or nothing can be written there.
        KeyboardInterrupt: it was stopped. Whenever it raises, what it wrote is deleted again, so that the same
            directory can be given again.
    """
    begun: list[Location] = []

    def put(place: Location, content: bytes) -> None:
        begun.append(place)
        place.write(content)

    usercode.provide(run.sources())
    (tables,) = found.runs
    written, left_out = [], []
    try:
        for row in rows_of(found.comparison[found.comparison["run"] == tables.name]):
            same = [entry for entry in tables.entries if (entry.method, entry.trial) == (row["method"], row["trial"])]
            (entry,) = same if row["trial"] is not None else [None]
            several = found.comparison["dataset"].nunique() > 1
            where = directory / _slug(f"{row['method']} {row['dataset'] if several else ''}")
            try:
                _export(run, entry, row, where, put)
                written.append(where)
            except _AbsentError as absent:
                left_out.append(f"{row['method']} on {row['dataset']} is not in {directory}: {absent}")
    except BaseException as error:
        for place in begun:
            with suppress(OSError):  # what can't be deleted either is refused by the next command
                place.delete()
        if isinstance(error, OSError):
            raise UserError(f"can't write the networks to {directory}: {error}; choose another --best") from None
        raise
    return written, left_out


def _slug(text: str) -> str:
    """A directory's name: ``dfr (scale)`` is ``dfr-scale``."""
    return re.sub(r"[^A-Za-z0-9._=]+", "-", text).strip("-")


def _export(
    run: RunDir, entry: Entry | None, row: Row, directory: Location, put: Callable[[Location, bytes], None]
) -> None:
    """Write the networks of a row, what builds them, and the card last."""
    from safetensors.torch import save

    if entry is None:
        raise _AbsentError("no trial of it was selected")
    networks = {seed: _weights(run.trial(str(entry.trial)), seed, entry) for seed in entry.seeds}
    files = []
    for seed, (record, backbone, head) in networks.items():
        recipe = recipe_of(record.config.model, head["weight"].shape[1], head["weight"].shape[0])
        state = {recipe.backbone + name: tensor for name, tensor in backbone.items()}
        state |= {f"{recipe.head}.{name}": tensor for name, tensor in head.items()}
        about = {"format": "pt", "method": entry.method, "trial": str(entry.trial), "seed": str(seed)}
        files.append(f"seed-{seed}.safetensors")
        put(directory / files[-1], save(state, about))
    config = record.config
    info = dataset_of(config.dataset).info()
    put(directory / BUILDER, (recipe.code + _prepare(info)).encode())
    if config.model.file is not None:
        put(directory / config.model.file, run.sources()[config.model.file].encode())
    exported = Exported(
        row=row,
        files=files,
        config=_told(config),
        fingerprints=[replica.fingerprint for replica in record.replicas],
        image_size=(info.height, info.width),
        version=__version__,
    )
    put(directory / CARD, card(exported).encode())


def _weights(
    directory: Location, seed: int, entry: Entry
) -> "tuple[TrialRecord, dict[str, Tensor], dict[str, Tensor]]":
    """The record of a trial, and the weights of one seed's backbone and last layer, refitted if the entry is a refit.

    Raises:
        _AbsentError: weights or features are gone, or they are not all that predicts.
        UserError: a file is damaged.
    """
    from scale_tune.training.checkpoint import load_weights

    try:
        record, backbone, head = load_weights(directory, seed)
    except FileNotFoundError:
        raise _AbsentError(
            f"the weights of {entry.trial} were not among those kept; a larger keep_top keeps more"
        ) from None
    except ValueError as error:
        raise UserError(f"--best: {error}; restore it from a copy, or delete it: it is then left out") from None
    if class_of(record.config).predict is not Method.predict:
        raise _AbsentError("it predicts by more than its network")
    if entry.protocol is not None:
        head = _refitted(directory, seed, entry, record)
    return record, backbone, head


def _refitted(directory: Location, seed: int, entry: Entry, record: "TrialRecord") -> "dict[str, Tensor]":
    """The weights of the last layer as DFR has it."""
    import torch

    from scale_tune.dfr.protocols import refit_trial

    (fingerprint,) = (replica.fingerprint for replica in record.replicas if replica.seed == seed)
    found = refit_trial(directory, seed, record.config, fingerprint, [entry.protocol] if entry.protocol else [])
    if not found:
        raise _AbsentError(f"the features of {entry.trial}, seed {seed}, are gone")
    last = found[0].classifier
    return {name: torch.from_numpy(getattr(last, name)).float() for name in ("weight", "bias")}


def _prepare(info: DatasetInfo) -> str:
    """The function that gives a network its input, as :func:`scale_tune.datasets.transforms.normalise` does."""
    seen = info.input_size
    top, left = (info.height - seen[0]) // 2, (info.width - seen[1]) // 2
    sizes = {"height": info.height, "width": info.width, "seen": seen}
    edges = {"top": top, "bottom": top + seen[0], "left": left, "right": left + seen[1]}
    return PREPARE.format(**sizes, **edges, mean=tuple(info.mean), std=tuple(info.std))


def _told(config: TrialConfig) -> dict[str, object]:
    """What a reader of the card would train them with again."""
    rest = config.model_dump(mode="json", include={"method", "variant_of", "epochs", "seeds", "schedule", "splits"})
    named = {name: value for name, value in rest.items() if value is not None}
    return (
        named
        | {"dataset": config.dataset.name, "model": config.model.name, "weights": config.model.weights}
        | config.flat()
    )
