"""DFR against an independent scikit-learn computation, and what it must refuse."""

import dataclasses
import pickle
import shutil
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torchvision.models import get_model

from scale_tune import datasets
from scale_tune.datasets.balanced import balanced_subsample, train_subsamples
from scale_tune.datasets.digits import INFO
from scale_tune.datasets.groups import EvaluationGroups
from scale_tune.datasets.splits import DatasetSplits, Split
from scale_tune.dfr import features
from scale_tune.dfr import protocols as dfr
from scale_tune.dfr.features import Featured, FrozenFeatures
from scale_tune.dfr.protocols import fit_l1, refit, refit_pretrained, refit_trial
from scale_tune.errors import UserError
from scale_tune.networks import build_classifier
from scale_tune.networks.taps import taper
from scale_tune.seeding import derive_seed
from scale_tune.spec.config import DatasetConfig, DfrProtocol, Hyperparameters, ModelOptions, Objective, TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.kept_features import extract_features, load_features
from scale_tune.training.trial import Trial
from scale_tune.training.trialdir import features_path, weights_path

ALL = tuple(DfrProtocol)
GROUPED = (DfrProtocol.SCALE, DfrProtocol.DFR)
"""Those that need every group of target."""
ON_TARGET = (DfrProtocol.SCALE, DfrProtocol.DFR, DfrProtocol.CLASS)
PUBLISHED = {
    "scale": ([0.01, 0.05, 0.1, 0.5, 1, 1.5, 2, 2.5, 3], 10),
    "dfr": ([1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01], 20),
    "class": ([1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01], 20),
    "train": ([1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01], 10),
}
SEED = 7
CPU = torch.device("cpu")

DIGITS = DatasetConfig(name="digits")


def as_splits(labels, attributes, classes: int, evaluation_groups: EvaluationGroups) -> DatasetSplits:
    """Splits that carry only labels and attributes."""
    splits = {
        name: Split(
            images=np.zeros((len(labels[name]), 3, 1, 1), np.uint8),
            labels=np.asarray(labels[name], np.int64),
            attributes=np.asarray(attributes[name], np.int64),
            sources=np.zeros((len(labels[name]), 1), np.int64),
        )
        for name in labels
    }
    groups = dataclasses.replace(
        INFO.groups,
        num_classes=classes,
        num_attributes=classes,
        aligned_attributes=tuple(range(classes)),
        evaluation_groups=evaluation_groups,
    )
    info = dataclasses.replace(INFO, groups=groups)
    return DatasetSplits(name="blobs", options={"seed": 0}, fingerprint="f", info=info, **splits)


