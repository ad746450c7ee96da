"""What methods were told and what their search cost, on made-up runs."""

import pandas as pd
import pytest

from scale_tune.analysis.comparison import compare
from scale_tune.analysis.knowledge import REFITS
from scale_tune.spec.config import DfrProtocol, Objective
from tests.support.tables import dfr_row, make_spec, make_tables, trial

COLUMNS = [
    "train_attributes",
    "target",
    "val_attributes",
    "group_labelled",
    "own_hyperparameters",
    "epochs_spent",
]
RATE = {"type": "float", "low": 0.1, "high": 1.0}
FACTOR = {"type": "choice", "values": [4, 100]}
METHODS = {
    "erm": {},
    "jtt": {"space": {"upweight": FACTOR, "first_epochs": {"type": "int", "low": 1, "high": 9}}},
    "erm_target": {"space": {"lr": RATE}},
    "scale": {"space": {"group_size": {"type": "int", "low": 1, "high": 64}, "regularize_mode": "linear"}},
    "group_dro": {"space": {"step_size": RATE, "dataset.noise": {"type": "choice", "values": [0.1]}}},
    "group_dro_with_target": {"variant_of": "group_dro", "space": {"with_target": True, "step_size": RATE}},
    "mine": {"file": "mine.py", "space": {"alpha": RATE, "beta": RATE}},
}  # fmt: skip
NOISE = {"config.dataset.noise": 0.1}
"""Of all, so that their data is the same."""


def run_of(**fields):
    """A run with a trial of each method, ERM's refitted by every protocol, and the pretrained network."""
    trials = [
        trial(f"{method}-0", 0.5, **NOISE, **{"preparation": 7, "epochs": 50} if method == "jtt" else {})
        for method in METHODS
        if method != "mine"
    ]
    trials += [trial("mine-0", 0.5, **NOISE, epochs=3, labels_of="train, target", attributes_of="target")]
    dfr = [dfr_row("erm-0", seed, 0.5, 0.5, protocol) for protocol in DfrProtocol for seed in range(3)]
    dfr += [dfr_row(None, None, 0.5, 0.5)]
    space = {"lr": RATE, "batch_size": 32, "dataset.noise": {"type": "choice", "values": [0.1]}}
    return make_tables(trials, dfr=dfr, spec=make_spec(methods=METHODS, space=space, **fields))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("erm", (False, "none", True, 1000, 0, 20)),
        ("jtt", (False, "none", True, 1000, 2, 57)),
        ("erm_target", (False, "labels", True, 1400, 0, 20)),
        ("scale", (False, "labels", True, 1400, 1, 20)),
        ("group_dro", (True, "none", True, 5000, 1, 20)),
        ("group_dro_with_target", (True, "labels and attributes", True, 5400, 1, 20)),
        ("mine", (False, "labels and attributes", True, 1400, 2, 3)),
        ("dfr (scale)", (False, "labels", True, 1400, 1, 20)),
        ("dfr (dfr)", (False, "labels and attributes", True, 1400, 1, 20)),
        ("dfr (class)", (False, "labels", True, 1400, 1, 20)),
        ("dfr (train)", (True, "none", True, 5000, 1, 20)),
        ("pretrained (scale)", (False, "labels", True, 1400, 1, 0)),
    ],
)
def test_each_method_has_what_it_was_told(method, expected):
    found = compare([run_of()]).set_index("method")
    assert tuple(found.loc[method, COLUMNS]) == expected


def test_an_objective_that_needs_no_attribute_needs_none_of_val():
    for objective in Objective:
        found = compare([run_of(objective=objective)]).set_index("method")
        needs = objective not in ("average", "worst_class")
        assert set(found["val_attributes"]) == {needs}
        assert found.loc["erm", "group_labelled"] == 1000 * needs
        assert found.loc["group_dro", "group_labelled"] == 4000 + 1000 * needs


def test_of_a_method_without_a_selectable_trial_only_the_space_tells():
    found = compare([make_tables([trial("scale-0", 0.5, state="failed")], spec=make_spec(methods=METHODS))])
    (row,) = found[COLUMNS].to_dict("records")
    assert (row["val_attributes"], row["own_hyperparameters"]) == (True, 1)
    assert all(pd.isna(row[column]) for column in ("train_attributes", "target", "group_labelled", "epochs_spent"))


def test_every_protocol_has_its_line_which_agrees_with_its_recipe():
    from scale_tune.dfr.protocols import RECIPES, Balance

    assert set(REFITS) == set(RECIPES) == set(DfrProtocol)
    for protocol, recipe in RECIPES.items():
        told = REFITS[protocol].told
        assert list(told.labels_of) == [recipe.fitted_on]
        assert list(told.attributes_of) == [recipe.fitted_on] * (recipe.balance is Balance.GROUPS)
        assert REFITS[protocol].hyperparameters == (len(recipe.C) > 1)
