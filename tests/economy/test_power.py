"""What it takes to tell methods apart, where textbooks know the answer, and by the intervals themselves."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, nct, t

from scale_tune.analysis.intervals import ONE_SEED, TOO_FEW, paired_differences
from scale_tune.economy.power import MOST_SEEDS, WANTED, no_power, power, said
from tests.analysis.test_intervals import of_counts, of_values


def standardized(effect: float, seeds: int = 5):
    """Two methods whose difference over seeds has this mean, in standard deviations of it."""
    deviations = np.linspace(-1, 1, seeds)
    deviations *= 0.02 / deviations.std(ddof=1)
    return of_values(*(0.5 + 0.02 * effect + deviations)), of_values(*[0.5] * seeds)


@pytest.mark.parametrize(("effect", "needed"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6), (2.0, 5)])
def test_seeds_are_as_many_as_a_paired_t_test_needs(effect, needed):
    """For a power of 80 % at 5 % on both sides (Cohen, 1988; G*Power's numbers)."""
    assert power(*standardized(effect), "average").seeds_needed == needed


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_the_chance_is_the_power_of_a_t_test(seeds):
    found = power(*standardized(1.2, seeds), "average")
    beyond = nct.sf(t.ppf(0.975, seeds - 1), seeds - 1, 1.2 * math.sqrt(seeds))
    assert found.chance == pytest.approx(beyond, abs=0.003)
    (low, high), ends = found.spread_ends, chi2.ppf([0.975, 0.025], seeds - 1)
    assert (low, high) == pytest.approx(tuple(0.02 * np.sqrt((seeds - 1) / ends)), rel=1e-4)


FEW_IMAGES = (
    of_counts([[140, 900], [150, 910], [145, 905]], [180, 1000]),
    of_counts([[130, 900], [141, 910], [136, 905]], [180, 1000]),
)


def test_the_needed_images_are_the_fewest_that_do():
    found = power(*FEW_IMAGES, "worst_group")
    assert (found.seeds, found.images, found.told_apart) == (3, 180, False)
    needed = found.images_needed[3]
    times = needed / 180
    grown = [of_counts(np.array(m.counts.correct) * times, m.counts.n * times) for m in FEW_IMAGES]
    assert power(*grown, "worst_group").chance == pytest.approx(WANTED, abs=1e-3)
    difference = paired_differences(*grown)["worst_group"]
    assert difference.low > 0
    assert list(found.images_needed) == [3, 5, 10, 20]
    assert found.images_needed[20] < found.images_needed[10] < found.images_needed[3]


def test_the_detectable_difference_is_the_smallest_that_is_seen():
    apart = power(*FEW_IMAGES, "average")
    assert apart.chance < WANTED < 1
    assert abs(apart.difference) < apart.detectable
    seen = power(*standardized(0.9, 6), "average").detectable
    assert power(*standardized(seen / 0.02, 6), "average").chance == pytest.approx(WANTED, abs=1e-3)


def test_the_chance_is_that_of_repeated_runs():
    """Seeds and images drawn again and again, judged by the intervals of the comparison."""
    random = np.random.default_rng(4)
    n, seeds, spread, levels = 400, 6, 0.02, (0.8, 0.72)
    told = []
    for _ in range(300):
        # What an image does to one method it does to all of its seeds, but not to the other method.
        shared = [np.sqrt(p * (1 - p) / n) * random.normal() for p in levels]
        rows = [
            np.clip((p + s + spread / math.sqrt(2) * random.normal(size=(seeds, 1))) * n, 0, n)
            for p, s in zip(levels, shared, strict=True)
        ]
        found = paired_differences(*(of_counts(row, n) for row in rows))["average"]
        told.append(found.low > 0)
    deviations = np.linspace(-1, 1, seeds)
    deviations *= spread / deviations.std(ddof=1)
    seen = of_counts((levels[0] + deviations[:, None]) * n, n), of_counts([[levels[1] * n]] * seeds, n)
    assert power(*seen, "average").chance == pytest.approx(np.mean(told), abs=0.08)


def test_a_difference_turns_with_its_methods():
    there, back = (power(*methods, "worst_group") for methods in (FEW_IMAGES, FEW_IMAGES[::-1]))
    assert (there.difference, there.low) == (-back.difference, -back.high)
    assert (there.chance, there.images_needed) == (pytest.approx(back.chance), back.images_needed)


def test_what_seeds_alone_or_images_alone_leave_uncertain_can_not_be_made_good():
    found = power(*standardized(0.5, 3), "average")
    assert found.images_needed[3] is None, "there are images enough, but three seeds differ too much"
    alike = of_counts([[140], [140], [140]], 180), of_counts([[136], [136], [136]], 180)
    found = power(*alike, "average")
    assert found.seeds_needed is None, "seeds that agree are no surer of their images"
    assert found.spread == 0
    same = of_values(0.5, 0.6, 0.7)
    found = power(same, same, "average")
    assert (found.difference, found.seeds_needed, found.images_needed[3]) == (0, None, None)


def test_too_few_seeds_tell_nothing_and_say_why():
    one, two = of_values(0.4), of_values(0.4, 0.5)
    assert no_power(one, one, "average") == ONE_SEED
    assert no_power(two, two, "average") == TOO_FEW
    assert no_power(one, of_values(0.3, seeds=(7,)), "average") == "the two methods have no seed in common"
    assert no_power(*FEW_IMAGES, "majority") is None
    lacking = of_counts([[10]] * 3)
    assert no_power(lacking, lacking, "majority") == "test has no image that majority is of"
    with pytest.raises(ValueError, match="no seed in common"):
        power(one, of_values(0.3, seeds=(7,)), "average")


def test_sentences_have_the_numbers():
    lines = said("scale", "erm", power(*FEW_IMAGES, "worst_group"))
    assert lines[0].startswith("On test worst-group scale − erm is +0.052 [")
    assert lines[0].endswith("], of 3 seeds and 180 images of the smallest group of test")
    assert lines[1].startswith("A run like this one tells the two apart in ")
    assert lines[2].startswith("To tell them apart in 80 % takes ")
    assert "images in the smallest group with 3 seeds, or " in lines[2]
    assert "see a true difference of 0." in lines[3]
    sure = said("scale", "erm", power(*standardized(9, 4), "average"))
    assert "tells the two apart in 100 % of all cases" in sure[1]
    assert not any("takes" in line for line in sure)
    hopeless = said("scale", "erm", power(of_values(0.5, 0.6, 0.7), of_values(0.5, 0.6, 0.7), "average"))
    assert hopeless[2] == (
        f"To tell them apart in 80 % takes more than {MOST_SEEDS:,} seeds, and no number of images would do instead"
    )
