"""How lines are printed, and addresses taken."""

import io

import pytest
import typer
from rich.console import Console

from scale_tune.cli.common import checked_address, say, say_written
from tests.support.commands import Terminal

NOTE = "note: scale: 2 of the 3 seeds that were asked for, of which /a/path/that/is/longer/than/the/terminal is one"


@pytest.mark.parametrize("force_terminal", [False, True], ids=["", "as FORCE_COLOR does"])
def test_where_there_is_no_terminal_a_line_stays_whole(force_terminal):
    file = io.StringIO()
    say(Console(file=file, width=30, force_terminal=force_terminal, highlight=False), NOTE)
    assert file.getvalue() == f"{NOTE}\n"


def test_on_a_terminal_it_is_wrapped_between_words_which_are_never_cut():
    file = Terminal()
    say(Console(file=file, width=30, markup=False, highlight=False), NOTE)
    assert file.getvalue().splitlines() == [
        "note: scale: 2 of the 3 seeds",
        "  that were asked for, of",
        "  which",
        "  /a/path/that/is/longer/than/the/terminal",
        "  is one",
    ]


def test_what_was_written_is_a_line_for_each_directory():
    file = io.StringIO()
    tables = ["s3://lab/run/results/trials.parquet", "s3://lab/run/results/dfr.parquet", "s3://lab/run/report.html"]
    say_written(Console(file=file, highlight=False), [*tables, "copy.log"])
    assert file.getvalue().splitlines() == [
        "wrote s3://lab/run/results: trials.parquet, dfr.parquet",
        "wrote s3://lab/run/report.html",
        "wrote copy.log",
    ]


@pytest.mark.parametrize(
    ("given", "address"),
    [(" auto\n", "auto"), ("head:6379\n", "head:6379"), ("[::1]:6379", "[::1]:6379"), (None, None)],
)
def test_blanks_around_an_address_are_nobodys_concern(given, address):
    assert checked_address(given) == address


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "must be an address"),
        (" \n", "must be an address"),
        ("head :6379", "must be an address"),
        ("::1:6379", "stands in brackets"),
        ("ray://head:10001", "http://head:8265"),
    ],
)
def test_what_is_no_address_of_a_cluster_is_refused(given, message):
    with pytest.raises(typer.BadParameter, match=message):
        checked_address(given)
