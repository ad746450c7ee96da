"""Splits that each seed draws for itself: from training to refits and the comparison, of a run that was trained."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from scale_tune.datasets import load_dataset, splits_by_seed
from scale_tune.errors import UserError
from scale_tune.report.text import difference_lines
from scale_tune.spec.config import DatasetConfig, DfrProtocol, Splits, TrialConfig
from scale_tune.spec.space import RunSpec
from scale_tune.storage.rundir import RunDir
from scale_tune.tables.collect import collect
from scale_tune.training.kept_features import load_features, save_features
from scale_tune.training.trialdir import read_final_record
from scale_tune.workflows.evaluate import evaluate
from tests.support.refits import make_few_fits_here
from tests.support.runs import fast_spec, make_run

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    space = {"lr": 0.01, "batch_size": 256, "dataset.noise": {"type": "choice", "values": [0.1, 0.5]}}
    return fast_spec(
        methods={"erm": {}, "erm_target": {}},
        space=space,
        sampler="grid",
        epochs=1,
        seeds=list(SEEDS),
        splits="per_seed",
        keep_top=1,
        scheduler={"name": "none"},
    )


@pytest.fixture(scope="module")
def run(spec, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), spec)


@pytest.fixture(autouse=True)
def _short_and_serial(monkeypatch):
    make_few_fits_here(monkeypatch)


@pytest.fixture
def found(run):
    return evaluate([run], [DfrProtocol.SCALE], None, lambda line: None)


def test_the_seed_of_a_replica_is_added_to_that_of_its_dataset():
    config = TrialConfig(method="erm", seeds=(0, 3), splits=Splits.PER_SEED, dataset=DatasetConfig(name="x", seed=5))
    assert {seed: dataset.options["seed"] for seed, dataset in config.datasets.items()} == {0: 5, 3: 8}
    shared = config.model_copy(update={"splits": Splits.SHARED})
    assert {seed: dataset.options["seed"] for seed, dataset in shared.datasets.items()} == {0: 5, 3: 5}


def test_no_test_image_of_a_seed_is_in_its_train_target_or_val(spec):
    config = spec.first_config("erm")
    of_seeds = splits_by_seed(config)
    assert of_seeds[0].fingerprint != of_seeds[1].fingerprint
    assert of_seeds[1].fingerprint == load_dataset("digits", noise=0.1, seed=1).fingerprint
    for splits in of_seeds.values():
        tested = set(splits.test.sources.ravel())
        for name in ("train", "target", "val"):
            assert not tested & set(getattr(splits, name).sources.ravel())


def test_each_seed_is_trained_and_judged_on_its_own_splits(run, spec):
    for trial in ("erm-00000", "erm_target-00000"):
        record = read_final_record(run.trial(trial))
        expected = {seed: splits.fingerprint for seed, splits in splits_by_seed(record.config).items()}
        assert {replica.seed: replica.fingerprint for replica in record.replicas} == expected
        assert record.fingerprint not in expected.values()
        for replica in record.replicas:
            train = load_dataset("digits", **spec.dataset.options | {"noise": 0.1, "seed": replica.seed}).train
            n = np.zeros((10, 10), int)
            np.add.at(n, (train.labels, train.attributes), 1)
            assert replica.cells.train_n == n.tolist()


def test_dfr_refits_each_seed_on_its_own_target(run, found):
    groups, refitted = (found.runs[0].tables[name] for name in ("groups", "dfr"))
    own = groups[groups["protocol"].isna()].groupby(["trial", "seed"])["fingerprint"].agg(["first", "nunique"])
    assert (own["nunique"] == 1).all()
    assert len(refitted) == 2 * len(SEEDS), "every trial and seed of ERM, on both datasets"
    for row in refitted.to_dict("records"):
        assert row["fingerprint"] == own["first"][row["trial"], row["seed"]]
        kept = load_features(run.trial(row["trial"]), row["seed"])
        noise = found.runs[0].tables["trials"].set_index("trial").loc[row["trial"], "config.dataset.noise"]
        target = load_dataset("digits", noise=noise, seed=row["seed"]).target
        assert np.array_equal(kept.splits["target"].labels, target.labels)


def test_the_comparison_is_of_both_seeds_and_both_datasets(found):
    board = found.comparison
    assert len(board) == 2 * 3
    assert set(board["method"]) == {"erm", "erm_target", "dfr (scale)"}
    assert set(board["seeds"]) == {2}
    pairs = found.differences[found.differences["accuracy"] == "worst_group"]
    assert len(pairs) == 2 * 3, "each pair of methods on each dataset: they share the splits of each seed"
    assert set(pairs["seeds"]) == {2}
    assert set(pairs["paired_over"]) == {"seeds and their splits"}
    headings = [line for line in difference_lines(found.differences, "worst_group") if not line.startswith(" ")]
    assert len(headings) == 2
    assert all("over 2 shared seeds and their splits" in line for line in headings)


def test_features_of_another_seeds_splits_are_refused(run, spec, tmp_path):
    kept = load_features(run.trial("erm-00000"), 0)
    strange = dataclasses.replace(kept, fingerprint=load_features(run.trial("erm-00000"), 1).fingerprint)
    save_features(run.trial("erm-00000"), strange)
    (run.results / "dfr.parquet").delete()
    with pytest.raises(UserError, match="seed 0 of .*erm-00000 was trained on other splits"):
        # As raised by a worker.
        evaluate([run], [DfrProtocol.SCALE], None, lambda line: None)
    save_features(run.trial("erm-00000"), kept)


def test_weights_of_the_best_are_kept_on_every_dataset_and_features_of_all(found):
    trials = found.runs[0].tables["trials"]
    assert trials["checkpoint"].notna().all(), "one of each method on each dataset"
    of_erm = trials["method"] == "erm"
    assert trials.loc[of_erm, "features"].tolist() == ["trials/erm-00000", "trials/erm-00001"]
    assert trials.loc[~of_erm, "features"].isna().all()


def test_a_run_says_how_its_seeds_are_divided(found):
    assert set(found.runs[0].tables["trials"]["config.splits"]) == {"per_seed"}
    pd.testing.assert_series_equal(
        found.runs[0].tables["trials"]["fingerprint"].duplicated(),
        pd.Series([False, False, True, True]),
        check_names=False,
    )


def test_a_poisoned_test_split_chooses_no_refit(run, found, tmp_path):
    """Kept features of test that say another thing change neither C, nor the trial, nor anything of val."""
    copy = RunDir(shutil.copytree(run.path.local, tmp_path / "run"))
    shutil.rmtree(copy.results.local)
    random = np.random.default_rng(0)
    for path in copy.trials.local.glob("erm-*/features-*.safetensors"):
        directory, seed = copy.trial(path.parent.name), int(path.stem.rpartition("-")[2])
        kept = load_features(directory, seed)
        test = kept.splits["test"]
        poison = {"features": random.normal(size=test.features.shape).astype(np.float32) * 1e6}
        poison["labels"] = random.permutation(test.labels)
        splits = kept.splits | {"test": dataclasses.replace(test, **poison)}
        save_features(directory, dataclasses.replace(kept, splits=splits))
    other = evaluate([copy], [DfrProtocol.SCALE], None, lambda line: None)
    blind = [name for name in found.runs[0].tables["dfr"] if not name.startswith("test_")]
    whole, poisoned = (each.runs[0].tables["dfr"] for each in (found, other))
    pd.testing.assert_frame_equal(poisoned[blind], whole[blind])
    assert (poisoned["test_minority"] < whole["test_minority"]).all(), "it was read, for the result alone"
    chosen = ["dataset", "method", "trial", "val_worst_group_mean"]
    pd.testing.assert_frame_equal(other.comparison[chosen], found.comparison[chosen])


def test_of_several_configs_test_does_not_choose_the_one_that_dfr_shows(tmp_path):
    """With a test that nobody can read, the chosen config is worse on it than the other one, and chosen again."""
    space = {"lr": {"type": "choice", "values": [0.001, 0.01]}, "batch_size": 256, "dataset.noise": 0.1}
    options = {"space": space, "sampler": "grid", "epochs": 1, "seeds": list(SEEDS), "splits": "per_seed"}
    made = make_run(tmp_path / "runs", fast_spec(methods={"erm": {}}, scheduler={"name": "none"}, **options))

    def shown() -> pd.Series:
        board = evaluate([made], [DfrProtocol.SCALE], None, lambda line: None).comparison.set_index("method")
        assert (board["trials"] == 2).all(), "both configs are there to choose from"
        return board.loc["dfr (scale)"]

    before = shown()
    random = np.random.default_rng(0)
    for seed in SEEDS:
        kept = load_features(made.trial(before["trial"]), seed)
        test = kept.splits["test"]
        unreadable = dataclasses.replace(test, labels=random.permutation(test.labels))
        save_features(made.trial(before["trial"]), dataclasses.replace(kept, splits=kept.splits | {"test": unreadable}))
    shutil.rmtree(made.results.local)
    after = shown()
    refitted = collect(made)["dfr"].to_pandas().groupby("trial")["test_worst_group"].mean()
    assert refitted[before["trial"]] < refitted.drop(before["trial"]).item()
    assert after["trial"] == before["trial"]
    assert after["val_worst_group_mean"] == before["val_worst_group_mean"]
    assert after["test_worst_group_mean"] < before["test_worst_group_mean"]
