"""Published numbers beside a run's."""

import re

import pytest

from scale_tune.analysis.cells import measured_of
from scale_tune.analysis.intervals import intervals
from scale_tune.analysis.published import NOT_PUBLISHED, beside, publication_for, publications
from scale_tune.errors import UserError
from scale_tune.spec.config import DfrProtocol
from tests.support.ablations import ARMS, SIZES, STRENGTHS, grid_ablation, grid_run, grid_trials
from tests.support.tables import make_spec, make_tables

AXES = ("spurious_strength", "val_target_size")


@pytest.fixture(scope="module")
def run():
    return grid_run()


@pytest.fixture(scope="module")
def publication(run):
    return publication_for(run, *AXES, None, None)


def at(publication, method, strength, size):
    return publication.fraction(method, {"spurious_strength": strength, "val_target_size": size})


def test_the_numbers_are_those_of_the_notebook(publication):
    """Read off SCALE_Plots.ipynb, whose sizes are those of target, half of val_target_size."""
    assert at(publication, "scale", 1.0, 2000) == pytest.approx(0.6350)
    assert at(publication, "scale", 0.95, 6000) == pytest.approx(0.7293)
    assert at(publication, "scale_step", 0.99, 3000) == pytest.approx(0.6612)
    assert at(publication, "erm", 0.97, 2000) == pytest.approx(0.4513)
    assert at(publication, "erm", 1, 5000) == pytest.approx(0.0697)
    assert at(publication, "dfr", 1.0, 1000) == pytest.approx(0.4057)
    assert len(publication.percent) == 131
    assert "7c78705" in publication.source
    assert publication.licence == "Apache-2.0"


def test_what_never_sees_train_has_the_same_number_at_every_strength(publication):
    for strength in (0.95, 0.97, 1.0):
        assert at(publication, "erm_target", strength, 1000) == pytest.approx(0.5160)
        assert at(publication, "dfr_pretrained", strength, 6000) == pytest.approx(0.5180)


def test_what_was_not_published_has_no_number(publication):
    assert at(publication, "erm", 0.95, 1000) is None
    assert at(publication, "scale", 0.9, 1000) is None
    assert at(publication, "scale", 0.95, 1001) is None
    assert at(publication, "group_dro", 0.95, 1000) is None


def test_a_cell_has_ours_theirs_and_the_difference_with_the_interval_of_our_mean(run, publication):
    ablation = grid_ablation(run)
    found = beside(run, ablation, publication, DfrProtocol.SCALE)
    assert [panel.name for panel in found.panels] == ARMS
    cell = found.panels[ARMS.index("scale")].at(1.0, 2000)
    assert cell.published == pytest.approx(0.6350)
    assert cell.difference == pytest.approx(cell.ours.mean - 0.6350)
    low, high = intervals(measured_of(cell.ours, run.tables["groups"], "test"))["minority"]
    assert cell.ends == pytest.approx((low - 0.6350, high - 0.6350))
    assert "that of this run's mean alone" in found.notes[0]


def test_cells_that_were_not_published_say_so_and_those_that_we_lack_say_why(publication):
    trials, groups, dfr = grid_trials()
    trials[1]["state"] = "pruned"
    run = make_tables(trials, groups, dfr, spec=grid_run().spec)
    found = beside(run, grid_ablation(run), publication, DfrProtocol.SCALE)
    erm, target = found.panels[0], found.panels[1]
    assert erm.at(0.95, 1000).missing == NOT_PUBLISHED
    assert erm.at(0.95, 1000).ours.mean is not None
    assert target.at(0.95, 1000).missing == "pruned"
    assert target.at(0.95, 1000).published == pytest.approx(0.5160)
    assert target.at(0.95, 1000).difference is None
    assert "erm: not published: spurious_strength=0.95 val_target_size=1000" in found.notes


def test_the_table_has_every_cell_in_fractions(run, publication):
    table = beside(run, grid_ablation(run), publication, DfrProtocol.SCALE).table
    assert table.num_rows == len(ARMS) * len(STRENGTHS) * len(SIZES)
    rows = table.to_pylist()
    assert all(0 <= row["published"] <= 1 for row in rows if row["published"] is not None)
    assert all(row["difference"] == pytest.approx(row["mean"] - row["published"]) for row in rows if not row["missing"])
    assert {row["source"] for row in rows} == {publication.source}
    assert all(field.metadata[b"meaning"] for field in table.schema)


def test_the_axes_may_be_turned(run, publication):
    assert (
        publication_for(run, "dataset.val_target_size", "config.dataset.spurious_strength", None, None) == publication
    )


def test_another_protocol_of_dfr_is_said_to_be_another(run, publication):
    notes = beside(run, grid_ablation(run), publication, DfrProtocol.DFR).notes
    assert notes[-1] == "the published DFR is of the protocol scale, this run's of dfr"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("spurious_strength", "lr", None, None),
            "nothing was published by spurious_strength and lr; give --rows spur",
        ),
        ((*AXES, "test_average", None), "what was published is test_minority, not test_average; leave out --metric"),
        ((*AXES, None, "group_size"), "the published methods differ by regularize_mode, not group_size"),
    ],
)
def test_what_was_not_published_can_not_be_asked_for(run, arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        publication_for(run, *arguments)


def test_a_dataset_without_a_publication_is_an_error():
    run = make_tables([], spec=make_spec())
    with pytest.raises(UserError, match="there are no published numbers on digits; known are: dominoes"):
        publication_for(run, *AXES, None, None)


def test_every_file_of_numbers_says_whose_they_are_and_of_what():
    for publication in publications():
        assert publication.source.startswith("https://")
        assert publication.licence
        assert publication.percent
        assert all(0 <= percent <= 100 for percent in publication.percent.values())
