"""The first figure shows each method against the winner, by the accuracy that selected."""

import numpy as np
import pytest

from scale_tune.analysis.comparison import compare, differences
from scale_tune.analysis.verdicts import verdicts
from scale_tune.report.html import standings
from scale_tune.report.html.standings import LESS, MORE, UNKNOWN, UNSURE, WINNER
from scale_tune.report.html.style import looks
from tests.support.reports import analysed, comparison_of, differences_of, spec_of, tables_of
from tests.support.twelve import twelve


def standings_of(accuracy: str = "worst_group", width: float = 0.04, means: tuple[float, ...] = (0.6, 0.5, 0.3)):
    """Of three methods with these means on test, in their order on val, and intervals of this half width."""
    spec = spec_of(objective=accuracy)
    comparison = comparison_of("run", tables_of(spec), spec)
    comparison[f"val_{accuracy}_mean"] = [0.9, 0.8, 0.7]
    comparison[f"test_{accuracy}_mean"] = means
    (verdict,) = verdicts("run", comparison, differences_of(comparison, width))
    return standings.standings(verdict, accuracy), verdict


@pytest.mark.parametrize("accuracy", ["worst_group", "minority"])
def test_each_method_stands_behind_the_winner_by_its_difference_and_its_interval(accuracy):
    rows, _ = standings_of(accuracy)
    assert rows["standing"].tolist() == [WINNER, LESS, LESS]
    assert rows["mean"].tolist() == [0.6, 0.5, 0.3]
    assert rows["difference"].tolist() == pytest.approx([0, -0.1, -0.3])
    assert rows["low"].tolist()[1:] == pytest.approx([-0.14, -0.34])
    assert rows["high"].tolist()[1:] == pytest.approx([-0.06, -0.26])


def test_an_interval_with_0_is_not_sure_and_one_above_it_is_more_accurate():
    rows, _ = standings_of(means=(0.5, 0.48, 0.7))
    assert rows["standing"].tolist() == [WINNER, UNSURE, MORE]
    assert rows["method"].iloc[0] == analysed().comparison["method"].iloc[0], "test has no say in who wins"


def test_a_method_that_cannot_be_paired_stands_where_its_mean_is_without_an_interval():
    run = twelve()
    compared = compare([run])
    (verdict,) = verdicts(run.name, compared, differences([run]))
    rows = standings.standings(verdict, "worst_group").set_index("method")
    alone = rows.loc["pretrained (scale)"]
    means = compared.set_index("method")["test_worst_group_mean"]
    assert alone["standing"] == UNKNOWN
    assert alone["difference"] == pytest.approx(means["pretrained (scale)"] - means["scale"])
    assert np.isnan([alone["low"], alone["high"]]).all()
    assert list(rows.index) == compared["method"].tolist(), "in their order on val"


def test_the_figure_has_a_row_for_each_with_its_ends_and_is_hollow_where_not_sure():
    rows, _ = standings_of(means=(0.5, 0.48, 0.3))
    figure = standings.drawn(rows, looks(rows["method"]))
    assert [trace.x[0] for trace in figure.data] == pytest.approx(rows["difference"].tolist())
    assert [trace.y[0] for trace in figure.data] == [0, 1, 2]
    for trace, low, high in zip(figure.data[1:], rows["low"][1:], rows["high"][1:], strict=True):
        assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(low)
        assert trace.x[0] + trace.error_x.array[0] == pytest.approx(high)
    assert [trace.marker.symbol.endswith("-open") for trace in figure.data] == [False, True, False]
    names = figure.layout.yaxis.ticktext
    assert names[0] == f"<b>{rows['method'].iloc[0]}</b>"
    assert [note.text for note in figure.layout.annotations] == ["0.500", "0.480", "0.300"]


def test_as_many_methods_as_a_paper_has_fit_on_the_first_screen():
    rows, _ = standings_of()
    many = rows.loc[rows.index.repeat(9)].assign(method=[f"method_{i}" for i in range(27)])
    assert standings.drawn(many, looks(many["method"])).layout.height <= 500
    too_many = rows.loc[rows.index.repeat(20)].assign(method=[f"method_{i}" for i in range(60)])
    assert len(standings.drawn(too_many, looks(too_many["method"])).data) == standings.MAX_ROWS
