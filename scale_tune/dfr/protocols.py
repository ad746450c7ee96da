"""Deep feature reweighting (Kirichenko et al., 2023): refit the last layer of a trained network on target.

An L1 logistic regression by liblinear on the frozen features, one-vs-rest for more than two classes. Features are the
input of the last layer in eval mode, of images without augmentation. Both protocols choose C by the run's objective
on val (of equal ones the smallest, the strongest penalty), from one fit for each C, then average the coefficients of
several fits at the chosen C. Test is not read before that.

=========  ==============================  =============  ====================================  =====
protocol   fitted on                       features       C                                     fits
=========  ==============================  =============  ====================================  =====
``scale``  all of target                   as they are    .01 .05 .1 .5 1 1.5 2 2.5 3           10
``dfr``    group-balanced subsamples of    standardised   .01 .03 .07 .1 .3 .7 1                20
           target, a fresh one for a fit
=========  ==============================  =============  ====================================  =====

The fits of ``scale`` differ only in the solver's random order. Where ``dfr`` is the paper's protocol on validation
data (``dfr_evaluate_spurious.py``), target takes the part of the data that it refits on. Three things differ:

- The paper halves that data, fits on one half and chooses C on the other; here there is val to choose on. As there,
  all values of C are tried on one subsample. Of equal ones the paper takes the largest C.
- Features are standardised by the mean and standard deviation of all of target, while choosing C and after. The
  paper takes those of its subsample while choosing, and those of train for the final fits. One scaling for all fits is
  what makes their coefficients comparable, and train need not go through the network (20,000 pictures on CelebA).
- Where a dataset is judged by aligned and conflicting samples, see :func:`balanced_subsample`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from scale_tune.datasets import load_splits
from scale_tune.datasets.groups import EvaluationGroups, GroupCounts, Groups
from scale_tune.datasets.splits import SplitName
from scale_tune.dfr.features import Featured, Features, FrozenFeatures
from scale_tune.errors import UserError
from scale_tune.networks import build_classifier, pretrained
from scale_tune.ranking import best_first
from scale_tune.seeding import derive_seed
from scale_tune.spec import usercode
from scale_tune.spec.config import DatasetConfig, DfrProtocol, ModelOptions, Objective, TrialConfig
from scale_tune.storage.location import Location
from scale_tune.training.kept_features import load_features

UNUSED_HEAD = "unused"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What tells one protocol from another."""

    C: tuple[float, ...]
    """Inverse strengths of the penalty to choose from, ascending, so that of equal ones the smallest comes first."""
    fits: int
    """Whose coefficients are averaged at the chosen C."""
    balanced: bool
    """Whether each fit is on a group-balanced subsample of target, or all on the whole of it."""
    standardised: bool
    """Whether features are scaled to mean 0 and standard deviation 1 on target."""


