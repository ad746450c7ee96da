"""Schemas of the tables of one run. They are fixed, but for the columns of ``trials`` for options of a user's own."""

from collections.abc import Iterator

import pyarrow as pa

from scale_tune.accuracies import ACCURACIES
from scale_tune.spec.config import DfrProtocol
from scale_tune.spec.space import RunSpec
from scale_tune.tables.config_columns import config_fields, own_fields
from scale_tune.tables.schemas import GONE, REFITTED, UNDEFINED, field


def _accuracy_fields() -> Iterator[pa.Field]:
    for split in ("val", "test"):
        for accuracy, meaning_of in ACCURACIES.items():
            meaning = f"{meaning_of} on {split}, at each seed's best epoch"
            nulls = "null unless every seed has one and none diverged" + (
                "; only of trials that ran to their end" * (split == "test")
            )
            yield field(f"{split}_{accuracy}_mean", pa.float64(), f"mean over seeds: {meaning}; {nulls}", "fraction")
            yield field(
                f"{split}_{accuracy}_std",
                pa.float64(),
                f"sample standard deviation over seeds (n - 1): {meaning}; null for one seed",
                "fraction",
            )


def _knowledge_fields() -> Iterator[pa.Field]:
    """What only a trial's record knows; null before it has one."""
    yield field(
        "preparation",
        pa.int64(),
        "epochs of preparation trained before those that count, of each seed, as of a method's first stage; 0 for most",
    )
    yield field("labels_of", pa.string(), "splits that it learns from, whose labels it is told, as 'train, target'")
    yield field("attributes_of", pa.string(), "those of them whose attributes it is told, too; or none")
    for split in ("train", "target", "val"):
        yield field(
            f"{split}_n",
            pa.int64(),
            f"samples of {split}; where each seed has splits of its own, of the first seed's",
            "count",
        )


_TRIAL = field("trial", pa.string(), "trial, as scale-00017: method and number in the method's study")
_SEED = field("seed", pa.int64(), "seed of the replica: its initial weights, batches and augmentation")
_EPOCH = field("epoch", pa.int64(), "epoch, from 1")

TRIALS = pa.schema(
    [
        _TRIAL,
        field("method", pa.string(), "how its networks are trained, as erm"),
        field("number", pa.int64(), "number of the trial in its method's study, from 0"),
        field("state", pa.string(), "complete, pruned (stopped early), failed (raised an error), running or waiting"),
        *config_fields(),
        field("seeds", pa.int64(), "seeds with a result: at least one epoch, and not diverged"),
        field("seeds_asked", pa.int64(), "seeds that the trial trains"),
        field("epochs", pa.int64(), "completed epochs, without those of preparation"),
        *_knowledge_fields(),
        field(
            "objective",
            pa.float64(),
            "mean over all seeds of the best validation objective over the epochs; 0 for a seed without an epoch; in a "
            "race of seeds, up to the last rung over the first ones",
            "fraction",
        ),
        *_accuracy_fields(),
        field("diverged", pa.int64(), "seeds whose loss became non-finite, which ended them"),
        field("error", pa.string(), "traceback of a failed trial"),
        field(
            "fingerprint",
            pa.string(),
            "SHA-256 of the splits that it was trained and judged on; where each seed has its own, one over theirs, "
            "which are in groups",
        ),
        field("node", pa.string(), "host that trained the first epoch"),
        field("device", pa.string(), "device that trained the first epoch"),
        field("threads", pa.int64(), "CPU threads of the worker"),
        field("started", pa.timestamp("us", tz="UTC"), "when the first worker began"),
        field("seconds", pa.float64(), "training and validation, all seeds", "s"),
        field("checkpoint", pa.string(), "directory with the best-epoch weights, below the run; null if not kept"),
        field(
            "features",
            pa.string(),
            "directory with the features of each seed's best epoch, on which DFR refits, below the run; null if not "
            "kept",
        ),
    ],
    metadata={"name": "trials", "rows": "one per trial of the ledger"},
)

EPOCHS = pa.schema(
    [
        _TRIAL,
        _SEED,
        _EPOCH,
        field("split", pa.string(), "train and target: while training on their batches; val: after the epoch"),
        field("loss", pa.float64(), "mean cross-entropy", "nat"),
        *(field(name, pa.float64(), meaning, "fraction") for name, meaning in ACCURACIES.items()),
        field("lr", pa.float64(), "learning rate of the epoch"),
        field("seconds", pa.float64(), "training and validation of the epoch, the same for each of its splits", "s"),
    ],
    metadata={"name": "epochs", "rows": "one per trial, seed, epoch and split"},
)

DIAGNOSTICS = pa.schema(
    [
        _TRIAL,
        _SEED,
        _EPOCH,
        field("name", pa.string(), "of what the trial's method reports besides its accuracies, as cosine"),
        field("value", pa.float64(), "its mean over the steps of the epoch"),
    ],
    metadata={
        "name": "diagnostics",
        "rows": "one per trial, seed, epoch and name; none of methods that report nothing",
    },
)

