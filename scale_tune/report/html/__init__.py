"""A run as one HTML file for people: the answer first, then what it rests on. The only code that plots.

``data`` computes what is shown, ``importance`` what mattered; ``marks``, ``lines``, ``estimates``, ``labelled`` and
``standings`` draw, in one ``style``; ``markup`` prints numbers and tables, ``swatches`` a method's mark. ``answer``
makes the first screen; ``comparing``, ``by_group``, ``selected``, ``searching``, ``cost``, ``enough``, ``parallel``
and ``trials`` the ``parts`` that ``sections`` puts in order, and ``page`` assembles all. ``opened`` has what a trial's
row opens to, with the command from ``again``; it and plotly are in the page as ``packing`` makes them.
"""

from scale_tune.errors import UserError
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.page import render
from scale_tune.storage.location import Location

__all__ = ["Analysis", "render", "write_report"]


def write_report(path: Location, analysed: Analysis) -> None:
    """Write the report; a reader sees the old file or the new one, never half of one.

    Raises:
        UserError: the file can't be written there.
    """
    try:
        path.write(render(analysed).encode())
    except OSError as error:
        raise UserError(f"can't write the report {path}: {error}; choose another --report FILE") from None
