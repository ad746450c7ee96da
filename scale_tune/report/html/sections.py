"""What stands where on the page."""

from scale_tune.analysis.selection import leading
from scale_tune.report.html import by_group, comparing, cost, enough, parallel, searching, selected, trials
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.parts import Section


def sections(analysed: Analysis) -> list[Section]:
    """All of them, in the order of the page."""
    shown = leading(analysed.tables["trials"])
    found = [
        comparing.comparison(analysed),
        by_group.section(analysed),
        selected.validation_against_test(analysed, shown),
        selected.curves(analysed, shown),
        searching.history(analysed),
        cost.section(analysed),
        enough.section(analysed),
        searching.hyperparameters(analysed),
        parallel.section(analysed),
        selected.diagnostics(analysed, shown),
        selected.dfr(analysed),
        searching.failures(analysed),
        trials.section(analysed),
        searching.reproduce(analysed),
    ]
    return [part for part in found if part]
