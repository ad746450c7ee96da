"""What stands where on the page."""

from scale_tune.analysis.selection import leading
from scale_tune.report.html import by_group, comparing, searching, selected
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.parts import Section


def sections(analysed: Analysis) -> list[Section]:
    """All of them, in the order of the page."""
    shown = leading(analysed.tables["trials"])
    return [
        comparing.comparison(analysed),
        by_group.section(analysed),
        selected.validation_against_test(analysed, shown),
        selected.curves(analysed, shown),
        searching.history(analysed),
        searching.hyperparameters(analysed),
        selected.diagnostics(analysed, shown),
        selected.dfr(analysed),
        searching.failures(analysed),
        searching.trials(analysed),
        searching.reproduce(analysed),
    ]
