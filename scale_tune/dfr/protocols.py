"""Deep feature reweighting (Kirichenko et al., 2023): refit the last layer of a trained network on balanced data.

An L1 logistic regression by liblinear on the frozen features, one-vs-rest for more than two classes. Features are the
input of the last layer in eval mode, of images without augmentation. All protocols choose C by the run's objective
on val (of equal ones the smallest, the strongest penalty), from one fit for each C, then average the coefficients of
several fits at the chosen C. Test is not read before that.

=========  ==============================  =============  ====================================  =====
protocol   fitted on                       features       C                                     fits
=========  ==============================  =============  ====================================  =====
``scale``  all of target                   as they are    .01 .05 .1 .5 1 1.5 2 2.5 3           10
``dfr``    group-balanced subsamples of    standardised   .01 .03 .07 .1 .3 .7 1                20
           target, a fresh one for a fit
``class``  class-balanced subsamples of    standardised   .01 .03 .07 .1 .3 .7 1                20
           target, a fresh one for a fit
``train``  group-balanced subsamples of    standardised   .01 .03 .07 .1 .3 .7 1                10
           train, a fresh one for a fit
=========  ==============================  =============  ====================================  =====

The fits of ``scale`` differ only in the solver's random order. Where ``dfr`` is the paper's protocol on validation
data (``dfr_evaluate_spurious.py``), target takes the part of the data that it refits on. Three things differ:

- The paper halves that data, fits on one half and chooses C on the other; here there is val to choose on. As there,
  all values of C are tried on one subsample. Of equal ones the paper takes the largest C.
- Features are standardised by the mean and standard deviation of all of target, while choosing C and after. The
  paper takes those of its subsample while choosing, and those of train for the final fits. One scaling for all fits is
  what makes their coefficients comparable, and train need not go through the network (20,000 pictures on CelebA).
- Where a dataset is judged by aligned and conflicting samples, see
  :func:`scale_tune.datasets.balanced.balanced_subsample`.

``train`` is the paper's protocol on train data (DFR on train, the same script): no image of target is used. Its
features are standardised by those of its subsamples, as no others of train are kept; there by all of train. The
script's further search for class weights is left out. Where train lacks a group, as at strength 1, it is undefined.

``class`` is a control of ``dfr``: what it gives without target's attributes. LaBonte et al. (2023) retrain last layers
on class-balanced data too, but by SGD from a new head; this is their question in DFR's protocol.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from scale_tune.datasets import load_splits
from scale_tune.datasets.balanced import TRAIN_FITS, balanced_subsample, class_balanced_subsample, lacking
from scale_tune.datasets.groups import GroupCounts
from scale_tune.datasets.splits import SplitName
from scale_tune.dfr.features import Featured, Features, FrozenFeatures
from scale_tune.errors import UserError
from scale_tune.networks import build_classifier, pretrained
from scale_tune.ranking import best_first
from scale_tune.seeding import derive_seed
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig, DfrProtocol, ModelOptions, Objective, TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.kept_features import TRAIN, load_features

UNUSED_HEAD = "unused"


class Balance(Enum):
    """What subsamples have equal parts of."""

    NONE = "nothing: there are none, each fit is on all samples"
    CLASSES = "classes"
    GROUPS = "groups"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What tells one protocol from another."""

    C: tuple[float, ...]
    """Inverse strengths of the penalty to choose from, ascending, so that of equal ones the smallest comes first."""
    fits: int
    """Whose coefficients are averaged at the chosen C."""
    standardised: bool
    """Whether features are scaled to mean 0 and standard deviation 1 on what they are fitted on."""
    balance: Balance = Balance.NONE
    """Of what each fit has a fresh subsample with equal parts."""
    fitted_on: SplitName = "target"


_DFR_C = (0.01, 0.03, 0.07, 0.1, 0.3, 0.7, 1.0)

RECIPES = {
    DfrProtocol.SCALE: Recipe(C=(0.01, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0), fits=10, standardised=False),
    DfrProtocol.DFR: Recipe(C=_DFR_C, fits=20, standardised=True, balance=Balance.GROUPS),
    DfrProtocol.CLASS: Recipe(C=_DFR_C, fits=20, standardised=True, balance=Balance.CLASSES),
    DfrProtocol.TRAIN: Recipe(C=_DFR_C, fits=TRAIN_FITS, standardised=True, balance=Balance.GROUPS, fitted_on="train"),
}


