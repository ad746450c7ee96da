"""How much each hyperparameter mattered: Optuna's PED-ANOVA on a study rebuilt from the ``trials`` table.

PED-ANOVA (Watanabe et al., 2023) asks what sets the best trials apart from all of them. That suits early stopping:
of a stopped trial the objective is only known to be no better than that of those that went on, which fANOVA, an
analysis of the objective's variance, would take at face value. It also takes milliseconds where fANOVA takes ten
seconds for 1,000 trials.
"""

from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from scale_tune.ledger.samplers import distributions
from scale_tune.report.html.data import drawn, with_objective
from scale_tune.spec.space import RunSpec

Objectives = NDArray[np.float64]

MIN_TRIALS = 30
"""Simulated, one parameter of four that explains nine tenths of the objective's variance is above chance in a third of
searches of 30 trials, in 12 % of those of 20 and in 2 % of those of 10: with fewer than 30 importance tells nothing."""
SHUFFLES = 19
"""With 19 shuffles, a parameter without any effect exceeds all of them once in 20 times."""


def importances(trials: pd.DataFrame, spec: RunSpec) -> pd.DataFrame:
    """The importance of each searched parameter of each method.

    Returns:
        Columns ``method``, ``parameter``, ``importance`` (they add up to 1 within a method), ``by_chance`` (the
        highest among :data:`SHUFFLES` shuffles of the objectives among the trials) and ``trials`` (on how many it
        rests). A method with fewer than :data:`MIN_TRIALS` ended trials, or with equal objectives, has no rows.
    """
    rows: list[dict[str, Any]] = []
    for method in spec.methods:
        ended, searched = with_objective(trials, method), distributions(spec, method)
        if len(ended) < MIN_TRIALS or ended["objective"].nunique() < 2 or not searched:
            continue
        space = spec.method_space(method)
        values = {name: [drawn(space[name], value) for value in ended[f"config.{name}"]] for name in searched}
        objectives = ended["objective"].to_numpy(dtype=np.float64)
        draws = np.random.default_rng(0)
        shares = _shares(study(values, searched, objectives))
        shuffled = [_shares(study(values, searched, draws.permutation(objectives))) for _ in range(SHUFFLES)]
        rows.extend(
            {
                "method": method,
                "parameter": name,
                "importance": share,
                "by_chance": max(s[name] for s in shuffled),
                "trials": len(ended),
            }
            for name, share in sorted(shares.items(), key=lambda item: -item[1])
        )
    return pd.DataFrame(rows, columns=["method", "parameter", "importance", "by_chance", "trials"])


def _shares(of: optuna.Study) -> dict[str, float]:
    # With scikit-learn, which takes a second and which a report of fewer trials does without.
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(of, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in found.items()}


def study(values: dict[str, list[Any]], searched: dict[str, BaseDistribution], objectives: Objectives) -> optuna.Study:
    """A method's study in memory; a trial that was stopped early counts as complete with the objective it had.

    Args:
        values: of each searched parameter, those of the trials, as the search drew them.
        searched: what each was drawn from.
        objectives: of shape (trials,).
    """
    rebuilt = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler())
    for i, objective in enumerate(objectives):
        params = {name: of_trials[i] for name, of_trials in values.items()}
        trial = optuna.trial.create_trial(params=params, distributions=searched, value=float(objective))
        rebuilt.add_trial(trial)
    return rebuilt