RECIPES = {
    DfrProtocol.SCALE: Recipe(
        C=(0.01, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0), fits=10, balanced=False, standardised=False
    ),
    DfrProtocol.DFR: Recipe(C=(0.01, 0.03, 0.07, 0.1, 0.3, 0.7, 1.0), fits=20, balanced=True, standardised=True),
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
        protocols: one result is returned for each.

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
    featured = Featured.kept(kept, dataset)
    return [refit(featured, protocol, config.objective, seed) for protocol in protocols]


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
        protocols: one result is returned for each.
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
    featured = Featured.of(splits, FrozenFeatures(network, options, splits))
    return [refit(featured, protocol, objective, seed) for protocol in protocols]


def refit(featured: Featured, protocol: DfrProtocol, objective: Objective, seed: int) -> DfrResult:
    """DFR on features (samples, features) of target, val and test; those of test are asked for last.

    Args:
        featured: the features, and the labels and attributes of the same samples.
        protocol: how to fit.
        objective: what chooses C on val.
        seed: of the subsamples and the solver.

    Raises:
        UserError: target lacks a class or group.
    """
    _check_target(featured, RECIPES[protocol])
    fitter = _Fitter(featured, protocol, seed)
    on_val = featured.features("val")
    path = []
    for C in fitter.recipe.C:
        fitted = fitter.fit(C, "path")
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
        target = featured.features("target")
        self._labels, self._attributes = featured.labels["target"], featured.attributes["target"]
        self._groups = featured.groups
        self._names = ("dfr", protocol.value, seed)
        scaler = StandardScaler(with_mean=self.recipe.standardised, with_std=self.recipe.standardised)
        self._scaled: Features = scaler.fit_transform(target)
        features = target.shape[1]
        self._mean = np.zeros(features) if scaler.mean_ is None else scaler.mean_
        self._scale = np.ones(features) if scaler.scale_ is None else scaler.scale_

    def fit(self, C: float, number: int | str) -> LinearClassifier:
        """A classifier of the features before they are scaled."""
        rows: NDArray[np.int64] = np.arange(len(self._labels))
        if self.recipe.balanced:
            rng = np.random.default_rng(derive_seed(*self._names, "subsample", number))
            rows = balanced_subsample(self._labels, self._attributes, self._groups, rng)
        random_state = derive_seed(*self._names, "solver", number) % 2**32  # scikit-learn takes 32 bits
        fitted = fit_l1(self._scaled[rows], self._labels[rows], C, random_state)
        weight = fitted.weight / self._scale
        return LinearClassifier(weight=weight, bias=fitted.bias - weight @ self._mean)


def balanced_subsample(
    labels: NDArray[np.int64], attributes: NDArray[np.int64], groups: Groups, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A random subsample in which the attribute says nothing about the label, and which has every class.

    Where the evaluation groups are the (label, attribute) cells, it has as many samples of each as the smallest has.
    Where they are the aligned and the conflicting samples, cells may be empty. Then it has equally many conflicting
    samples of each class, and of the aligned ones as many as equal cells would give: one for every
    ``num_attributes - 1`` conflicting ones. (Equally many of both would make the attribute right in half of the
    samples, which among ten classes teaches the shortcut: on the digits' ERM features it takes DFR's worst-group
    accuracy from .47 to .22.)

    Args:
        labels, attributes: of all samples, of shape (samples,), with every class and every evaluation group.
        groups: how they are grouped.
        rng: draws.

    Returns:
        Indices of samples, each at most once.
    """
    if groups.evaluation_groups is EvaluationGroups.CELLS:
        cells = labels * groups.num_attributes + attributes
        return _draw_of_each(cells, np.bincount(cells).min(), rng)
    aligned = groups.aligned[labels, attributes]
    conflicting = np.flatnonzero(~aligned)
    per_aligned = groups.num_attributes - 1
    of_each = min(int(np.bincount(labels[conflicting]).min()), int(aligned.sum()) * per_aligned // groups.num_classes)
    drawn = conflicting[_draw_of_each(labels[conflicting], max(of_each, 1), rng)]
    of_aligned = max(len(drawn) // per_aligned, 1)
    return np.concatenate([drawn, rng.permutation(np.flatnonzero(aligned))[:of_aligned]])


def _draw_of_each(groups: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of n samples of every group, given the group of each sample."""
    return np.concatenate([rng.permutation(np.flatnonzero(groups == group))[:n] for group in np.unique(groups)])


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


def _check_target(featured: Featured, recipe: Recipe) -> None:
    labels, dataset = featured.labels["target"], featured.dataset
    absent = list(_absent(labels, featured.attributes["target"], featured.groups, recipe))
    if absent:
        sizes = [f"a larger dataset.{o}" for o in ("val_target_size", "target_size") if o in dataset.options]
        raise UserError(
            f"DFR refits on target, which must have every class and group, but this target of {len(labels)} "
            f"samples of {dataset.name} has no sample of: {', '.join(absent)}. "
            f"Use {' or '.join([*sizes, 'another dataset.seed'])} in a new search, or analyse this one with --dfr none."
        )


def _absent(labels: NDArray[np.int64], attributes: NDArray[np.int64], groups: Groups, recipe: Recipe) -> Iterator[str]:
    """What target lacks, in words."""
    n = GroupCounts.of(labels, labels, attributes, groups).n
    conflicting = np.where(groups.aligned, 0, n)
    for label in range(groups.num_classes):
        if not n[label].any():
            yield f"class {label}"
        elif groups.evaluation_groups is EvaluationGroups.CELLS:
            yield from (f"group (label {label}, attribute {a})" for a in np.flatnonzero(n[label] == 0))
        elif recipe.balanced and not conflicting[label].any():  # its subsamples would lack the class
            yield f"conflicting samples of class {label}"
    if groups.evaluation_groups is EvaluationGroups.ALIGNED_CONFLICTING:
        for name, of_name in (("aligned", n - conflicting), ("conflicting", conflicting)):
            if not of_name.any():
                yield f"{name} samples"