@dataclass(frozen=True, kw_only=True)
class LinearClassifier:
    """``argmax(features @ weight.T + bias)``; weight has the shape (classes, features), bias (classes,)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def predict(self, features: Features) -> NDArray[np.int64]:
        """Classes of shape (samples,)."""
        predictions: NDArray[np.int64] = np.argmax(features @ self.weight.T + self.bias, axis=1)
        return predictions

    @property
    def nonzero(self) -> int:
        """How many coefficients are not zero."""
        return int(np.count_nonzero(self.weight))


@dataclass(frozen=True, kw_only=True)
class PathPoint:
    """One value of C that was tried: the size of its fit, and its counts per group on val."""

    C: float
    nonzero: int
    val: GroupCounts


@dataclass(frozen=True, kw_only=True)
class DfrResult:
    """A refitted last layer, how its C was chosen, and its counts per group on val and test."""

    protocol: DfrProtocol
    classifier: LinearClassifier
    """Of the features as the network gives them: a protocol's scaling is folded into weight and bias."""
    C: float
    path: tuple[PathPoint, ...]
    """Every C that was tried, ascending."""
    val: GroupCounts
    test: GroupCounts
    fingerprint: str
    """Of the splits that it was fitted and judged on."""


def refit_trial(
    directory: Location, seed: int, config: TrialConfig, fingerprint: str, protocols: Iterable[DfrProtocol]
) -> list[DfrResult] | None:
    """DFR on the features that one seed of an ended trial has kept; None if they are gone.

    Neither weights nor data are needed. Arguments and results are small and can be pickled, so that many can be
    refitted side by side.

    Args:
        directory: the trial's directory.
        seed: which of its seeds.
        config: of the trial, whose objective chooses C on val.
        fingerprint: of the splits that the seed was trained on.
        protocols: one result is returned for each that is defined on the data.

    Raises:
        UserError: the features are of other splits, so that test samples may have been trained on; or target lacks a
            class or group; or the file is damaged.
    """
    try:
        kept = load_features(directory, seed)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{error}; restore it from a copy, or delete it: the table then says so") from None
    dataset = config.datasets[seed]
    _check_same_splits(f"seed {seed} of {directory}", dataset, fingerprint, kept.fingerprint)
    return _refit_all(Featured.kept(kept, dataset), protocols, config.objective, seed)


def refit_pretrained(
    model: ModelOptions,
    dataset: DatasetConfig,
    fingerprint: str,
    protocols: Iterable[DfrProtocol],
    objective: Objective,
    sources: usercode.Sources,
    seed: int,
) -> list[DfrResult]:
    """The ``pretrained`` baseline: DFR on a network with the weights that it could have begun from.

    Args:
        model: its ``weights`` are a file, or else ImageNet's are taken.
        dataset: what the trials that it is compared with were trained on, or one seed of them.
        fingerprint: of those splits.
        protocols: one result is returned for each that is defined on the data.
        objective: what chooses C on val.
        sources: the users' Python files that the run names.
        seed: of the subsamples and the solver.

    Raises:
        UserError: there are no such weights, the splits are other ones, or target lacks a class or group.
    """
    usercode.provide(sources)
    options = pretrained(model)
    splits = load_splits(dataset)
    _check_same_splits("the run", dataset, fingerprint, splits.fingerprint)
    network = build_classifier(options, splits.info.groups.num_classes, [UNUSED_HEAD], seed=0)
    featured = Featured.of(splits, FrozenFeatures(network, options, splits), seed)
    return _refit_all(featured, protocols, objective, seed)


def _refit_all(
    featured: Featured, protocols: Iterable[DfrProtocol], objective: Objective, seed: int
) -> list[DfrResult]:
    """By each protocol that is defined on the data."""
    defined = [p for p in protocols if RECIPES[p].fitted_on != TRAIN or len(featured.subsamples)]
    return [refit(featured, protocol, objective, seed) for protocol in defined]


def refit(featured: Featured, protocol: DfrProtocol, objective: Objective, seed: int) -> DfrResult:
    """DFR on features (samples, features) of target, val and test; those of test are asked for last.

    Args:
        featured: the features, and the labels and attributes of the same samples.
        protocol: how to fit.
        objective: what chooses C on val.
        seed: of the subsamples and the solver.

    Raises:
        UserError: target lacks a class or group, or a feature is no number.
    """
    _check_target(featured, RECIPES[protocol])
    fitter = _Fitter(featured, protocol, seed)
    on_val = _numbers(featured, "val")
    path = []
    for C in fitter.recipe.C:
        fitted = fitter.fit(C, None)
        path.append(PathPoint(C=C, nonzero=fitted.nonzero, val=_judge(fitted, on_val, "val", featured)))
    chosen = path[best_first(point.val.objective(objective) for point in path)[0]].C
    fits = [fitter.fit(chosen, number) for number in range(fitter.recipe.fits)]
    classifier = LinearClassifier(
        weight=np.mean([fit.weight for fit in fits], axis=0), bias=np.mean([fit.bias for fit in fits], axis=0)
    )
    return DfrResult(
        protocol=protocol,
        classifier=classifier,
        C=chosen,
        path=tuple(path),
        val=_judge(classifier, on_val, "val", featured),
        test=_judge(classifier, featured.features("test"), "test", featured),
        fingerprint=featured.fingerprint,
    )


