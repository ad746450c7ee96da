"""The plan of every published space, as a dry run prints it, against what the authors' scripts and code say."""

import pytest

from scale_tune.datasets.ahead import dataset_variants
from scale_tune.spec.loading import load_spec
from scale_tune.spec.plan import print_plan
from scale_tune.training import trying_out
from scale_tune.workflows.rehearsal import rehearse
from scale_tune.workflows.resolving import preparation, resolved
from tests.conftest import REPOSITORY

EVERYWHERE = {
    "splits": "per_seed: each seed draws its own",
    "objective": "minority accuracy on val",
    "scheduler": "none",
}
SEARCH = EVERYWHERE | {"sampler": "random"}
DATASETS = {
    "dominoes": {
        "dataset": "name=dominoes spurious_strength=1.0 val_target_size=2000 seed=0",
        "model": "resnet18, weights imagenet",
    },
    "celeba": {
        "dataset": "name=celeba task=gender spurious_strength=1.0 target_size=1000 seed=0",
        "model": "resnet50, weights imagenet",
    },
    "waterbirds": {"dataset": "name=waterbirds seed=0", "model": "resnet50, weights imagenet"},
}
BATCH_SIZES = {"dominoes": "8, 16, 32, 64", "celeba": "16, 32, 64, 128", "waterbirds": "16, 32, 64, 128"}
EPOCHS = {"erm": "50", "erm_target": "100", "scale": "50"}
RATES = {"lr": "0.01, 0.001, 0.0001", "weight_decay": "0.1, 0.01, 0.001, 0.0001"}
OWN = {"scale": {"group_size": "1, 4, 16, 64", "regularize_mode": "linear (fixed)"}}
ABLATION = {
    "dataset.spurious_strength": "0.95, 0.96, 0.97, 0.98, 0.99, 1.0",
    "dataset.val_target_size": "1000, 2000, 3000, 4000, 5000, 6000",
    "lr": "0.001 (fixed)",
    "weight_decay": "0.001 (fixed)",
    "batch_size": "16 (fixed)",
}
FINE = {"seeds": (0, 1, 2), "schedule": "none", "momentum": 0.9}
"""What a plan doesn't print."""


@pytest.fixture
def plan_of(capsys, monkeypatch):
    """What is searched, by method, and what holds for all of them, as they are printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def read(name: str):
        spec = load_spec(REPOSITORY / "search_spaces" / f"{name}.yaml", check=resolved)
        print_plan(spec, preparation(spec))
        table, lines = {}, {}
        for line in capsys.readouterr().out.splitlines():
            if line.startswith("│"):
                method, trials, seeds, epochs, parameter, values = (cell.strip() for cell in line.split("│")[1:-1])
                if method:
                    of_method = table.setdefault(method, {"trials": trials, "seeds": seeds, "epochs": epochs})
                of_method[parameter] = values
            elif line[0].isalpha():
                lines[line[:10].strip()] = line[10:].strip()
        return spec, table, lines

    return read


def assert_trains_as_published(spec) -> None:
    for method in spec.methods:
        config = spec.first_config(method)
        momentum = config.hyperparameters.momentum
        assert {"seeds": config.seeds, "schedule": config.schedule, "momentum": momentum} == FINE


@pytest.mark.parametrize("method", EPOCHS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_the_published_search(plan_of, dataset, method):
    spec, table, lines = plan_of(f"{dataset}_{method}")
    assert table == {
        method: {"trials": "30", "seeds": "3", "epochs": EPOCHS[method]}
        | RATES
        | {"batch_size": BATCH_SIZES[dataset]}
        | OWN.get(method, {})
    }
    expected = SEARCH | DATASETS[dataset]
    assert {name: lines[name] for name in expected} == expected
    assert_trains_as_published(spec)


def test_the_published_ablation(plan_of):
    spec, table, lines = plan_of("dominoes_ablation")
    step = {"group_size": "64 (fixed)", "regularize_mode": "linear, step"}
    assert table == {
        method: {"trials": "72" if method == "scale" else "36", "seeds": "3", "epochs": EPOCHS[method]}
        | ABLATION
        | (step if method == "scale" else {})
        for method in EPOCHS
    }
    expected = EVERYWHERE | {
        "sampler": "grid",
        "dataset": "name=dominoes seed=0",
        "model": DATASETS["dominoes"]["model"],
    }
    assert {name: lines[name] for name in expected} == expected
    assert_trains_as_published(spec)
    variants = dataset_variants(spec)
    assert len({tuple(v.options.items()) for v in variants}) == len(variants) == 36 * 3


PRETRAINED = {
    "dominoes": "and resnet18 with the weights imagenet, untrained",
    "celeba": "and resnet50 with the weights imagenet, untrained",
    "waterbirds": "and resnet50 with the weights imagenet, untrained",
}
NONE = "none: no method here is refitted, as erm is"
EVERY = "every erm trial that runs to its end"


@pytest.mark.parametrize(
    ("name", "of_erm", "on"),
    [
        *((f"{dataset}_erm", f"{EVERY}, 3 seeds each", "") for dataset in DATASETS),
        *((f"{dataset}_{method}", NONE, "") for dataset in DATASETS for method in ("erm_target", "scale")),
        ("dominoes_ablation", f"{EVERY} on each of the 36 datasets, 3 seeds each", " on each of the 36 datasets"),
    ],
)
def test_the_plan_says_what_dfr_will_cover(name, of_erm, on, tmp_path, monkeypatch):
    """Every ERM config of every cell, and the pretrained network; without the data and a step on them."""
    monkeypatch.setenv("SCALE_TUNE_DATA", str(tmp_path))
    monkeypatch.setattr(trying_out, "try_out", lambda *_: 512)
    spec = load_spec(REPOSITORY / "search_spaces" / f"{name}.yaml", check=resolved)
    lines: list[str] = []
    rehearse(spec, lines.append)
    found = [line[10:].strip() for line in lines if line.startswith(("DFR", "           and"))]
    assert found == [of_erm, PRETRAINED[spec.dataset.name] + on]


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_continuous_spaces_span_the_published_ones(plan_of, dataset):
    spec, table, lines = plan_of(f"{dataset}_tpe")
    sizes = BATCH_SIZES[dataset].split(", ")
    for method, epochs in EPOCHS.items():
        found = table[method]
        assert (found["trials"], found["seeds"], found["epochs"]) == ("30", "3", epochs)
        assert (found["lr"], found["weight_decay"]) == ("0.0001 … 0.01, log", "0.0001 … 0.1, log")
        assert found["batch_size"] == f"{sizes[0]} … {sizes[-1]}, log"
    expected = DATASETS[dataset] | {"splits": "shared: one for all seeds"}
    assert {name: lines[name] for name in expected} == expected
    assert_trains_as_published(spec)
