"""What would mislead is said, with the method and the numbers, and nothing is said without a reason."""

import math

import pytest

from scale_tune.analysis import caveats as every
from scale_tune.analysis.caveats import end_of
from scale_tune.analysis.comparison import differences
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from tests.support.tables import dfr_row, group_rows, make_spec, make_tables, trial

LOG = FloatRange(type="float", low=1e-4, high=1e-1, log=True)
LINEAR = FloatRange(type="float", low=0, high=10)
NUMBERS = Choice(type="choice", values=(64, 16, 32))
FROM_ZERO = Choice(type="choice", values=(0, 0.5, 1))
SPEC = {"methods": ["erm", "scale"], "num_samples": 1}


def run(*trials, spec=None, **tables):
    return make_tables(list(trials), spec=make_spec(**SPEC | (spec or {})), **tables)


def caveats(runs):
    """All but the one that most runs here deserve, whose trials are one or two."""
    return [said for said in every.caveats(runs) if "selectable trials, of which" not in said]


def test_nothing_amiss_is_nothing_said():
    assert caveats([run(trial("erm-0", 0.1), trial("scale-0", 0.5))]) == []
    assert caveats([]) == []


@pytest.mark.parametrize(
    ("parameter", "value", "end"),
    [
        pytest.param(LOG, 1.06e-4, "at the lower end of its range 0.0001 … 0.1", id="within 1 % of a log range"),
        pytest.param(LOG, 1.08e-4, "", id="more than 1 % off"),
        pytest.param(LOG, 0.095, "at the upper end of its range 0.0001 … 0.1", id="upper end"),
        pytest.param(LINEAR, 9.9, "at the upper end of its range 0 … 10", id="within 1 % of a linear range"),
        pytest.param(LINEAR, 0.1, "", id="nothing lies below a range from 0"),
        pytest.param(FROM_ZERO, 0, "", id="nothing lies below a choice from 0"),
        pytest.param(Choice(type="choice", values=(1, 4, 16)), 1, "", id="nothing lies below one of a number"),
        pytest.param(
            Choice(type="choice", values=(1, 1.5, 2)), 1, "the lowest of 1, 1.5, 2", id="1 that counts nothing"
        ),
        pytest.param(IntRange(type="int", low=1, high=8), 1, "", id="nothing lies below a range of counts"),
        pytest.param(FROM_ZERO, 1, "the highest of 0, 0.5, 1", id="the highest of a choice from 0"),
        pytest.param(LINEAR, 0.11, "", id="inside a linear range"),
        pytest.param(IntRange(type="int", low=1, high=8), 8, "at the upper end of its range 1 … 8", id="whole numbers"),
        pytest.param(IntRange(type="int", low=1, high=8), 7, "", id="a whole number inside"),
        pytest.param(NUMBERS, 16, "the lowest of 16, 32, 64", id="the lowest of a choice, in any order"),
        pytest.param(NUMBERS, 64, "the highest of 16, 32, 64", id="the highest of a choice"),
        pytest.param(NUMBERS, 32, "", id="the middle of a choice"),
        pytest.param(Choice(type="choice", values=(1, 2)), 1, "", id="two values have no middle"),
        pytest.param(Choice(type="choice", values=("a", "b", "c")), "a", "", id="words have no order"),
        pytest.param(Constant(type="constant", value=1), 1, "", id="a constant"),
    ],
)
def test_the_ends_of_a_parameter(parameter, value, end):
    assert end_of(parameter, value) == end


def test_a_selected_config_at_an_end_of_the_space_is_told():
    (said,) = caveats([run(trial("erm-0", 0.1, **{"config.lr": 0.0999}), trial("scale-0", 0.5))])
    assert (
        said
        == "erm: the selected lr = 0.0999 is at the upper end of its range 0.0001 … 0.1; better ones may lie beyond"
    )


def test_data_at_an_end_is_not_told_as_it_is_not_chosen_for_being_good():
    space = {"dataset.noise": {"type": "choice", "values": [0.1, 0.2, 0.3]}}
    rows = [trial(f"erm-{i}", 0.5, **{"config.dataset.noise": noise}) for i, noise in enumerate((0.1, 0.2, 0.3))]
    assert caveats([run(*rows, spec={"space": space, "methods": ["erm"], "num_samples": 3})]) == []