class _Fitter:
    """Fits on target by a protocol's recipe; a fit is a pure function of C and its number."""

    def __init__(self, featured: Featured, protocol: DfrProtocol, seed: int) -> None:
        self.recipe = RECIPES[protocol]
        split = self.recipe.fitted_on
        known = _numbers(featured, split)
        self._featured = featured
        self._labels, self._attributes = featured.labels[split], featured.attributes[split]
        self._names = ("dfr", protocol.value, seed)
        scaler = StandardScaler(with_mean=self.recipe.standardised, with_std=self.recipe.standardised)
        self._scaled: Features = scaler.fit_transform(known)
        features = known.shape[1]
        self._mean = np.zeros(features) if scaler.mean_ is None else scaler.mean_
        self._scale = np.ones(features) if scaler.scale_ is None else scaler.scale_

    def fit(self, C: float, number: int | None) -> LinearClassifier:
        """A classifier of the features before they are scaled; the fits that C is chosen by have no number."""
        rows = self._rows(number)
        of_solver = derive_seed(*self._names, "solver", "path" if number is None else number)
        fitted = fit_l1(self._scaled[rows], self._labels[rows], C, of_solver % 2**32)  # scikit-learn takes 32 bits
        weight = fitted.weight / self._scale
        return LinearClassifier(weight=weight, bias=fitted.bias - weight @ self._mean)

    def _rows(self, number: int | None) -> NDArray[np.int64]:
        """The samples of a fit."""
        if self.recipe.fitted_on == TRAIN:
            subsample: NDArray[np.int64] = self._featured.subsamples[0 if number is None else number + 1]
            return subsample
        rng = np.random.default_rng(derive_seed(*self._names, "subsample", "path" if number is None else number))
        match self.recipe.balance:
            case Balance.NONE:
                return np.arange(len(self._labels))
            case Balance.CLASSES:
                return class_balanced_subsample(self._labels, rng)
            case Balance.GROUPS:
                return balanced_subsample(self._labels, self._attributes, self._featured.groups, rng)


def fit_l1(features: Features, labels: NDArray[np.int64], C: float, random_state: int) -> LinearClassifier:
    """One L1 logistic regression by liblinear, one-vs-rest for more than two classes."""
    regression = LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=random_state, max_iter=1000)
    if len(np.unique(labels)) == 2:
        regression.fit(features, labels)
        # The one decision function, spread over two logits whose difference it is.
        weight, bias = regression.coef_[0] / 2, regression.intercept_[0] / 2
        return LinearClassifier(weight=np.stack([-weight, weight]), bias=np.array([-bias, bias]))
    one_vs_rest = OneVsRestClassifier(regression).fit(features, labels)
    return LinearClassifier(
        weight=np.concatenate([estimator.coef_ for estimator in one_vs_rest.estimators_]),
        bias=np.concatenate([estimator.intercept_ for estimator in one_vs_rest.estimators_]),
    )


def _judge(classifier: LinearClassifier, features: Features, split: SplitName, featured: Featured) -> GroupCounts:
    known = featured.labels[split], featured.attributes[split]
    return GroupCounts.of(classifier.predict(features), *known, featured.groups)


def _check_same_splits(what: str, dataset: DatasetConfig, trained_on: str, fingerprint: str) -> None:
    if fingerprint != trained_on:
        raise UserError(
            f"{what} was trained on other splits, so that test samples may have been trained on:\n"
            f"  trained on  {dataset.model_dump(mode='json', exclude_none=True)}, fingerprint {trained_on}\n"
            f"  these have the fingerprint {fingerprint}\n"
            "Restore what it was trained on, from the same files."
        )


def _numbers(featured: Featured, split: SplitName) -> Features:
    """The features of a split that something is fitted on or chosen by, all of which are numbers."""
    features = featured.features(split)
    if not np.isfinite(features).all():
        raise UserError(
            f"the features of {split} on {featured.dataset.name} hold what is no number, so the network's weights do, "
            "too, or it has diverged, and no last layer can be fitted on them; restore what it was made from, or "
            "analyse this run with --dfr none"
        )
    return features


def _check_target(featured: Featured, recipe: Recipe) -> None:
    if recipe.fitted_on == TRAIN:
        return  # its subsamples are there, or it is not asked for
    labels, dataset = featured.labels["target"], featured.dataset
    if recipe.balance is Balance.CLASSES:
        absent = [f"class {label}" for label in sorted(set(range(featured.groups.num_classes)) - set(labels.tolist()))]
    else:
        balanced = recipe.balance is Balance.GROUPS
        absent = list(lacking(labels, featured.attributes["target"], featured.groups, balanced=balanced))
    if absent:
        sizes = [f"a larger dataset.{o}" for o in ("val_target_size", "target_size") if o in dataset.options]
        raise UserError(
            f"DFR refits on target, which must have every class and group, but this target of {len(labels)} "
            f"samples of {dataset.name} has no sample of: {', '.join(absent)}. "
            f"Use {' or '.join([*sizes, 'another dataset.seed'])} in a new search, or analyse this one with --dfr none."
        )