def blobs(
    classes: int, n: dict[str, int], *, dimension: int = 12, cells: bool = False
) -> tuple[dict[str, np.ndarray], DatasetSplits]:
    """Features around a centre per class, of widths from 0.01 to 100."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, dimension))
    widths = np.geomspace(0.01, 100, dimension)
    counts = {"train": 300} | n
    labels = {name: np.arange(count) % classes for name, count in counts.items()}
    attributes = {name: rng.integers(0, classes, count) for name, count in counts.items()}
    made = {name: (centres[labels[name]] + rng.normal(size=(counts[name], dimension))) * widths + 3 for name in counts}
    groups = EvaluationGroups.CELLS if cells else EvaluationGroups.ALIGNED_CONFLICTING
    return made, as_splits(labels, attributes, classes, groups)


def given(splits: DatasetSplits, data, seed: int = 0) -> Featured:
    """Features that are there, or that a function gives."""

    def compute(name, rows):
        features = (data(name) if callable(data) else data[name]).astype(float)
        return features if rows is None else features[rows]

    return Featured.of(splits, compute, seed)


@pytest.fixture(scope="module")
def digits_features(digits):
    model = build_classifier(ModelOptions(), 10, ["train"], seed=0)
    return {name: extract_features(model, getattr(digits, name), digits, CPU) for name in ("target", "val", "test")}


def problem(source: str, classes: int, digits, digits_features) -> tuple[dict[str, np.ndarray], DatasetSplits]:
    """Two classes are judged by their four cells, ten by aligned and conflicting samples."""
    if source == "blobs":
        return blobs(classes, {"target": 200, "val": 300, "test": 400}, cells=classes == 2)
    if classes == 10:
        return digits_features, digits
    parts = {name: getattr(digits, name) for name in ("train", "target", "val", "test")}
    labels = {name: split.labels // 5 for name, split in parts.items()}
    attributes = {name: split.attributes // 5 for name, split in parts.items()}
    return digits_features, as_splits(labels, attributes, 2, EvaluationGroups.CELLS)


def independent(protocol, data, splits, classes):
    """The protocol again, written out on scikit-learn: C by val, then the mean of the fits.

    Returns the chosen C, every C's worst group on val, weights and biases of the features as they are (one row for
    two classes), and the worst group and average on test.
    """
    values_of_c, fits = PUBLISHED[protocol]
    on = "train" if protocol == "train" else "target"
    y, a = (np.array(getattr(getattr(splits, on), what)) for what in ("labels", "attributes"))

    def subsample(number):
        if protocol == "scale":
            return list(range(len(y)))
        if protocol == "train":
            number = 0 if number == "path" else number + 1
        rng = np.random.default_rng(derive_seed("dfr", protocol, SEED, "subsample", number))
        if protocol == "class":
            of_class = [[i for i in range(len(y)) if y[i] == k] for k in range(classes)]
            return [i for each in of_class for i in rng.permutation(each)[: min(map(len, of_class))]]
        if classes == 2:
            cells = [[i for i in range(len(y)) if (y[i], a[i]) == (k, j)] for k in (0, 1) for j in (0, 1)]
            smallest = min(len(cell) for cell in cells)
            return [i for cell in cells for i in rng.permutation(cell)[:smallest]]
        aligned = [i for i in range(len(y)) if y[i] == a[i]]
        conflicting = [[i for i in range(len(y)) if y[i] == k != a[i]] for k in range(classes)]
        # nine conflicting samples for an aligned one, in equal parts from each class
        n = min(min(len(c) for c in conflicting), len(aligned) * (classes - 1) // classes)
        rows = [i for c in conflicting for i in rng.permutation(c)[:n]]
        return rows + list(rng.permutation(aligned)[: n * classes // (classes - 1)])

    fitted_on = data[on].astype(float)
    if protocol == "train":  # only what its subsamples have is kept
        fitted_on = fitted_on[sorted({i for number in ("path", *range(fits)) for i in subsample(number)})]
    scaler = StandardScaler().fit(fitted_on)
    mean, width = (0, 1) if protocol == "scale" else (scaler.mean_, scaler.scale_)
    scaled = {name: (data[name].astype(float) - mean) / width for name in data}

    def fit(c, number):
        rows = subsample(number)
        random_state = derive_seed("dfr", protocol, SEED, "solver", number) % 2**32
        weights, biases = [], []
        for k in [1] if classes == 2 else range(classes):
            model = LogisticRegression(l1_ratio=1, solver="liblinear", C=c, random_state=random_state, max_iter=1000)
            model.fit(scaled[on][rows], (y[rows] == k).astype(int))
            weights.append(model.coef_[0])
            biases.append(model.intercept_[0])
        return np.array(weights), np.array(biases)

    def right(weights, biases, name):
        scores = scaled[name] @ weights.T + biases
        predicted = (scores[:, 0] > 0).astype(int) if classes == 2 else scores.argmax(1)
        return predicted == getattr(splits, name).labels

    def worst(correct, name):
        labels, attributes = np.array(getattr(splits, name).labels), np.array(getattr(splits, name).attributes)
        groups = labels * classes + attributes if classes == 2 else labels == attributes
        return min(correct[groups == group].mean() for group in set(groups))

    path = {c: worst(right(*fit(c, "path"), "val"), "val") for c in values_of_c}
    chosen = min(c for c in path if path[c] == max(path.values()))
    fitted = [fit(chosen, number) for number in range(fits)]
    weights, biases = (np.mean([f[i] for f in fitted], axis=0) for i in (0, 1))
    correct = right(weights, biases, "test")
    return (
        chosen,
        path,
        weights / width,
        biases - (weights / width) @ np.broadcast_to(mean, weights.shape[1]),
        (
            worst(correct, "test"),
            correct.mean(),
        ),
    )


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize(
    ("source", "protocol"), [*product(["blobs"], ALL), *product(["digits"], ON_TARGET)], ids=lambda value: str(value)
)
def test_agrees_with_an_independent_computation(protocol, classes, source, digits, digits_features):
    """On digits of strength 1 train has no conflicting sample, so it is of no use there."""
    data, splits = problem(source, classes, digits, digits_features)
    result = refit(given(splits, data, SEED), protocol, Objective.WORST_GROUP, SEED)
    chosen, path, weights, biases, (test_worst, test_average) = independent(protocol.value, data, splits, classes)
    assert chosen == result.C
    assert {point.C: point.val.summary()["worst_group"] for point in result.path} == pytest.approx(path)
    assert len(set(path.values())) > 2, "the values of C must differ for the choice to be one"
    ours = result.classifier
    weight, bias = ours.weight, ours.bias
    if classes == 2:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    np.testing.assert_allclose(weight, weights, atol=1e-8, rtol=1e-8)
    np.testing.assert_allclose(bias, biases, atol=1e-8, rtol=1e-8)
    assert result.test.summary()["worst_group"] == pytest.approx(test_worst)
    assert result.test.summary()["average"] == pytest.approx(test_average)
    assert pickle.loads(pickle.dumps(result)).C == result.C


@pytest.mark.parametrize("protocol", ALL)
def test_the_values_of_c_and_the_number_of_fits_are_the_published_ones(protocol):
    values, fits = PUBLISHED[protocol.value]
    assert tuple(sorted(values)) == dfr.RECIPES[protocol].C, "ascending: of equal ones the first is taken"
    assert dfr.RECIPES[protocol].fits == fits


@pytest.mark.parametrize("protocol", ALL)
def test_of_equal_objectives_the_strongest_penalty_is_taken(protocol):
    data, splits = blobs(2, {"target": 200, "val": 20, "test": 20})
    result = refit(given(splits, data), protocol, Objective.AVERAGE, 0)
    best = max(point.val.summary()["average"] for point in result.path)
    equal = [point.C for point in result.path if point.val.summary()["average"] == best]
    assert len(equal) > 1
    assert min(equal) == result.C


def test_the_penalty_is_l1():
    data, splits = blobs(2, {"target": 100, "val": 10, "test": 10}, dimension=200)
    standardised = StandardScaler().fit_transform(data["target"])
    assert (fit_l1(standardised, splits.target.labels, 0.05, 0).weight == 0).mean() > 0.8


@pytest.mark.parametrize("protocol", ALL)
def test_a_poisonous_test_split_changes_nothing_that_is_chosen_or_fitted(protocol):
    data, splits = blobs(10, {"target": 200, "val": 300, "test": 400})
    clean = refit(given(splits, data), protocol, Objective.WORST_GROUP, 0)
    rng = np.random.default_rng(1)
    test = dataclasses.replace(splits.test, labels=rng.integers(0, 10, 400), attributes=rng.integers(0, 10, 400))
    poisoned = dataclasses.replace(splits, test=test)
    for poison in (np.nan, 1e300):
        bad = {**data, "test": np.full_like(data["test"], poison)}
        result = refit(given(poisoned, bad), protocol, Objective.WORST_GROUP, 0)
        assert (result.C, result.val.summary()["worst_group"]) == (clean.C, clean.val.summary()["worst_group"])
        assert np.array_equal(result.classifier.weight, clean.classifier.weight)
        assert result.test.summary()["average"] < 0.2 < clean.test.summary()["average"]


@pytest.mark.parametrize("protocol", ALL)
def test_test_is_not_asked_for_before_everything_is_fitted(protocol, monkeypatch):
    data, splits = blobs(10, {"target": 200, "val": 300, "test": 400})
    events = []
    monkeypatch.setattr(dfr, "fit_l1", lambda *arguments: events.append("fit") or fit_l1(*arguments))

    def ask(split):
        events.append(split)
        return data[split]

    refit(given(splits, ask), protocol, Objective.WORST_GROUP, 0)
    values, fits = PUBLISHED[protocol.value]
    assert sorted(events[:2]) == ["train" if protocol is DfrProtocol.TRAIN else "target", "val"]
    assert events[2:] == ["fit"] * (len(values) + fits) + ["test"]


def target_of(labels, attributes, classes, groups) -> DatasetSplits:
    parts = {"train": [0], "val": [0], "test": [0]}
    return as_splits(parts | {"target": labels}, parts | {"target": attributes}, classes, groups)


CELLS, ALIGNED = EvaluationGroups.CELLS, EvaluationGroups.ALIGNED_CONFLICTING


@pytest.mark.parametrize(
    ("labels", "attributes", "groups", "protocols", "message"),
    [
        pytest.param([0, 0], [0, 1], CELLS, ON_TARGET, "no sample of: class 1", id="a class"),
        pytest.param([0, 0], [0, 1], ALIGNED, ON_TARGET, "no sample of: class 1", id="a class, without cells"),
        pytest.param([0, 0, 1], [0, 1, 1], CELLS, GROUPED, r"group \(label 1, attribute 0\)", id="a cell"),
        pytest.param([0, 1], [1, 0], ALIGNED, GROUPED, "no sample of: aligned samples", id="aligned samples"),
        pytest.param([0, 1], [0, 1], ALIGNED, GROUPED, "conflicting samples", id="conflicting samples"),
        pytest.param(
            [0, 0, 1], [0, 1, 1], ALIGNED, [DfrProtocol.DFR], "conflicting samples of class 1", id="its subsamples"
        ),
    ],
)
def test_a_target_without_a_class_or_group_is_a_clear_error(labels, attributes, groups, protocols, message):
    splits = target_of(labels, attributes, 2, groups)
    for protocol in protocols:
        with pytest.raises(UserError, match=message) as error:
            refit(given(splits, {}), protocol, Objective.WORST_GROUP, 0)
        assert "Use another dataset.seed in a new search, or analyse this one with --dfr none" in str(error.value)
    sized = dataclasses.replace(splits, options={"val_target_size": 20, "seed": 0})
    with pytest.raises(UserError, match=r"a larger dataset\.val_target_size or another dataset\.seed"):
        refit(given(sized, {}), DfrProtocol.DFR, Objective.WORST_GROUP, 0)


@pytest.mark.parametrize("split", ["target", "val"])
def test_features_that_are_no_numbers_are_a_clear_error(split):
    """As of a network with a weight that is none."""
    data, splits = blobs(2, {"target": 40, "val": 40, "test": 40})
    data[split][3, 0] = np.nan
    with pytest.raises(UserError, match=f"features of {split} on blobs hold what is no number.*--dfr none"):
        refit(given(splits, data), DfrProtocol.SCALE, Objective.WORST_GROUP, 0)


def test_a_subsample_has_equally_many_of_each_cell():
    rng = np.random.default_rng(0)
    labels, attributes = np.repeat([0, 0, 1, 1], [50, 9, 20, 7]), np.repeat([0, 1, 0, 1], [50, 9, 20, 7])
    splits = target_of(labels, attributes, 2, CELLS)
    draws = [balanced_subsample(labels, attributes, splits.info.groups, rng) for _ in range(20)]
    for rows in draws:
        assert len(set(rows)) == len(rows) == 28
        assert np.bincount(labels[rows] * 2 + attributes[rows]).tolist() == [7] * 4
    assert len({tuple(sorted(rows)) for rows in draws}) == 20
    assert len(set(np.concatenate(draws))) > 80, "over the draws nearly every sample of every cell comes in"


@pytest.mark.parametrize("seed", range(4))
def test_in_a_subsample_of_digits_the_attribute_says_nothing_about_the_label(seed):
    digits = datasets.load_dataset("digits", seed=seed)
    target, groups = digits.target, digits.info.groups
    for draw in range(10):
        rows = balanced_subsample(target.labels, target.attributes, groups, np.random.default_rng(draw))
        aligned = target.labels[rows] == target.attributes[rows]
        assert len(set(rows)) == len(rows) > 300
        assert aligned.mean() == pytest.approx(0.1, abs=0.003)
        assert len(set(np.bincount(target.labels[rows][~aligned], minlength=10))) == 1


@pytest.mark.parametrize("n_aligned", [1, 2, 30])
@pytest.mark.parametrize("n_conflicting", [1, 2, 30])
def test_a_subsample_keeps_every_class_however_few_samples_there_are(n_aligned, n_conflicting):
    labels = np.concatenate([np.zeros(n_aligned, int), np.repeat(np.arange(10), n_conflicting)])
    attributes = np.concatenate([np.zeros(n_aligned, int), np.repeat((np.arange(10) + 1) % 10, n_conflicting)])
    splits = target_of(labels, attributes, 10, ALIGNED)
    rows = balanced_subsample(labels, attributes, splits.info.groups, np.random.default_rng(0))
    assert set(labels[rows]) == set(range(10))
    assert (labels[rows] == attributes[rows]).any()


def test_features_are_the_input_of_the_last_layer_in_eval_mode_without_augmentation(digits):
    model = build_classifier(ModelOptions(), 10, ["train"], seed=0)
    model.train()
    with torch.no_grad():
        model(torch.randn(64, 3, 16, 8))  # BatchNorm's statistics are no longer 0 and 1
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    extracted = extract_features(model, digits.val, digits, CPU)
    assert np.array_equal(extracted, extract_features(model, digits.val, digits, CPU))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    images = (torch.tensor(digits.val.images[:100]).double() / 255 - 0.5) / 0.25
    with torch.inference_mode():
        by_hand = model.eval().double().backbone(images)
        logits = model.head("train")(torch.from_numpy(extracted[:100]).double())
        assert torch.allclose(logits, model(images), atol=1e-4)
    assert extracted.shape == (1000, model.head("train").in_features)
    np.testing.assert_allclose(extracted[:100], by_hand.numpy(), atol=1e-4)


CONFIG = TrialConfig(method="erm", epochs=1, seeds=(0,), hyperparameters=Hyperparameters(batch_size=64, lr=0.01))


@pytest.fixture(scope="module")
def trained(digits, device, tmp_path_factory):
    """The directory of an ended trial of one epoch."""
    directory = Location.of(tmp_path_factory.mktemp("trial") / "erm-00000")
    Trial("erm-00000", CONFIG, {0: digits}, device, directory).train_epoch()
    return directory


@pytest.fixture
def short(monkeypatch):
    """Where two ways to the same fits are compared, few of them are enough."""
    recipes = {name: dataclasses.replace(recipe, C=recipe.C[2:4], fits=2) for name, recipe in dfr.RECIPES.items()}
    monkeypatch.setattr(dfr, "RECIPES", recipes)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "features"


@pytest.fixture
def images_seen():
    """How many images have gone through a backbone."""
    seen = []
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, _, output: seen.append(len(output)) if isinstance(module, nn.Flatten) else None
    )
    yield lambda: sum(seen)
    hook.remove()


def test_kept_features_are_those_of_the_best_epochs_weights(trained, digits, device):
    kept = load_features(trained, 0)
    network = build_classifier(ModelOptions(), 10, ["train"], seed=1).to(device)
    network.load_state_dict(load_file(weights_path(trained, 0).local, device=str(device)))
    for name in ("target", "val", "test"):
        split = getattr(digits, name)
        assert np.array_equal(kept.splits[name].features, extract_features(network, split, digits, device))
        assert np.array_equal(kept.splits[name].labels, split.labels)
        assert np.array_equal(kept.splits[name].attributes, split.attributes)
    assert set(kept.splits) == {"train", "target", "val", "test"}
    assert kept.splits["train"].features.shape == (0, 256), "at strength 1 no part of train is group-balanced"
    assert kept.subsamples.shape == (0, 0)
    assert kept.groups == digits.info.groups


@pytest.mark.usefixtures("short")
def test_a_kept_trial_is_refitted_without_weights_data_or_network(trained, tmp_path, monkeypatch, images_seen):
    directory = Location.of(tmp_path / trained.name)
    shutil.copytree(trained.local, directory.local)
    kept = load_features(directory, 0)
    features = {name: split.features for name, split in kept.splits.items()}
    weights_path(directory, 0).delete()
    with monkeypatch.context() as patch:
        patch.setattr(dfr, "load_splits", lambda *_: pytest.fail("the data are not needed"))
        results = refit_trial(directory, 0, CONFIG, kept.fingerprint, ALL)
    assert images_seen() == 0
    for protocol, result in zip(ON_TARGET, results, strict=True):
        by_hand = refit(given(datasets.load_dataset("digits"), features), protocol, CONFIG.objective, 0)
        assert result.C == by_hand.C
        assert np.array_equal(result.classifier.weight, by_hand.classifier.weight)
        assert result.test.summary() == by_hand.test.summary()
        assert result.test.summary()["train_weighted"] is not None


def test_features_of_other_splits_are_refused(trained):
    with pytest.raises(UserError, match="test samples may have been trained on") as error:
        refit_trial(trained, 0, CONFIG, "another fingerprint", GROUPED)
    assert "another fingerprint" in str(error.value)
    assert str(trained) in str(error.value)


def test_features_that_are_gone_are_no_error(tmp_path):
    assert refit_trial(Location.of(tmp_path), 0, CONFIG, "", GROUPED) is None


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"garbage" * 9, lambda b: b[:-100]])
def test_damaged_features_are_an_error_that_names_the_file(damage, trained, tmp_path):
    directory = Location.of(tmp_path / trained.name)
    shutil.copytree(trained.local, directory.local)
    path = features_path(directory, 0).local
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"features-0.safetensors is damaged.*restore it from a copy, or delete it"):
        refit_trial(directory, 0, CONFIG, "", GROUPED)


def test_features_of_another_trial_are_refused(trained, tmp_path):
    directory = Location.of(tmp_path / "erm-00001")
    shutil.copytree(trained.local, directory.local)
    with pytest.raises(UserError, match="holds the features of erm-00000, seed 0"):
        refit_trial(directory, 0, CONFIG, "", GROUPED)


def test_a_cached_feature_belongs_to_its_data_and_its_normalisation(digits, own_cache, images_seen):
    model = build_classifier(ModelOptions(), 10, ["train"], seed=0)
    plain = FrozenFeatures(model, ModelOptions(), digits)("target")
    others = [
        dataclasses.replace(digits, fingerprint="another"),
        dataclasses.replace(digits, info=dataclasses.replace(digits.info, mean=(0.4, 0.5, 0.5))),
    ]
    for number, splits in enumerate(others):
        FrozenFeatures(model, ModelOptions(), splits)("target")
        assert images_seen() == 400 * (number + 2)
    assert np.array_equal(FrozenFeatures(model, ModelOptions(), digits)("target"), plain)
    assert images_seen() == 1200


def test_a_damaged_entry_of_the_cache_is_made_again(digits, own_cache, images_seen):
    source = FrozenFeatures(build_classifier(ModelOptions(), 10, ["train"], seed=0), ModelOptions(), digits)
    whole = source("target")
    (entry,) = own_cache.iterdir()
    for number, damaged in enumerate((b"", b"garbage", entry.read_bytes()[:-100])):
        entry.write_bytes(damaged)
        assert np.array_equal(source("target"), whole)
        assert images_seen() == 400 * (number + 2)
    assert np.array_equal(source("target"), whole)
    assert images_seen() == 1600


def test_a_full_disk_costs_the_cache_and_not_the_analysis(digits, own_cache, monkeypatch):
    source = FrozenFeatures(build_classifier(ModelOptions(), 10, ["train"], seed=0), ModelOptions(), digits)
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert source("target").shape == (400, 256)
    assert list(own_cache.iterdir()) == []


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("weights", ["file", "imagenet", "none"])
def test_the_pretrained_baseline_is_dfr_on_the_features_of_these_weights(weights, digits, tmp_path, monkeypatch):
    torch.manual_seed(5)
    network = get_model("resnet18", weights=None)
    if weights == "file":
        weights = str(tmp_path / "w.safetensors")
        save_file(network.state_dict(), weights)
    else:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        torch.save(network.state_dict(), tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth")
    (result,) = refit_pretrained(
        ModelOptions(name="resnet18", weights=weights),
        DIGITS,
        digits.fingerprint,
        [DfrProtocol.DFR],
        Objective.WORST_GROUP,
        {},
        0,
    )
    network.fc = nn.Identity()
    network.eval()
    taper(network)  # or else features are the same but for rounding, and coefficients to three digits

    def by_hand(name):
        images = (torch.tensor(getattr(digits, name).images).float() / 255 - 0.5) / 0.25
        with torch.inference_mode():
            return torch.cat([network(batch) for batch in images.split(256)]).double().numpy()

    expected = refit(given(digits, by_hand), DfrProtocol.DFR, Objective.WORST_GROUP, 0)
    assert result.C == expected.C
    np.testing.assert_allclose(result.classifier.weight, expected.classifier.weight, atol=1e-6)
    assert result.test.summary() == expected.test.summary()


def test_a_network_without_pretrained_weights_has_no_baseline(digits):
    with pytest.raises(UserError, match="small_cnn has no pretrained weights; torchvision's networks do"):
        refit_pretrained(ModelOptions(), DIGITS, digits.fingerprint, GROUPED, Objective.WORST_GROUP, {}, 0)


def test_the_pretrained_baseline_is_judged_on_the_splits_that_it_is_compared_on(tmp_path):
    save_file(get_model("resnet18", weights=None).state_dict(), tmp_path / "w.safetensors")
    model = ModelOptions(name="resnet18", weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(UserError, match="other splits"):
        refit_pretrained(model, DIGITS, "another", GROUPED, Objective.WORST_GROUP, {}, 0)


def test_of_train_only_its_balanced_subsamples_are_kept(tmp_path, device):
    config = CONFIG.model_copy(update={"dataset": DatasetConfig(name="digits", spurious_strength=0.9), "seeds": (3,)})
    splits = datasets.load_splits(config.dataset)
    trial = Trial("erm-00000", config, {3: splits}, device, Location.of(tmp_path / "erm-00000"))
    while not trial.record.finished:
        trial.train_epoch()
    kept = load_features(trial.directory, 3)
    train, of_train = splits.train, kept.splits["train"]
    rows, positions = train_subsamples(train.labels, train.attributes, splits.info.groups, 3)
    assert 0 < len(rows) == len(of_train.labels) < len(train) / 2
    assert np.array_equal(kept.subsamples, positions)
    assert np.array_equal(of_train.labels, train.labels[rows])
    assert np.array_equal(of_train.attributes, train.attributes[rows])
    everything = extract_features(trial.replicas[0].method.network, train, splits, device)
    np.testing.assert_allclose(of_train.features, everything[rows], atol=1e-5)
    for subsample in positions:
        aligned = of_train.labels[subsample] == of_train.attributes[subsample]
        assert aligned.mean() == pytest.approx(0.1, abs=0.01), "the attribute says nothing about the label"
    (result,) = refit_trial(trial.directory, 3, config, splits.fingerprint, [DfrProtocol.TRAIN])
    by_hand = refit(
        given(
            splits,
            lambda name: extract_features(trial.replicas[0].method.network, getattr(splits, name), splits, device),
            3,
        ),
        DfrProtocol.TRAIN,
        config.objective,
        3,
    )
    assert result.C == by_hand.C
    np.testing.assert_allclose(result.classifier.weight, by_hand.classifier.weight, atol=1e-3)


def test_where_train_lacks_a_group_its_protocol_has_no_result(trained):
    kept = load_features(trained, 0)
    found = refit_trial(trained, 0, CONFIG, kept.fingerprint, [DfrProtocol.TRAIN, DfrProtocol.CLASS])
    assert [result.protocol for result in found] == [DfrProtocol.CLASS]