GROUPS = pa.schema(
    [
        field(
            "trial",
            pa.string(),
            "trial; of a refit the one whose network gives the features, null for the pretrained network",
        ),
        field("seed", pa.int64(), "seed of the replica; for a refit of the pretrained network as in dfr"),
        field("features", pa.string(), "of a refit as in dfr; null for the trial's own network"),
        field("protocol", pa.string(), "of a refit as in dfr; null for the trial's own network"),
        field("fingerprint", pa.string(), "SHA-256 of the splits that it was trained, or refitted, and judged on"),
        field(
            "epoch",
            pa.int64(),
            "the seed's best epoch: the first with the highest validation objective; null for a refit",
        ),
        field(
            "split",
            pa.string(),
            "train and target: while training; val and test: in eval mode after the epoch, or of the refitted layer",
        ),
        field("label", pa.int64(), "class"),
        field("attribute", pa.int64(), "value of the spurious feature"),
        field("aligned", pa.bool_(), "whether the attribute goes with the label as in training; else it conflicts"),
        field(
            "evaluation_group",
            pa.string(),
            "group that the cell is judged with, the worst of which is the worst group: aligned or conflicting, or "
            "the cell alone, as 'label 0, attribute 1'",
        ),
        field("train_n", pa.int64(), "samples of the cell in train, by which train_weighted weighs groups", "count"),
        field("n", pa.int64(), "samples", "count"),
        field("correct", pa.int64(), "correctly predicted samples", "count"),
        field("accuracy", pa.float64(), "correct / n; null for an empty group", "fraction"),
    ],
    metadata={
        "name": "groups",
        "rows": "one per trial, seed, split and cell at the seed's best epoch, and per refit, val or test, and cell",
    },
)

_REFITTED = (
    field("trial", pa.string(), "trial whose network gives the features; null for pretrained"),
    field("seed", pa.int64(), "seed of its replica; for pretrained that of the splits, null where seeds share them"),
    field(
        "features",
        pa.string(),
        "of which network: of a trial at its best epoch, the trial's method, which is erm; or pretrained, the model's "
        "ImageNet weights or file",
    ),
    field("protocol", pa.string(), f"how the last layer was refitted: {', '.join(DfrProtocol)}"),
)
_FINGERPRINT = field("fingerprint", pa.string(), "SHA-256 of the splits that it was fitted and judged on")

DFR = pa.schema(
    [
        *_REFITTED,
        field(
            "status",
            pa.string(),
            f"{REFITTED}; or, with nulls for all that follows, {GONE}: of a trial whose file of them was deleted; or "
            f"{UNDEFINED}: of protocol train alone, where no subsample of it can be group-balanced",
        ),
        field("C", pa.float64(), "inverse strength of the L1 penalty, chosen by the objective on val"),
        field("nonzero", pa.int64(), "non-zero coefficients of the refitted layer", "count"),
        *(
            field(f"{split}_{name}", pa.float64(), f"{meaning}, on {split}", "fraction")
            for split in ("val", "test")
            for name, meaning in ACCURACIES.items()
        ),
        _FINGERPRINT,
    ],
    metadata={"name": "dfr", "rows": "one per network and protocol"},
)

DFR_PATH = pa.schema(
    [
        *_REFITTED,
        field("C", pa.float64(), "inverse strength of the L1 penalty"),
        field("chosen", pa.bool_(), "whether val chose it: the highest objective, of equal ones the smallest C"),
        field("nonzero", pa.int64(), "non-zero coefficients of the one fit that was tried", "count"),
        *(
            field(f"val_{name}", pa.float64(), f"{meaning}, on val, of the one fit that was tried", "fraction")
            for name, meaning in ACCURACIES.items()
        ),
        _FINGERPRINT,
    ],
    metadata={"name": "dfr_path", "rows": "one per refitted network, protocol and C that was tried"},
)

OF_RECORDS = {"trials": TRIALS, "epochs": EPOCHS, "diagnostics": DIAGNOSTICS, "groups": GROUPS}
"""The tables that are made from the records of trials."""
ADDED = {"dfr": DFR, "dfr_path": DFR_PATH}
"""The tables that analyses alone add to; they also add the rows of refits to ``groups``."""
SCHEMAS = OF_RECORDS | ADDED


def trials_schema(spec: RunSpec) -> pa.Schema:
    """Of a run's ``trials``, which has the options of its own methods and dataset besides."""
    own = own_fields(spec, TRIALS)
    at = max(i for i, name in enumerate(TRIALS.names) if name.startswith("config.")) + 1
    fields = [*list(TRIALS)[:at], *own, *list(TRIALS)[at:]]
    return pa.schema(fields, metadata=TRIALS.metadata)
