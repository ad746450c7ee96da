"""A trial's directory: where its record, checkpoints, weights and features are, and what is dropped when it ends."""

import json
from collections.abc import Mapping
from fnmatch import fnmatch

from scale_tune.datasets.splits import SplitName
from scale_tune.errors import UserError
from scale_tune.storage.location import Location, is_temporary
from scale_tune.storage.rundir import RECORD_FILE
from scale_tune.training.records import TrialRecord, record_as_text, record_from_text

HEADER_KEY = "record"
"""Under which a safetensors file holds the record in its header."""
MAX_HEADER_BYTES = 10**8
"""More than this the format does not allow."""


def checkpoint_path(directory: Location, epoch: int, prepared: int = 0, caught_up: int = 0) -> Location:
    """Where a trial's checkpoint after this epoch is, by a name that comes after those of the ones before.

    Before the first one, it is the one after so many epochs of preparation; before the seeds that join a race have
    come to this epoch, the one after so many of theirs.
    """
    before, after = f"-{prepared:05d}" * (epoch == 0), f"_{caught_up:05d}" * (caught_up > 0)
    return directory / f"checkpoint-{epoch:05d}{before}{after}.safetensors"


def checkpoints(directory: Location) -> list[Location]:
    """A running trial's complete checkpoints, the newest last."""
    return [directory / name for name in directory.names() if is_checkpoint(name)]


def is_checkpoint(name: str) -> bool:
    """Whether a file of this name is a checkpoint."""
    return fnmatch(name, "checkpoint-*.safetensors")


FEATURE_SPLITS: tuple[SplitName, ...] = ("target", "val", "test")
"""Whose features an ended trial keeps whole: what a last layer is refitted, chosen and judged on. Of train it keeps
those of the group-balanced subsamples that one may be refitted on."""


def features_path(directory: Location, seed: int) -> Location:
    """Where the features of this seed's best epoch are, if the trial kept them."""
    return directory / f"features-{seed}.safetensors"


def is_features(name: str) -> bool:
    """Whether a file of this name holds the features of a seed."""
    return fnmatch(name, "features-*.safetensors")


def weights_path(directory: Location, seed: int) -> Location:
    """Where an ended trial's best-epoch weights of this seed are, if it kept them."""
    return directory / f"seed-{seed}.safetensors"


def weights(directory: Location) -> list[Location]:
    """The best-epoch weights that an ended trial kept."""
    return [directory / name for name in directory.names() if is_weights(name)]


def is_weights(name: str) -> bool:
    """Whether a file of this name holds the best-epoch weights of a seed."""
    return fnmatch(name, "seed-*.safetensors")


def drop_weights(directory: Location) -> None:
    """Remove the best-epoch weights of an ended trial."""
    for path in weights(directory):
        path.delete()


def drop_checkpoints(directory: Location) -> None:
    """Remove an ended trial's checkpoints."""
    for path in checkpoints(directory):
        path.delete()


def drop_half_written(directory: Location) -> None:
    """Remove what killed writers left half-written. Not while a live worker may be writing."""
    for name in directory.names():
        if is_temporary(name):
            (directory / name).delete()


def read_header(path: Location) -> TrialRecord:
    """The record in the header of a checkpoint; its tensors are not read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    try:
        with path.open() as file:
            # The format: 8 bytes of length, then that many of JSON.
            start = file.read(8)
            if (length := int.from_bytes(start, "little")) > MAX_HEADER_BYTES:
                raise ValueError(f"its header would have {length} bytes")
            return record_said(metadata_in(start + file.read(length)))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def metadata_in(content: bytes) -> dict[str, str]:
    """What the header of a safetensors file, whose beginning is given, says besides its tensors.

    Raises:
        ValueError: it is damaged.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return {str(name): str(value) for name, value in header["__metadata__"].items()}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"its header says nothing of it ({error!r:.200})") from None


def record_said(metadata: Mapping[str, str]) -> TrialRecord:
    """The record in what a header says.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    if HEADER_KEY not in metadata:
        raise ValueError("its header holds no record")
    return record_from_text(metadata[HEADER_KEY].encode())


def read_final_record(directory: Location) -> TrialRecord | None:
    """The record of an ended trial, else None.

    Raises:
        UserError: it is damaged, or can't be read.
    """
    path = directory / RECORD_FILE
    try:
        return record_from_text(path.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"can't read {path}: {error}") from None
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({str(error)[:200]}); restore it from a copy, or delete it: "
            "the trial then stays in the tables with what the ledger knows of it"
        ) from None


def read_record(directory: Location) -> TrialRecord | None:
    """What is known of a trial: its final record, else that of its last whole checkpoint, else None."""
    if (final := read_final_record(directory)) is not None:
        return final
    while found := checkpoints(directory):
        for path in reversed(found):
            try:
                return read_header(path)
            except FileNotFoundError:  # replaced by the next one meanwhile: look again
                break
            except ValueError:  # the worker that takes the trial up says so, and goes on from the one before
                continue
        else:
            return None
    return read_final_record(directory)


def read_ended_record(directory: Location, epochs: int) -> TrialRecord | None:
    """The record of a trial that has ended after so many epochs: its final one, else that of its last checkpoint.

    None if there is neither: it is gone, or written by another machine just now and not seen here yet.
    """
    if (final := read_final_record(directory)) is not None:
        return final
    try:
        return read_header(checkpoint_path(directory, epochs))
    except FileNotFoundError:  # closed meanwhile
        return read_final_record(directory)
    except ValueError:
        return None


def close_trial(directory: Location, record: TrialRecord) -> None:
    """Write an ended trial's record file, then remove its checkpoints, and with them the optimizer's state."""
    (directory / RECORD_FILE).write(record_as_text(record, indent=1).encode())
    drop_checkpoints(directory)