def test_a_better_trial_that_cannot_be_selected_is_told():
    rows = [
        trial("scale-0", 0.5),
        trial("scale-1", 0.7, state="pruned", epochs=4),
        trial("scale-2", 0.9, state="failed", epochs=2, seeds=0),
        trial("scale-3", 0.6, diverged=1, seeds=2, epochs=9),
        trial("scale-4", 0.4, state="pruned", epochs=4),
        trial("scale-5", 0.55, state="pruned", epochs=3),
        trial("scale-6", math.nan, state="failed", epochs=0),
    ]
    said = caveats([run(*rows, spec={"methods": ["scale"], "num_samples": 7})])
    assert said == [
        "of the 7 scale trials, 2 failed, 1 diverged: not selectable",
        "scale: scale-2 (failed after epoch 2, 0.900), scale-1 (pruned after epoch 4, 0.700), "
        "scale-3 (a seed diverged, 0.600) and 1 more had more on val than the selected scale-0 (0.500), "
        "but can't be selected",
    ]


def test_seeds_that_are_missing_are_told():
    one = run(trial("erm-0", 0.1, seeds=1, seeds_asked=1), trial("scale-0", 0.5), spec={"seeds": [0, 1, 2]})
    assert caveats([one]) == [
        "erm: 1 of the 3 seeds that were asked for",
        "erm: 1 seed: no standard deviation, and an interval that leaves out how much seeds differ",
    ]
    dfr = [dfr_row("erm-0", seed, 0.3, 0.3) for seed in range(2)]
    assert caveats([run(trial("erm-0", 0.1), trial("scale-0", 0.5), dfr=dfr)]) == [
        "dfr (scale): 2 of the 3 seeds that were asked for",
        "dfr (scale): 2 seeds: no interval, which takes 3 at least",
    ]


def test_orders_on_val_and_test_that_disagree_are_told():
    groups = group_rows("erm-0", "val", [50] * 3, [90] * 3) + group_rows("erm-0", "test", [61] * 3, [90] * 3)
    groups += group_rows("scale-0", "val", [60] * 3, [90] * 3) + group_rows("scale-0", "test", [60] * 3, [90] * 3)
    (said,) = caveats([run(trial("erm-0", 0.5), trial("scale-0", 0.6), groups=groups)])
    assert said == (
        "val and test disagree: scale is above erm on val (0.600 against 0.500), "
        "but below on test (0.600 against 0.610)"
    )


def many_methods(n: int):
    """A run of ``n`` methods with two seeds; the higher one is on val, the lower on test, most of all the first."""
    methods = {f"method_{i:02d}": {"variant_of": "erm"} for i in range(n)}
    trials, groups = [], []
    for i, name in enumerate(f"{method}-00000" for method in methods):
        trials.append(trial(name, (90 - i) / 100, seeds=2, seeds_asked=2))
        groups += group_rows(name, "val", [90 - i] * 2, [95] * 2)
        groups += group_rows(name, "test", [50 + i if i else 20] * 2, [95] * 2)
    return make_tables(trials, groups=groups, spec=make_spec(methods=methods, seeds=[0, 1], num_samples=1))


def test_a_note_that_holds_of_many_methods_is_one_line_with_three_and_how_many_more():
    said = [line for line in caveats([many_methods(20)]) if "disagree" not in line and "below chance" not in line]
    assert said == [
        "method_00, method_01, method_02 and 17 more: 2 seeds: no interval, which takes 3 at least",
    ]


def test_of_many_orders_that_disagree_the_three_largest_are_told_and_the_others_counted():
    said = [line for line in caveats([many_methods(20)]) if "disagree" in line]
    pairs = [("method_00", f"method_{i}", f"0.{90 - i}", f"0.{50 + i}") for i in (19, 18, 17)]
    assert said == [
        *(
            f"val and test disagree: {upper} is above {lower} on val (0.900 against {val}0), "
            f"but below on test (0.200 against {test}0)"
            for upper, lower, val, test in pairs
        ),
        f"val and test disagree on the order of {20 * 19 // 2 - 3} more pairs of methods, by less",
    ]
    assert not [line for line in caveats([many_methods(3)]) if "more pair" in line]


