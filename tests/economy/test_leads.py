"""Who wins at which budget, and where curves cross."""

import numpy as np
import pytest

from scale_tune.economy.bands import Band
from scale_tune.economy.budgets import Images
from scale_tune.economy.leads import Crossing, Lead, budgets, crossings, leads, said
from tests.economy.test_budgets import drawn


def steady(value: float, trials: int = 20, epochs: int = 10):
    """A method of which every config is alike but for a little."""
    near = value + 0.001 * np.arange(trials)
    return drawn(np.repeat(near[:, None], 3, axis=1), epochs=epochs)


def risky(epochs: int = 10):
    """Half of its configs are worth nothing, the others are very good."""
    return drawn(np.repeat(np.tile([0.2, 0.9], 10)[:, None], 3, axis=1), epochs=epochs)


def test_curves_cross_where_luck_is_no_longer_needed():
    found = leads(steady(0.6), risky(), "val")
    assert [lead.budget for lead in found] == [10 * n for n in range(1, 21)]
    assert found[0].difference == pytest.approx(0.6095 - 0.55)
    assert found[1].difference < 0, "2 of the risky: 0.2 + 0.7 (1 - 10/20 9/19) = 0.734"
    (crossing,) = crossings(found)
    assert (crossing.after, crossing.at, crossing.first_leads) == (10, 20, False)
    assert crossing.earliest is None, "after one trial either may lead"
    assert crossing.latest in (30, 40)
    (line,) = said("erm", "scale", found)
    assert line.startswith("erm leads up to 10 epochs, scale from 20 on; the crossing may lie anywhere between ")


def test_methods_with_trials_of_other_lengths_are_compared_at_equal_epochs():
    short, long = steady(0.5, trials=8, epochs=10), steady(0.6, trials=4, epochs=25)
    assert budgets((short, long)) == [25, 30, 40, 50, 60, 70, 75, 80]
    assert {lead.budget: lead.trials for lead in leads(short, long, "val")} == {
        25: (2, 1),
        30: (3, 1),
        40: (4, 1),
        50: (5, 2),
        60: (6, 2),
        70: (7, 2),
        75: (7, 3),
        80: (8, 3),
    }
    assert budgets(()) == []
    apart = steady(0.5, trials=2, epochs=10), steady(0.6, trials=2, epochs=25)
    assert budgets(apart) == []
    (line,) = said("erm", "jtt", leads(*apart, "val"))
    assert line == "erm and jtt have no budget in common: a trial of one takes more than all of the other's"


def test_a_method_that_leads_everywhere_is_said_to_and_how_sure():
    better, worse = steady(0.9), steady(0.3)
    (line,) = said("erm", "scale", leads(worse, better, "val"))
    assert line == (
        "scale is expected to reach more on val than erm at every budget; at 10 to 100 epochs the interval of the "
        "difference holds no 0"
    )
    blurred = [drawn(table.val, images=Images(smallest=2, groups=2)) for table in (better, worse)]
    (line,) = said("scale", "erm", leads(*blurred, "val"))
    assert line.endswith("at every budget, but no interval of the difference is free of 0")
    (line,) = said("erm", "scale", leads(better, better, "val"))
    assert line == "erm and scale are expected to reach the same at every budget"


def of(budget: int, difference: float, low: float | None = None, high: float | None = None) -> Lead:
    return Lead(budget=budget, trials=(1, 1), difference=difference, band=Band(low=low, high=high, interval=""))


def test_a_crossing_may_be_wherever_no_method_leads_for_sure():
    found = [
        of(1, 0.3, 0.1, 0.5),
        of(2, 0.2, 0.05, 0.4),
        of(3, 0.1, -0.1, 0.3),
        of(4, 0.0, -0.2, 0.2),
        of(5, -0.1, -0.3, 0.1),
        of(6, -0.3, -0.4, -0.1),
        of(7, -0.2),
    ]
    assert crossings(found) == [Crossing(after=3, at=5, earliest=2, latest=6, first_leads=False)]
    turned = [of(lead.budget, -lead.difference) for lead in found]
    assert crossings(turned) == [Crossing(after=3, at=5, earliest=None, latest=None, first_leads=True)]
    assert said("a", "b", turned)[0].endswith("may lie anywhere between the first trial and more than was searched")
    assert crossings(found[:3]) == []


def test_a_lead_is_sure_where_its_interval_holds_no_0():
    sure = [of(1, 0.1, *ends).sure for ends in ((0.01, 0.2), (-0.2, -0.1), (0, 0.2), (-0.1, 0.2), (None, None))]
    assert sure == [True, True, False, False, False]