def test_small_groups_of_test_are_told():
    groups = []
    for name in ("erm-0", "scale-0"):
        groups += group_rows(name, "val", [5] * 3, [5] * 3) + group_rows(name, "test", [15] * 3, [18] * 3)
    for row in (row for row in groups if row["split"] == "test"):
        row["n"] = 19 if row["attribute"] else 20
    (said,) = caveats([run(trial("erm-0", 0.1), trial("scale-0", 0.1), groups=groups)])
    assert said == "digits: groups of test with fewer than 20 images: conflicting (19)"


def test_data_drawn_from_a_range_is_told():
    space = {"dataset.noise": {"type": "float", "low": 0.1, "high": 0.5}}
    said = caveats([run(trial("erm-0", 0.1), spec={"space": space, "methods": ["erm"]})])
    assert said == ["erm: trials differ in their data (dataset.noise is drawn from a range), which selection overlooks"]


def test_an_empty_run_a_search_that_goes_on_and_failures_are_told():
    assert caveats([run()]) == [
        "the run has no trials yet",
        "the search has not issued all trials yet: 0 of 1 erm, 0 of 1 scale",
    ]
    going_on = run(trial("erm-0", 0.1, state="running"), trial("scale-0", 0.2), spec={"num_samples": 2})
    assert caveats([going_on]) == [
        "of the 1 erm trials, 1 not finished: not selectable",
        "the search has not issued all trials yet: 1 of 2 erm, 1 of 2 scale",
        "erm: none of 1 trials can be selected: none ended with a result of every seed",
    ]
    failed = run(trial("erm-0", math.nan, state="failed"), trial("scale-0", math.nan, state="failed"))
    assert caveats([failed]) == [
        "of the 1 erm trials, 1 failed: not selectable",
        "of the 1 scale trials, 1 failed: not selectable",
        "erm, scale: none of 1 trials can be selected: none ended with a result of every seed",
    ]


def test_several_runs_and_datasets_are_told_apart():
    birds = trial("erm-0", 0.1, seeds=1, **{"config.dataset": "waterbirds"})
    runs = [run(trial("erm-0", 0.2, seeds=1), trial("scale-0", 0.5), name="a"), run(birds, name="b")]
    said = caveats(runs)
    assert "erm of a on digits: 1 of the 3 seeds that were asked for" not in said  # not selectable: its seeds lack
    assert (
        "erm of a on digits, erm of b on waterbirds: none of 1 trials can be selected: none ended with a result of "
        "every seed"
    ) in said
    assert "b: the search has not issued all trials yet: 0 of 1 scale" in said


def test_methods_that_different_accuracies_selected_are_told():
    runs = [
        make_tables([row], name=name, spec=make_spec(methods=[row["method"]], num_samples=1, objective=objective))
        for name, row, objective in (
            ("a", trial("erm-00000", 0.5), "average"),
            ("b", trial("scale-00000", 0.6), "worst_group"),
        )
    ]
    (said,) = [said for said in caveats(runs) if "selected by different accuracies" in said]
    assert "scale of b by worst_group" in said
    assert "erm of a by average" in said


def test_methods_that_cannot_be_paired_are_told():
    def one(name: str, row: dict, seeds: tuple[int, ...] = (0, 1, 2), splits: str = "of one seed"):
        spec = make_spec(methods=[row["method"]], num_samples=1)
        cells = [cell for split in ("val", "test") for cell in group_rows(row["trial"], split, [50], [50])]
        judged = [cell | {"seed": seed, "fingerprint": splits} for cell in cells for seed in seeds]
        return make_tables([row], groups=judged, name=name, spec=spec)

    here = one("a", trial("erm-00000", 0.5))
    other_images = one("b", trial("scale-00000", 0.6), splits="of another")
    other_seeds = one("c", trial("erm_target-00000", 0.7), (7, 8, 9))
    assert len(differences([here, one("d", trial("scale-00000", 0.6))])) > 0
    assert differences([here, other_images]).empty
    assert differences([here, other_seeds]).empty
    said = "digits: no difference is shown between erm of a and scale of b, which were judged on different images"
    assert said in caveats([here, other_images])
    said = "digits: no difference is shown between erm of a and erm_target of c, which have no seed in common"
    assert said in caveats([here, other_seeds])


def classes_of(name: str, split: str, right: float, n: tuple[int, ...] = (90, 10)) -> list[dict]:
    """Rows of ``groups`` in which each class has this share right, in as many images as ``n`` says."""
    key = {"trial": name, "split": split, "epoch": 1, "aligned": True, "evaluation_group": "aligned", "train_n": 1}
    return [
        key | {"seed": seed, "label": label, "attribute": label, "n": size, "correct": round(right * size)}
        for seed in range(3)
        for label, size in enumerate(n)
    ]


def judged(name: str, right: float = 0.8) -> list[dict]:
    return classes_of(name, "val", right) + classes_of(name, "test", right)


def test_networks_that_have_not_learned_what_they_were_trained_on_are_told():
    def said(groups: list[dict], **tables) -> list[str]:
        return caveats([run(trial("erm-0", 0.8), spec={"methods": ["erm"]}, groups=judged("erm-0") + groups, **tables)])

    assert said(classes_of("erm-0", "train", 0.8)) == []
    told = (
        "not learned what they were trained on: accuracy on train, the mean of the classes', is 0.700, nearer to "
        "chance (0.500) than to 1"
    )
    assert said(classes_of("erm-0", "train", 0.7)) == [f"erm: its networks have {told}"]
    assert said(classes_of("erm-0", "train", 0.7) + classes_of("erm-0", "target", 0.9)) == [], "it learns from target"
    ten_classes = classes_of("erm-0", "train", 0.31, n=(100,) * 10)
    assert (
        "accuracy on train, the mean of the classes', is 0.310, nearer to chance (0.100) than to 1"
        in said(ten_classes)[0]
    )
    refitted = said(classes_of("erm-0", "train", 0.7), dfr=[dfr_row("erm-0", seed, 0.3, 0.3) for seed in range(3)])
    assert f"dfr (scale): the networks of erm-0, its features, have {told}" in refitted


def test_always_the_same_answer_is_not_learned_however_frequent_it_is():
    rows = [row | {"correct": row["n"] * (row["label"] == 0)} for row in classes_of("erm-0", "train", 0)]
    (said,) = caveats([run(trial("erm-0", 0.8), spec={"methods": ["erm"]}, groups=judged("erm-0") + rows)])
    assert "is 0.500, nearer to chance (0.500) than to 1" in said


def test_a_worst_group_below_chance_is_told():
    def said(right: float) -> list[str]:
        return caveats([run(trial("erm-0", 0.8), spec={"methods": ["erm"]}, groups=judged("erm-0", right))])

    assert said(0.5) == []
    assert said(0.4) == [
        "erm: its worst group of test (on average aligned) is below chance: 0.400 against 0.500 of 2 classes"
    ]


def test_methods_with_fewer_than_three_selectable_trials_are_told():
    enough = [trial(f"scale-{i}", 0.5) for i in range(3)]
    few = [trial("erm-0", 0.1), trial("erm-1", 0.1), trial("erm-2", 0.1, diverged=1)]
    told = "fewer than 3 selectable trials, of which the best is hardly better than a draw: erm (2)"
    spec = {"num_samples": 3}
    assert [said for said in every.caveats([run(*enough, *few, spec=spec)]) if "draw" in said] == [told]
    assert every.caveats([run(*enough, *(row | {"diverged": 0} for row in few), spec=spec)]) == []


def test_a_config_that_was_given_was_not_selected_among_too_few():
    space = {"lr": 0.01, "dataset.noise": {"type": "choice", "values": [0.1, 0.5]}}
    rows = [trial(f"erm-{i}", 0.5, **{"config.dataset.noise": noise}) for i, noise in enumerate((0.1, 0.5))]
    assert every.caveats([run(*rows, spec={"space": space, "methods": ["erm"], "num_samples": 2})]) == []
